"""The settings of a story: the values that it may set, and what each means to the model."""

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)
Line = dict[str, Any]
Caps = Sequence[tuple[int, timedelta]]


OF_SEVERAL_PEOPLE: Final = ("appointment_id", "trial_id", "order_id")
"""Subjects of which an event with a contact adds or ends that person alone; its instants are those of all."""


class Quiet(NamedTuple):
    """Quiet hours over midnight: when they begin on a weekday, from Monday, and when they end on the next day."""

    begins: Sequence[time]
    ends: Sequence[time]


def daily(begins: time, ends: time) -> Quiet:
    return Quiet([begins] * 7, [ends] * 7)


WEEKEND: Final = Quiet([time(21)] * 5 + [time(18)] * 2, [time(8)] * 5 + [time(11)] * 2)
TEMPLATES: Final = ("appointment_reminder", "order_shipped", "trial_follow_up", "review_request")

VALUES: Final[Mapping[str, Mapping[str, Any]]] = {
    "MarketingCaps": {
        "1/P1D,3/P7D": [(1, DAY), (3, 7 * DAY)],
        "2/P2D": [(2, 2 * DAY)],
        "1/PT6H,4/P7D": [(1, 6 * HOUR), (4, 7 * DAY)],
        "": [],
    },
    "UtilityCaps": {"5/P1D": [(5, DAY)], "2/P1D": [(2, DAY)], "": []},
    "UtilityQuietHours": {
        "21:00-08:00": daily(time(21), time(8)),
        "22:30-07:15": daily(time(22, 30), time(7, 15)),
        "Mon-Fri 21:00-08:00, Sat-Sun 18:00-11:00": WEEKEND,
        "": None,
    },
    "MarketingQuietHours": {
        "20:00-09:00": daily(time(20), time(9)),
        "16:30-10:30": daily(time(16, 30), time(10, 30)),
        "Mon-Fri 21:00-08:00, Sat-Sun 18:00-11:00": WEEKEND,
        "": None,
    },
    "ConversationPause": {"PT30M": timedelta(minutes=30), "PT3H": 3 * HOUR, "": timedelta()},
    "WhenWindowWillClose": {"wait": "wait", "pull_forward": "pull_forward", "warn": "warn"},
    "WhatsAppTemplates": {"": frozenset(), ",".join(TEMPLATES): frozenset(TEMPLATES)},
    "MarketingConsent": {"implied": False, "required": True},
    "timezone": {"": None, "Europe/Madrid": "Europe/Madrid", "Asia/Tokyo": "Asia/Tokyo"},
}
"""The first value of each parameter is the stack's default. The time zone is the brand's alone."""

OF_A_BRAND: Final[Mapping[str, str]] = {
    "MarketingCaps": "marketing_caps",
    "UtilityCaps": "utility_caps",
    "UtilityQuietHours": "utility_quiet_hours",
    "MarketingQuietHours": "marketing_quiet_hours",
    "WhenWindowWillClose": "when_window_will_close",
    "MarketingConsent": "marketing_consent",
    "timezone": "timezone",
}
"""The field of ``BrandConfigured`` that overrides a parameter."""

CHANGE: Final = ("MarketingCaps", "UtilityCaps", "UtilityQuietHours", "MarketingQuietHours", "timezone")
"""What may change in the middle of a story. Of a closing window, the app decides at several instants before."""

CONFIGURED: Final = "brand"
"""The id of the event that configures the brand before the story. It has no faults."""

OFTEN: Final = {"WhatsAppTemplates": 0.5, "WhenWindowWillClose": 0.4, "MarketingConsent": 0.1}
"""How often a story sets the parameter; one time in four otherwise."""


class Settings(NamedTuple):
    """What the settings mean. ``caps`` and ``quiet`` by category; ``needs_consent``: all marketing does."""

    caps: Mapping[str, Caps]
    quiet: Mapping[str, Quiet | None]
    conversation: timedelta
    closing: str
    templates: frozenset[str]
    needs_consent: bool
    timezone: str | None = None

    def is_quiet(self, category: str, at: datetime, *zones: ZoneInfo) -> bool:
        """Whether it is quiet in one of the zones."""
        hours = self.quiet.get(category)
        return hours is not None and any(_is_in(hours, at.astimezone(zone)) for zone in zones)

    def allowed_from(self, category: str, at: datetime, *zones: ZoneInfo) -> datetime:
        """The first instant from ``at`` on that is quiet in no zone."""
        hours = self.quiet.get(category)
        while hours and (quiet := [zone for zone in zones if _is_in(hours, at.astimezone(zone))]):
            at = self._next(hours, at, quiet[0])
        return at

    def _next(self, hours: Quiet, at: datetime, zone: ZoneInfo) -> datetime:
        local = at.astimezone(zone)
        begun = local if local.time() >= hours.begins[local.weekday()] else local - DAY
        ends = hours.ends[begun.weekday()]
        return datetime.combine((begun + DAY).date(), ends, zone).astimezone(UTC)


def _is_in(hours: Quiet, local: datetime) -> bool:
    today, now = local.weekday(), local.time()
    return now >= hours.begins[today] or now < hours.ends[(today - 1) % 7]


def draw(chance: random.Random) -> Line:
    """Return the values of some parameters."""
    return {
        name: chance.choice(list(values)[1:])
        for name, values in VALUES.items()
        if name != "timezone" and chance.random() < OFTEN.get(name, 0.25)
    }


def configured(settings: Line, brand: str, at: str, chance: random.Random) -> list[Line]:
    """Return the lines that set the values: half of the stories let the brand override some of the stack's.

    The stack then has its default, or another value that must not count.
    """
    own = {name: value for name, value in settings.items() if name in OF_A_BRAND and chance.random() < 0.7}
    if not own or chance.random() < 0.5:
        return [{"set": settings}] if settings else []
    others = {name: chance.choice(list(VALUES[name])) for name in own if chance.random() < 0.5}
    of_stack = {name: value for name, value in settings.items() if name not in own} | others
    detail = {"brand": brand, "name": "North", **{OF_A_BRAND[name]: value for name, value in own.items()}}
    event = {"time": at, "detail-type": "BrandConfigured", "detail": detail, "id": CONFIGURED, "source": "test.app"}
    return [*([{"set": of_stack}] if of_stack else []), event]


def provider_of(chance: random.Random) -> list[Line]:
    """Return what the provider does: some messages do not arrive, and others do so with two receipts."""
    lines: list[Line] = []
    if chance.random() < 0.5:
        share = chance.choice((0.1, 0.4))
        lines.append({"provider": {"share": share, "receipts": [{"status": "undelivered", "after": "PT6S"}]}})
    if chance.random() < 0.5:
        receipts = [{"status": "delivered", "after": "PT4S"}, {"status": "sent", "after": "PT9S"}]
        lines.append({"provider": {"share": 0.7, "receipts": receipts}})
    return lines


def reconfigured(brand: str, chance: random.Random) -> Line:
    """Return the detail of ``BrandConfigured`` in the middle of a story: one or two settings change."""
    names = chance.sample(CHANGE, chance.choice((1, 1, 2)))
    values = {name: [value for value in VALUES[name] if value or name != "timezone"] for name in names}
    return {"brand": brand, "name": "North", **{OF_A_BRAND[name]: chance.choice(values[name]) for name in names}}


def settings_of(lines: Sequence[Line]) -> Settings:
    """Return what a story sets; what it does not set has its default. What a brand has counts before the stack's.

    Of each field of the brand, the newest value counts.
    """
    given = {name: value for line in lines for name, value in line.get("set", {}).items()}
    brands = (line for line in lines if line.get("detail-type") == "BrandConfigured")
    in_order = sorted(brands, key=lambda line: datetime.fromisoformat(line["time"]))
    of_brand = {field: value for line in in_order for field, value in line["detail"].items()}
    given |= {name: of_brand[field] for name, field in OF_A_BRAND.items() if field in of_brand}
    means = {name: values[given.get(name, next(iter(values)))] for name, values in VALUES.items()}
    return Settings(
        caps={"marketing": means["MarketingCaps"], "utility": means["UtilityCaps"]},
        quiet={"marketing": means["MarketingQuietHours"], "utility": means["UtilityQuietHours"]},
        conversation=means["ConversationPause"],
        closing=means["WhenWindowWillClose"],
        templates=means["WhatsAppTemplates"],
        needs_consent=means["MarketingConsent"],
        timezone=means["timezone"],
    )
