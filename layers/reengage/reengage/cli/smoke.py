"""``smoke``: play a short story on a deployed stack, and check that each step has its effect."""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.error import HTTPError
from urllib.request import urlopen
from zoneinfo import ZoneInfo

import typer

from reengage.cli import stack as stacks
from reengage.cli.console import ExitCode, command, write, write_json
from reengage.cli.explain import JsonOption, StackOption
from reengage.cli.inspection import SMOKE
from reengage.domain.instants import iso
from reengage.errors import ReengageError

CONTACT: Final = {"brand": SMOKE, "channel": "sms", "address": "+12025550199"}
"""A brand of its own, without a route: its message goes to the bus. The number is reserved for fiction."""

ZONES: Final = (
    *("Pacific/Auckland", "Asia/Tokyo", "Asia/Kolkata", "Asia/Dubai", "Europe/Berlin"),
    *("Atlantic/Azores", "America/New_York", "America/Los_Angeles", "Pacific/Honolulu"),
)
"""In one of them it is always daytime, so that quiet hours hold nothing."""

DAYTIME: Final = range(11, 17)
POLL_SECONDS: Final = 3.0
STEP_SECONDS: Final = 60.0
SEND_SECONDS: Final = 300.0
"""The message is due after two minutes, and the schedule runs each minute."""

TIMEOUT: Final = 10.0

Ledger = Mapping[str, Any]
Entry = Mapping[str, Any]


class StepError(ReengageError):
    """A step did not have its effect."""


@dataclass(frozen=True, slots=True)
class Story:
    """The steps, in their order; each returns what was seen."""

    stack: stacks.Stack
    invoke: stacks.Functions
    get: Callable[[str], tuple[int, str]]
    now: datetime

    def steps(self) -> Iterator[tuple[str, Callable[[], str]]]:
        yield "the webhook refuses a call without a signature", self.webhook
        yield "an inbound message opens the window", self.opened
        yield "a booking plans a reminder", self.planned
        yield "the schedule sends it", self.sent
        yield "a receipt is stored", self.delivered
        yield "STOP is stored", self.stopped
        yield "the next reminder will be skipped", self.skipped
        yield "an erasure removes the contact", self.erased

    def webhook(self) -> str:
        url = self.stack.outputs.get("WebhookUrl")
        if not url:
            return "no public URL"
        status, body = self.get(f"{url}meta")
        if status != HTTPStatus.FORBIDDEN:
            raise StepError(f"{url}meta answered {status}; expected 403 of the app")
        if "Message" in body:
            raise StepError("Lambda itself refused the call: the URL's permissions are missing; deploy again")
        return "403"

    def opened(self) -> str:
        zone = next(name for name in ZONES if self.now.astimezone(ZoneInfo(name)).hour in DAYTIME)
        self._put(
            "MessageReceived", message_id=secrets.token_hex(8), sent_at=iso(self.now), text="START", timezone=zone
        )
        ledger = self._wait(lambda ledger: ledger["stands"]["window"] == "open" and not ledger["stands"]["opted_out"])
        return f"until {ledger['stands']['window_expires_at']}"

    def planned(self) -> str:
        self._book("smoke-1")
        return f"due {self._entry('smoke-1', 'planned')['due_at']}"

    def sent(self) -> str:
        entry = self._entry("smoke-1", "sent", "skipped", "failed", "unconfirmed", "delivered", seconds=SEND_SECONDS)
        if entry.get("rule") == "dry_run":
            return "skipped by dry_run"
        if entry["what"] not in ("sent", "delivered"):
            raise StepError(f"{entry['what']} {entry.get('rule') or entry.get('error') or ''}".strip())
        return f"by {entry.get('provider')}"

    def delivered(self) -> str:
        entry = self._entry("smoke-1", "sent", "skipped", "delivered")
        if entry["what"] == "skipped":
            return "nothing was sent"
        self._put("DeliveryReported", scheduled_message_id=entry["scheduled_message_id"], status="delivered")
        self._entry("smoke-1", "delivered")
        return "delivered"

    def stopped(self) -> str:
        self._write("STOP", datetime.now(UTC))
        self._wait(lambda ledger: bool(ledger["stands"]["opted_out"]))
        return "opted out"

    def skipped(self) -> str:
        self._book("smoke-2")
        rules = {"scheduled": "forecast_rule", "skipped": "rule"}
        entry = self._entry("smoke-2", *rules)
        if (rule := entry.get(rules[entry["what"]])) != "opted_out":
            raise StepError(f"{entry['what']} {rule}; expected opted_out")
        return "opted_out"

    def erased(self) -> str:
        self._put("ContactErased")
        self._wait(lambda ledger: not [entry for entry in ledger["entries"] if "scheduled_message_id" in entry])
        return "no message is stored"

    def _write(self, text: str, at: datetime, **fields: str) -> None:
        self._put("MessageReceived", message_id=secrets.token_hex(8), sent_at=iso(at), text=text, **fields)

    def _book(self, appointment_id: str) -> None:
        starts_at = datetime.now(UTC) + timedelta(minutes=62)
        self._put("AppointmentBooked", appointment_id=appointment_id, starts_at=iso(starts_at), remind_before=["PT1H"])

    def _put(self, detail_type: str, **detail: Any) -> None:
        stacks.put_events(self.stack.name, [{"detail-type": detail_type, "detail": {"contact": CONTACT, **detail}}])

    def _entry(self, subject: str, *whats: str, seconds: float = STEP_SECONDS) -> Entry:
        """Wait for an entry about the subject with one of these labels, and return it."""

        def found(ledger: Ledger) -> list[Entry]:
            entries = (entry for entry in ledger["entries"] if entry.get("subject_id") == subject)
            return [entry for entry in entries if entry["what"] in whats]

        return found(self._wait(lambda ledger: bool(found(ledger)), seconds))[-1]

    def _wait(self, is_met: Callable[[Ledger], bool], seconds: float = STEP_SECONDS) -> Ledger:
        """Explain the contact until the condition is met. Raises ``StepError`` after ``seconds``."""
        for _ in range(int(seconds / POLL_SECONDS)):
            ledger: Ledger = stacks.accepted(self.invoke("ExplainFunctionArn", {"contact": CONTACT}))
            if is_met(ledger):
                return ledger
            time.sleep(POLL_SECONDS)
        raise StepError(f"not seen within {seconds:.0f} s; look at the queues and logs, and run reengage doctor")


@command
def smoke(
    *,
    stack: StackOption = "reengage",
    keep: Annotated[bool, typer.Option("--keep", help="go on after a step that failed")] = False,
    as_json: JsonOption = False,
) -> ExitCode:
    """Play a short story on a deployed stack: a message, a reminder, a receipt, a STOP, an erasure. About four minutes.

    It uses the brand reengage-smoke and a number that is reserved for fiction. Example: reengage smoke --stack reengage
    """
    story = Story(stacks.describe(stack), stacks.stack_functions(stack), _get, datetime.now(UTC))
    results: list[dict[str, Any]] = []
    for name, step in story.steps():
        began = time.monotonic()
        try:
            seen, is_ok = step(), True
        except StepError as error:
            seen, is_ok = str(error), False
        results.append({"step": name, "ok": is_ok, "seen": seen, "seconds": round(time.monotonic() - began)})
        if not as_json:
            write(f"{'ok' if is_ok else 'FAILED':7} {name}: {seen}")
        if not is_ok and not keep:
            break
    if as_json:
        write_json(results)
    return ExitCode.DONE if all(result["ok"] for result in results) else ExitCode.FINDING


def _get(url: str) -> tuple[int, str]:
    try:
        with urlopen(url, timeout=TIMEOUT) as response:  # noqa: S310 - the stack's https URL  # nosec B310 # https only
            return int(response.status), response.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except OSError as error:
        raise StepError(f"{url} does not answer: {error}") from error
