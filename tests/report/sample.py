"""Make the event lines of a clinic and a shop, as ``reengage simulate --json`` prints them; one seed, one result."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from random import Random
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

START: Final = datetime(2026, 9, 1, tzinfo=UTC)
DAYS: Final = 90
WINDOW: Final = timedelta(days=30)

ZONES: Final = ("America/New_York", "Europe/Berlin", "Asia/Ho_Chi_Minh", "America/Los_Angeles", "Europe/London")
FIRST: Final = ("Ada", "Ben", "Châu", "Dora", "Emil", "Fay", "Gus", "Hàn", "Ida", "Jo", "Kemal", "Lena", "Minh", "Noor")
LAST: Final = ("Abel", "Brandt", "Castillo", "Dinh", "Evers", "Farouk", "Greene", "Holm", "Ito", "Jansen", "Kaya", "Lê")
CHAT: Final = (
    "Hi, do you have anything free next week?",
    "Great, see you then 🙂",
    "Is parking possible in front of the practice?",
    "When does my order arrive?",
    "Danke! Bis Donnerstag.",
    "Cảm ơn, hẹn gặp lại.",
    "Can I pay by card?",
    "Do you have it in green, size M?",
)


@dataclass(frozen=True, slots=True)
class Kind:
    """One reason of the sample: its category, its text, and the delay from its event to the due time."""

    reason: str
    category: str
    text: str
    after: timedelta
    valid: timedelta


CLINIC: Final = (
    Kind(
        "appointment_reminder",
        "utility",
        "Hello {name}, see you at Acme Dental tomorrow at {hour}:30. Reply 1 to confirm, 2 to cancel.",
        timedelta(days=4),
        timedelta(hours=22),
    ),
    Kind(
        "appointment_reminder",
        "utility",
        "Hello {name}, your appointment at Acme Dental is in two hours.",
        timedelta(days=4, hours=22),
        timedelta(hours=2),
    ),
    Kind(
        "online_check_in",
        "utility",
        "{name}, you can check in online: https://acme.example/check-in/{short}",
        timedelta(days=3, hours=20),
        timedelta(hours=20),
    ),
    Kind(
        "trial_follow_up",
        "marketing",
        "{name}, your whitening trial ends in three days. Upgrade: https://acme.example/up/{short}",
        timedelta(days=26),
        timedelta(days=3),
    ),
)
SHOP: Final = (
    Kind(
        "cart_reminder",
        "marketing",
        "Still thinking it over, {name}? Your cart is here: https://fern.example/cart/{short}",
        timedelta(hours=4),
        timedelta(hours=44),
    ),
    Kind(
        "order_shipped",
        "utility",
        "Good news, {name}: your order {short} is on its way with DHL.",
        timedelta(),
        timedelta(days=3),
    ),
    Kind(
        "review_request",
        "marketing",
        "{name}, how do you like your new jacket? https://fern.example/review/{short}",
        timedelta(days=3),
        timedelta(days=14),
    ),
    Kind(
        "back_in_stock",
        "marketing",
        "It is back, {name}: the Fern rain jacket. https://fern.example/p/{short}",
        timedelta(),
        timedelta(days=1),
    ),
)


@dataclass(slots=True)
class _Person:
    """One contact of the sample; ``where`` is its contact as in an event's detail."""

    number: int
    random: Random
    cap: int
    first: str = ""
    zone: str | None = None
    where: dict[str, str] = field(default_factory=dict)
    wrote: list[datetime] = field(default_factory=list)
    stopped: datetime | None = None
    marketing: list[datetime] = field(default_factory=list)

    def __post_init__(self) -> None:
        brand = "acme-dental" if self.number % 5 < 3 else "fern-shop"
        channel = "whatsapp" if self.number % 3 == 2 else "sms"
        self.first = FIRST[self.number % len(FIRST)]
        self.zone = None if self.number % 17 == 16 else ZONES[self.number * 7 % len(ZONES)]
        self.where = {"brand": brand, "channel": channel, "address": f"+1202{5550100 + self.number:07d}"}

    def is_quiet(self, at: datetime) -> bool:
        hour = at.astimezone(ZoneInfo(self.zone or "UTC")).hour
        return not 9 <= hour < 20

    def morning(self, at: datetime) -> datetime:
        local = at.astimezone(ZoneInfo(self.zone or "UTC"))
        day = local.date() + timedelta(days=local.hour >= 9)
        return datetime.combine(day, time(9), ZoneInfo(self.zone or "UTC")).astimezone(UTC)


def sample_lines(contacts: int = 60, *, each: int = 6, seed: int = 1, cap: int = 9) -> list[dict[str, Any]]:
    """Return a story's input and output lines, in order of time. ``each`` is the number of messages a contact;
    ``cap`` the marketing messages that a week allows.
    """
    lines: list[dict[str, Any]] = [
        {
            "set": {
                "UtilityQuietHours": "20:00-09:00",
                "MarketingQuietHours": "20:00-09:00",
                "MarketingCaps": f"{cap}/P7D",
            }
        },
        {"until": _iso(START + timedelta(days=DAYS))},
    ]
    events: list[tuple[str, dict[str, Any]]] = []
    for number in range(contacts):
        life = _life(_Person(number, Random(f"{seed}/{number}"), cap), each)
        events.extend((line.get("at") or line["time"], line) for line in life)
    return lines + [line for _, line in sorted(events, key=lambda event: event[0])]


def _life(person: _Person, each: int) -> Iterator[dict[str, Any]]:
    random = person.random
    writes = sorted(
        START + timedelta(days=random.uniform(0, DAYS * 0.7)) for _ in range(random.choice((0, 1, 2, 3, 3, 4)))
    )
    person.wrote = writes
    if person.number % 11 == 5 and writes:
        person.stopped = writes[-1]
    for count, at in enumerate(writes):
        text = "STOP" if at == person.stopped else random.choice(CHAT)
        detail = {
            "contact": person.where,
            "message_id": f"in-{person.number}-{count}",
            "sent_at": _iso(at),
            "text": text,
        }
        detail["display_name"] = f"{person.first} {LAST[person.number * 5 % len(LAST)]}"
        if person.zone:
            detail["timezone"] = person.zone
        yield {"time": _iso(at), "source": "chat", "detail-type": "MessageReceived", "detail": detail}
        if not count:
            yield _out(at, "ConversationStarted", {"contact": person.where})
        if at == person.stopped:
            yield _out(
                at,
                "ContactOptedOut",
                {"contact": person.where, "cause": {"word": "stop", "message_id": f"in-{person.number}-{count}"}},
            )
    kinds = CLINIC if person.where["brand"] == "acme-dental" else SHOP
    plans = sorted(START + timedelta(days=random.uniform(0.2, DAYS * 0.94)) for _ in range(each))
    for count, at in enumerate(plans):
        yield from _message(person, kinds[(count + person.number) % len(kinds)], at, count)


def _message(person: _Person, kind: Kind, planned: datetime, count: int) -> Iterator[dict[str, Any]]:
    random = person.random = Random(f"{person.number}/{count}/{planned}")  # the same draws whatever the settings
    due = planned + kind.after
    name = str(UUID(int=random.getrandbits(128), version=4))
    about = {
        "contact": person.where,
        "scheduled_message_id": name,
        "reason": kind.reason,
        "subject_id": f"{kind.reason.split('_')[0]}-{person.number}-{count}",
    }
    yield _out(planned, "MessagePlanned", about | {"due_at": _iso(due), "forecast": "send"})
    at = due + timedelta(seconds=random.uniform(1, 50))
    decision = _decide(person, kind, at, due)
    for rule, held_at, until in decision.holds:
        yield _out(
            held_at,
            "MessageHeld",
            about | {"rule": rule, "until": _iso(until), "facts": _facts(person, held_at, quiet=rule == "quiet_hours")},
        )
    if decision.at > START + timedelta(days=DAYS):
        return
    if decision.rule:
        facts = _facts(person, decision.at, quiet=False)
        facts |= {"held_by": decision.held_by} if decision.held_by else {}
        yield _out(decision.at, "MessageSkipped", about | {"rule": decision.rule, "facts": facts})
        return
    chance = random.random()
    if chance < 0.012:
        yield _out(decision.at, "MessageFailed", about | {"error": "21211: the number is not valid", "attempts": 1})
        return
    if chance < 0.018:
        yield _out(decision.at + timedelta(minutes=2), "MessageUnconfirmed", about | {"claimed_at": _iso(decision.at)})
        return
    text = kind.text.format(name=person.first, hour=9 + count % 8, short=name[:6])
    sent = {
        "provider": "twilio",
        "provider_message_id": f"SM{name[:8]}",
        "sent_at": _iso(decision.at),
        "facts": _facts(person, decision.at, quiet=True),
        "text": text,
    }
    yield _out(decision.at, "MessageSent", about | sent)
    receipt = about | {"provider_message_id": f"SM{name[:8]}", "at": _iso(decision.at + timedelta(seconds=4))}
    if chance < 0.05:
        yield _out(decision.at + timedelta(seconds=4), "MessageUndelivered", receipt | {"error": "30003: unreachable"})
    elif chance < 0.86:
        yield _out(decision.at + timedelta(seconds=4), "MessageDelivered", receipt)


@dataclass(slots=True)
class _Decision:
    at: datetime
    holds: list[tuple[str, datetime, datetime]] = field(default_factory=list)
    rule: str | None = None
    held_by: str | None = None


def _decide(person: _Person, kind: Kind, at: datetime, due: datetime) -> _Decision:
    decision = _Decision(at)
    decision.rule = _stops(person, at)
    if decision.rule:
        return decision
    if person.zone is None and kind.category == "marketing":
        decision.holds.append(("unknown_timezone", at, at + timedelta(hours=1)))
        decision.at, decision.rule = due + kind.valid, "too_late"
        return decision
    if kind.category == "marketing":
        recent = sorted(sent for sent in person.marketing if at - timedelta(days=7) < sent <= at)
        if len(recent) >= person.cap:
            free = recent[-person.cap] + timedelta(days=7)
            if free >= due + kind.valid:
                decision.rule, decision.held_by = "too_late", "frequency_cap"
                return decision
            decision.holds.append(("frequency_cap", decision.at, free))
            decision.at = free + timedelta(seconds=20)
    if person.is_quiet(decision.at):
        until = person.morning(decision.at)
        if until >= due + kind.valid:
            decision.rule, decision.held_by = "too_late", "quiet_hours"
            return decision
        decision.holds.append(("quiet_hours", decision.at, until))
        decision.at = until + timedelta(seconds=person.random.uniform(1, 50))
    decision.rule = _stops(person, decision.at)
    if not decision.rule and kind.category == "marketing":
        person.marketing.append(decision.at)
    return decision


def _stops(person: _Person, at: datetime) -> str | None:
    received = [wrote for wrote in person.wrote if wrote <= at]
    if person.stopped and at >= person.stopped:
        return "opted_out"
    if not received:
        return "no_conversation"
    return "window_closed" if at >= received[-1] + WINDOW else None


def _facts(person: _Person, at: datetime, *, quiet: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {"decided_at": _iso(at)}
    if received := [wrote for wrote in person.wrote if wrote <= at]:
        facts |= {"last_inbound_at": _iso(received[-1]), "window_expires_at": _iso(received[-1] + WINDOW)}
    if quiet and person.zone:
        local = at.astimezone(ZoneInfo(person.zone)).isoformat(timespec="minutes")
        facts |= {"quiet_hours": "20:00-09:00", "zone": person.zone, "zone_from": "contact", "local_time": local}
    return facts


def _out(at: datetime, kind: str, detail: dict[str, Any]) -> dict[str, Any]:
    return {"at": _iso(at), "detail-type": kind, "detail": detail}


def _iso(at: datetime) -> str:
    return at.replace(microsecond=0).isoformat().replace("+00:00", "Z")
