"""Simulate the providers: they accept every message, unless a line of the story says otherwise.

``{"provider": {…}}`` takes these fields, all optional:

| field | meaning | default |
|---|---|---|
| ``brand``, ``channel``, ``address``, ``reason`` | the messages that the rule is for | all |
| ``from``, ``to`` | instants between which the rule applies; ``to`` is not included | always |
| ``answer`` | ``accepted``, ``unavailable``, ``refused``, ``opted_out`` or ``unknown`` | ``accepted`` |
| ``share`` | the share of these messages that the rule is for, from 0 to 1, drawn by the seed | 1 |
| ``error`` | what the provider says | the answer |
| ``retry_after`` | with ``unavailable``: a duration such as ``PT5M`` | not set |
| ``receipts`` | with ``accepted``: a list of ``{"status", "after", "error"}`` | no receipts |

``unavailable`` is an outage: the provider surely did not take the message. ``unknown`` is a call whose answer was
lost. The first rule in the story that applies to a message is used.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, NamedTuple, get_args

from ..domain.commands import Status
from ..domain.contact import CHANNELS
from ..domain.instants import Duration, iso, parse_instant
from ..domain.message import ScheduledMessage
from ..domain.reasons import REASONS
from ..ports import Accepted, OptedOut, OutboundMessage, Outcome, Refused, Retryable, Unknown

ANSWERS: Final = ("accepted", "unavailable", "refused", "opted_out", "unknown")
MATCHED: Final = ("brand", "channel", "address", "reason")
STATUSES: Final[tuple[str, ...]] = get_args(Status)


class Receipt(NamedTuple):
    """What the provider reports of a message that it accepted, ``after`` it did so."""

    status: str
    after: timedelta
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ProviderRule:
    """One line of the provider's script; see the module's table."""

    matches: Mapping[str, str] = field(default_factory=dict)
    begins: datetime | None = None
    ends: datetime | None = None
    answer: str = "accepted"
    share: float = 1.0
    error: str | None = None
    retry_after: timedelta | None = None
    receipts: tuple[Receipt, ...] = ()

    def applies(self, message: ScheduledMessage, now: datetime) -> bool:
        if (self.begins and now < self.begins) or (self.ends and now >= self.ends):
            return False
        contact = message.recipient
        values = (contact.brand, contact.channel, contact.address, message.reason)
        return all(self.matches.get(name, value) == value for name, value in zip(MATCHED, values, strict=True))


def parse_rule(value: Any) -> ProviderRule:
    """Read one line of the script.

    Raises ``TypeError`` if it is no object, else ``ValueError`` that names the field, the value and what to do.
    """
    if not isinstance(value, dict):
        raise TypeError('expected an object such as {"answer": "unavailable", "from": …, "to": …}')
    if unknown := sorted(value.keys() - _FIELDS.keys() - set(MATCHED)):
        raise ValueError(f'unknown field "{unknown[0]}"; use {", ".join((*MATCHED, *_FIELDS))}')
    read: dict[str, Any] = {}
    for name, given in value.items():
        if name in MATCHED:
            continue
        attribute, parse = _FIELDS[name]
        read[attribute] = _field(name, given, parse)
    matches = {name: _field(name, value[name], partial(_matched, name)) for name in MATCHED if name in value}
    rule = ProviderRule(matches, **read)
    if rule.begins and rule.ends and rule.ends <= rule.begins:
        raise ValueError(f"to: {value['to']!r}: expected an instant after from")
    return rule


def _field[T](name: str, value: Any, parse: Callable[[Any], T]) -> T:
    try:
        return parse(value)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ValueError(f"{name}: {value!r}: {error}") from error


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("expected text")
    return value


def _matched(name: str, value: Any) -> str:
    known = {"channel": CHANNELS, "reason": REASONS}.get(name)
    if known is not None and value not in known:
        raise ValueError(f"use one of {', '.join(known)}")
    return _text(value)


def _at(value: Any) -> datetime:
    return parse_instant(_text(value)).astimezone(UTC)


def _answer(value: Any) -> str:
    if value not in ANSWERS:
        raise ValueError(f"use one of {', '.join(ANSWERS)}")
    return str(value)


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError("use a number from 0 to 1")
    return float(value)


def _length(value: Any) -> timedelta:
    duration = Duration.parse(_text(value))
    if duration.months or duration.is_negative:
        raise ValueError("use a duration of zero or more without months, such as PT30S")
    return timedelta(days=duration.days) + duration.exact


def _receipts(value: Any) -> tuple[Receipt, ...]:
    if not isinstance(value, list):
        raise TypeError('expected a list such as [{"status": "delivered", "after": "PT5S"}]')
    return tuple(_receipt(each) for each in value)


def _receipt(value: Mapping[str, Any]) -> Receipt:
    if value["status"] not in STATUSES:
        raise ValueError(f"status: use one of {', '.join(STATUSES)}")
    return Receipt(value["status"], _length(value.get("after", "PT0S")), value.get("error"))


_FIELDS: Final[Mapping[str, tuple[str, Callable[[Any], Any]]]] = {
    "from": ("begins", _at),
    "to": ("ends", _at),
    "answer": ("answer", _answer),
    "share": ("share", _share),
    "error": ("error", _text),
    "retry_after": ("retry_after", _length),
    "receipts": ("receipts", _receipts),
}
"""Each field's attribute and how it is read."""


@dataclass(slots=True)
class SimulatedProvider:
    """Answer by the script.

    ``report`` gets each receipt with the instant at which it comes. ``request_delivery`` gets the provider's name and
    each message that it takes, also if its answer is lost.
    """

    rules: Sequence[ProviderRule]
    clock: Callable[[], datetime]
    chance: random.Random
    report: Callable[[datetime, Mapping[str, Any]], None]
    request_delivery: Callable[[str, OutboundMessage], None]
    taken: int = 0

    def send(self, provider: str, outbound: OutboundMessage) -> Outcome:
        now, message = self.clock(), outbound.message
        rule = next((rule for rule in self.rules if self._applies(rule, message, now)), ProviderRule())
        error = rule.error or f"simulated: {rule.answer}"
        match rule.answer:
            case "unavailable":
                return Retryable(error, rule.retry_after)
            case "refused":
                return Refused(error)
            case "opted_out":
                return OptedOut(error)
            case "unknown":
                self.request_delivery(provider, outbound)
                return Unknown(error)
            case _:
                self.request_delivery(provider, outbound)
                return self._accept(provider, message, rule, now)

    def _applies(self, rule: ProviderRule, message: ScheduledMessage, now: datetime) -> bool:
        return rule.applies(message, now) and (rule.share >= 1 or self.chance.random() < rule.share)

    def _accept(self, provider: str, message: ScheduledMessage, rule: ProviderRule, now: datetime) -> Accepted:
        self.taken += 1
        accepted = Accepted(provider, f"simulated-{self.taken}")
        for receipt in rule.receipts:
            at = now + receipt.after
            self.report(at, _delivery_reported(message, accepted, receipt, at))
        return accepted


def _delivery_reported(
    message: ScheduledMessage, accepted: Accepted, receipt: Receipt, at: datetime
) -> Mapping[str, Any]:
    contact = message.recipient
    detail = {
        "contact": {"brand": contact.brand, "channel": contact.channel, "address": contact.address},
        "scheduled_message_id": message.scheduled_message_id,
        "status": receipt.status,
        "provider_message_id": accepted.provider_message_id,
        "occurred_at": iso(at),
    }
    return {
        "time": iso(at),
        "detail-type": "DeliveryReported",
        "source": "reengage.simulation",
        "detail": detail | ({"error": receipt.error} if receipt.error else {}),
    }
