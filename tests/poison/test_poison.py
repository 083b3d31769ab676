"""Whatever an event or a call holds, it is answered, or rejected with its cause; no function fails on it.

A function that fails is invoked again, and again after a redrive: what fails once by its content fails each time.
"""

import base64
import json
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final, cast
from urllib.parse import parse_qsl

import pytest

from reengage.adapters.eventbridge import EventBus
from reengage.adapters.inbound.eventbridge import inbound_message, parse_business_event, receipt
from reengage.adapters.rejected_events import BODY, RejectedEventsQueue
from reengage.domain.events_out import OutEvent
from reengage.errors import InvalidEvent
from reengage.simulation.app import SimulatedApp
from reengage.simulation.archive import event_of
from reengage.simulation.parameters import environment
from tests.integration.stack import ROUTES, case, cases
from tests.poison.mutations import mutated, nested

NOW: Final = datetime(2031, 3, 19, 15, tzinfo=UTC)
MUTATIONS: Final = 40
"""Examples of each file: as many with fixed seeds as with fresh ones."""

HANDLERS: Final = ("ingest_message", "plan_messages", "record_delivery")
EVENTS: Final = [name for name in cases() if name.split("/")[0] in HANDLERS]
CALLS: Final = [name for name in cases() if name.startswith("webhook/")]
WITHOUT_EVENTS: Final = frozenset({"webhook/meta_handshake", "webhook/rcs_set_up", "webhook/unsigned"})
FUNCTIONS: Final = {"MessageReceived": "ingest_message", "DeliveryReported": "record_delivery"}
KNOWN: Final = frozenset(
    {HTTPStatus.OK, HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}
    | {HTTPStatus.CONTENT_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, HTTPStatus.MISDIRECTED_REQUEST}
)
"""The statuses of an answered call. A provider repeats a call that gets another one."""


class Queue:
    """The queue of rejected events, with SQS's own limits."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []

    def send_message(self, *, QueueUrl: str, MessageBody: str) -> None:  # noqa: ARG002, N803 - as botocore's client
        assert MessageBody.isascii()
        assert len(MessageBody) <= BODY
        self.bodies.append(json.loads(MessageBody))


class Events:
    """EventBridge, which takes valid JSON alone."""

    def put_events(self, *, Entries: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:  # noqa: N803 - as botocore's
        for entry in Entries:
            json.loads(entry["Detail"].encode("utf-8"), parse_constant=_not_json)
            assert entry["DetailType"]
        return {"Entries": [{"EventId": "1"} for _ in Entries]}


def _not_json(text: str) -> Any:
    raise AssertionError(f"{text} is no JSON")


class PoisonedApp(SimulatedApp):
    """The app over the store in memory, with a queue and a bus as strict as AWS's."""

    def __init__(self) -> None:
        values = environment({"Routes": ROUTES})
        super().__init__(values, rules=(), seed=0, wait=lambda _: None, report=lambda _at, _event: None)
        self.now = NOW
        self.queue = Queue()
        self.strict = EventBus(cast("Any", Events()), "bus")

    def keep_rejected(self, event: Any, errors: Sequence[str]) -> None:
        RejectedEventsQueue(self.queue, "queue")(event, errors)

    def record_events(self, events: Sequence[OutEvent]) -> None:
        self.strict(events)
        super().record_events(events)

    def invoke(self, function: str, event: Any) -> None:
        """Do what the handler of that function does."""
        try:
            match function:
                case "ingest_message":
                    message = inbound_message(event)
                case "record_delivery":
                    self.record(receipt(event))
                    return
                case _:
                    self.handle(parse_business_event(event))
                    return
        except InvalidEvent as error:
            self.reject(event, error)
            return
        self.ingest(message, milliseconds=55_000)

    def handled(self, function: str, event: Any) -> str:
        """Invoke the function twice, and send what is due then; return ``answered`` or ``rejected``."""
        before = len(self.queue.bodies)
        self.invoke(function, event)
        self.invoke(function, event)
        for later in (timedelta(), timedelta(hours=4), timedelta(days=1)):
            self.now = NOW + later
            self.tick()
        self.now = NOW
        assert self.errors == []
        kept = self.queue.bodies[before:]
        assert all(body["errors"] and all(body["errors"]) for body in kept)
        return "rejected" if kept else "answered"


def seeds(count: int = MUTATIONS) -> list[int]:
    fresh = random.SystemRandom()
    return [*range(count), *(fresh.randrange(10**9) for _ in range(count))]


def started() -> PoisonedApp:
    """Return an app in which a message was sent, so that receipts and answers refer to one."""
    app = PoisonedApp()
    for name in ("ingest_message/first_message", "plan_messages/appointment_booked"):
        app.deliver(case(name))
    return app


@pytest.mark.parametrize("name", EVENTS)
def test_a_mutated_event_is_answered_or_rejected(name: str) -> None:
    app, results = started(), set()
    for seed in seeds():
        event = mutated(case(name), random.Random(seed))
        try:
            results.add(app.handled(name.split("/", maxsplit=1)[0], event))
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r:.300}: {event!r:.1500}") from error
        app.errors.clear()
    assert "rejected" in results


@pytest.mark.parametrize("name", CALLS)
def test_a_mutated_call_is_answered_or_rejected(name: str) -> None:
    app, published = started(), 0
    for seed in seeds():
        call = poisoned_call(case(name), random.Random(seed))
        try:
            published += _called(app, call)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r:.300}: {call!r:.1500}") from error

    # A call that is refused for its signature proves nothing.
    assert published > 0 or app.queue.bodies or name in WITHOUT_EVENTS


def test_a_function_that_fails_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise ValueError("by its content")

    app = PoisonedApp()
    monkeypatch.setattr(app, "record", fails)
    with pytest.raises(ValueError, match="by its content"):
        app.handled("record_delivery", case("record_delivery/delivered"))


def poisoned_call(call: Any, chance: random.Random) -> Any:
    """Change the content of a call, and sign it again: only a signed call is parsed."""
    if "Records" in call:
        message = json.loads(call["Records"][0]["Sns"]["Message"])
        changed = json.dumps(mutated(message, chance)) if chance.random() < 0.8 else chance.choice(("", "[", "null"))
        record = call["Records"][0]
        return {"Records": [{**record, "Sns": {**record["Sns"], "Message": changed}}]}
    path, text = call["rawPath"].strip("/"), _text(call)
    if path.startswith("twilio"):
        body: Any = mutated(dict(parse_qsl(text)), chance)
        body = {str(key): _form(value) for key, value in body.items()} if isinstance(body, dict) else {}
    elif path == "rcs":
        body = _rcs(json.loads(text), chance)
    else:
        body = mutated(json.loads(text or "{}"), chance)
    try:
        return event_of({"call": {"path": path, "body": body}})
    except (ValueError, KeyError, TypeError, UnicodeError):
        return call  # it cannot be signed, so it cannot be sent


def _text(call: Any) -> str:
    body = call.get("body") or ""
    return base64.b64decode(body).decode() if call.get("isBase64Encoded") else str(body)


def _form(value: Any) -> str:
    return str(value).encode("utf-8", "replace").decode()


def _rcs(body: Any, chance: random.Random) -> Any:
    if "message" not in body:
        return mutated(body, chance)
    content = mutated(json.loads(base64.b64decode(body["message"]["data"])), chance)
    return {"message": {"data": base64.b64encode(json.dumps(content).encode()).decode()}}


def _called(app: PoisonedApp, call: Any) -> int:
    """Call the webhook, and handle the events that it puts on the bus; return how many there were."""
    app.now, app.errors = NOW, []
    events = app.called(call)
    for error in app.errors:
        assert HTTPStatus(int(str(error))) in KNOWN
    app.errors.clear()
    for number, event in enumerate(events):
        app.handled(FUNCTIONS.get(event["detail-type"], "plan_messages"), {"id": f"call-{number}", **event})
    assert all(body["errors"] for body in app.queue.bodies)
    return len(events)


@pytest.mark.parametrize("function", HANDLERS)
@pytest.mark.parametrize(
    "event", [None, [], "x", 5, {}, {"detail-type": None}, {"detail": nested()}, {"detail-type": []}, {"id": "\ud800"}]
)
def test_what_is_no_event_is_rejected(function: str, event: Any) -> None:
    assert PoisonedApp().handled(function, event) == "rejected"
