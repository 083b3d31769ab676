"""What must hold for every call of the webhook, and the count of its outcomes."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from reengage.adapters.inbound.eventbridge import inbound_message, parse_business_event, receipt
from reengage.adapters.inbound.parsing import ParsedCall
from reengage.adapters.inbound.relay import to_bus_events
from reengage.adapters.inbound.webhook import Answer, answer
from reengage.domain.routes import parse_routes
from tests.benchmarks.webhook_signatures import is_signed, knows_a_token
from tests.integration.stack import PROVIDER_KEYS, ROUTES

NOW: Final = datetime(2031, 3, 19, 15, tzinfo=UTC)
STATUSES: Final = frozenset({200, 400, 403, 404, 405, 413, 415, 421})
ALL_ROUTES: Final = f"{ROUTES},acme-clinic/google_business_messages/eventbridge/brands/1111/agents/2222"
"""One for each path of the webhook."""

_ROUTES: Final = parse_routes(ALL_ROUTES)


class Violation(AssertionError):
    """A condition of the webhook is broken."""


def answered(event: Any) -> Answer:
    return answer(event, secrets=PROVIDER_KEYS, routes=_ROUTES, arrived_at=NOW)


def check(event: Any, answer: Answer, *, signed: bool) -> None:
    """Raises ``Violation``. ``signed``: as its provider signs it."""
    json.dumps(answer.response)
    if answer.status not in STATUSES:
        raise Violation(f"status {answer.status}")
    if signed and answer.status not in (200, 400, 413):
        raise Violation(f"a signed call was answered with {answer.status}")
    if signed and answer.status == 200 and answer.parsed is None:
        raise Violation("nothing was read of a signed call")
    if answer.status != 200 and (answer.parsed is not None or answer.body):
        raise Violation("a call that was refused was parsed, or has a body")
    if answer.parsed is not None and not is_signed(event):
        raise Violation("an unsigned call was read")
    if answer.status == 200 and answer.parsed is None and not knows_a_token(event):
        raise Violation("somebody without a token was answered")
    if answer.parsed is not None:
        _understood(answer.parsed)


_READERS: Final[Mapping[str, Callable[[Any], Any]]] = {"MessageReceived": inbound_message, "DeliveryReported": receipt}


def _understood(read: ParsedCall) -> None:
    """Parse the event behind the bus. Raises ``InvalidEvent`` if it is invalid."""
    for event in to_bus_events(read):
        detail = json.loads(json.dumps(event.detail, ensure_ascii=False).encode())
        envelope = {"id": "1", "detail-type": event.type, "time": "2031-03-19T15:00:00Z"} | {"detail": detail}
        reader: Callable[[Any], Any] = _READERS.get(event.type, parse_business_event)
        reader(envelope)


@dataclass(slots=True)
class Tally:
    by_status: Counter[tuple[str, int]] = field(default_factory=Counter)
    read: Counter[str] = field(default_factory=Counter)

    def take(self, source: str, status: int, read: ParsedCall | None = None) -> None:
        self.by_status[source, status] += 1
        if read is not None:
            self.read["calls"] += 1
            self.read["messages"] += len(read.messages)
            self.read["receipts"] += len(read.receipts)
            self.read["choices"] += len(read.choices)
            self.read["errors"] += len(read.errors)

    def report(self) -> str:
        """Print one line for each source, and the sum."""
        sources = sorted({source for source, _ in self.by_status})
        statuses = sorted({status for _, status in self.by_status})
        rows = {source: [self.by_status[source, status] for status in statuses] for source in sources}
        rows["together"] = [sum(column) for column in zip(*rows.values(), strict=True)]
        lines = [f"{'':40}" + "".join(f"{status:>9}" for status in statuses)]
        lines += [f"{source:40}" + "".join(f"{number:>9,}" for number in row) for source, row in rows.items()]
        read = ", ".join(f"{number:,} {what}" for what, number in self.read.items())
        return "\n".join([*lines, f"read: {read or 'nothing'}"])
