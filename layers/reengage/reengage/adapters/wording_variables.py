"""The variables of the texts: for each reason, from the subject in the snapshot.

A text from outside (a product's name, a place) becomes one line of plain text here, whatever it holds.
"""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, tzinfo
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from babel import Locale
from babel.dates import format_date, format_time

from reengage.domain.answers import Answer
from reengage.domain.instants import parse_instant, parse_zone
from reengage.domain.openers import OPENED
from reengage.domain.planning import carries_check_in
from reengage.domain.policy import PolicyInput
from reengage.domain.questions import COUNT

LONGEST_NAME: Final = 80
"""Characters: a longer name is cut, so that a text stays a text message. Links and a brand's own texts stay whole."""

ITEMS_NAMED: Final = 2
LONGEST_ITEM: Final = 40

QUESTION: Final = "question"
"""The variable with the question that a text asks; the name of the question's own text, too."""

SEVERAL: Final = "_several"
"""Ends the name of a text that names several appointments."""

APPOINTMENT: Final = "appointment_named"
"""The name of the text for one of several appointments."""

TIMES: Final = ("time", "opens", "closes")
"""The variables that are times of day."""

NOTHING: Final = "-"
"""Replaces an empty text, because providers refuse an empty parameter."""

# They would turn the rest of the text around.
_BIDI_CONTROLS: Final = dict.fromkeys(
    map(ord, "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
)
# Controls and lone surrogates, beside all that Python takes for white space.
_BLANK: Final = frozenset({"Cc", "Cs"})

Values = dict[str, str]


@dataclass(frozen=True, slots=True)
class Context:
    """The variables of one message for one reader: names in the languages ``wanted``, in order, dates by ``locale``."""

    policy_input: PolicyInput
    wanted: Sequence[str]
    locale: Locale

    @property
    def brand(self) -> str:
        """The brand's name, else its id."""
        configured = self.policy_input.brand
        return self.named(configured.name if configured else None) or self.policy_input.message.recipient.brand

    def get(self, name: str) -> Any:
        return self.policy_input.track.get(name) if self.policy_input.track else None

    def text(self, value: Any) -> str:
        return one_line(localised(value, self.wanted))

    def named(self, value: Any, longest: int = LONGEST_NAME) -> str:
        return _cut(self.text(value), longest)

    def required(self, *names: str) -> Values:
        return {name: self._field(name) or NOTHING for name in names}

    def optional(self, *names: str) -> Values:
        return {key: value for name in names for key, value in perhaps(name, self._field(name)).items()}

    def _field(self, name: str) -> str:
        """A link must never be cut."""
        return self.text(self.get(name)) if name.endswith("url") else self.named(self.get(name))

    def day(self, value: date) -> str:
        return _full_date(date(value.year, value.month, value.day), self.locale)

    def clock(self, value: time | datetime) -> str:
        """Return the wall clock's time of ``value``, unchanged."""
        return _short_time(value.time() if isinstance(value, datetime) else value, self.locale)

    def moment(self, instant: datetime, zone: tzinfo | None) -> Values:
        """Show the instant on the zone's wall clock; without a zone as it was given, and UTC by its name."""
        local = instant.astimezone(zone) if zone else instant
        day, is_wall_clock = self.day(local), zone is not None or local.utcoffset()
        return {"date": day if is_wall_clock else f"{day} (UTC)", "time": self.clock(local)}

    def place_zone(self, instant: datetime) -> tzinfo | None:
        """Return the zone of the place: the event's, the instant's own offset, the brand's, the person's, the default.

        An instant in UTC is no wall clock: systems send it if they do not know, or do not say, the place's.
        """
        track = self.policy_input.track
        if track and track.timezone:
            return parse_zone(track.timezone)
        if instant.utcoffset():
            return instant.tzinfo
        brand, person = self.policy_input.brand, self.policy_input.zones
        is_persons_own = person.source in ("contact", "phone_number") and len(person.zones) == 1
        names = (
            brand.timezone if brand else None,
            person.zones[0].key if is_persons_own else None,
            self.policy_input.settings.default_timezone,
        )
        return next((parse_zone(name) for name in names if name), None)


def variables(context: Context) -> Values:
    """Return all variables of the reason's text."""
    message, configured = context.policy_input.message, context.policy_input.brand
    stop_text = context.text(configured.stop_text if configured else None)
    common = {"brand": context.brand, "channel": message.recipient.channel} | perhaps("stop_text", stop_text)
    return common | VARIABLES[message.reason](context)


def localised(value: Any, wanted: Sequence[str]) -> str:
    """Return a text for all, or the preferred language of a map of locale to text."""
    if isinstance(value, Mapping):
        texts = {name.replace("_", "-").lower(): text for name, text in value.items()}
        fitting = (texts[name.lower()] for name in wanted if name.lower() in texts)
        value = next(fitting, next(iter(texts.values()), None))
    return value if isinstance(value, str) else ""


def one_line(text: str) -> str:
    """Return words with one ordinary space between them.

    Letters are composed, and CLDR's special spaces become ordinary: one character outside the GSM alphabet halves the
    capacity of an SMS.
    """
    composed = unicodedata.normalize("NFC", text).translate(_BIDI_CONTROLS)
    if not composed.isprintable():
        composed = "".join(" " if unicodedata.category(c) in _BLANK else c for c in composed)
    return " ".join(composed.split())


@lru_cache(maxsize=1024)  # appointments of one day have one date, and few times
def _full_date(value: date, locale: Locale) -> str:
    return one_line(format_date(value, "full", locale=locale))


@lru_cache(maxsize=1024)
def _short_time(value: time, locale: Locale) -> str:
    return one_line(format_time(value, "short", locale=locale))


def perhaps(name: str, value: str) -> Values:
    """Return a variable that may be empty, and another one to select by."""
    return {f"has_{name}": "yes" if value else "no", name: value}


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 3].rstrip() + "..."


def _yes(condition: object) -> str:
    return "yes" if condition else "no"


def _starts(context: Context) -> Values:
    """Return the variables in the appointment's time zone. The service is left out: it may be about health."""
    starts_at = parse_instant(context.get("starts_at"))
    return context.moment(starts_at, context.place_zone(starts_at))


def _reminder(context: Context) -> Values:
    """Return the same with the link for the online check-in, unless a separate message brings it."""
    carries = carries_check_in(
        context.policy_input.message, context.policy_input.subject, context.policy_input.default_zone
    )
    link = context.optional("check_in_url") if carries else perhaps("check_in_url", "")
    return _starts(context) | context.optional("location") | link | {QUESTION: ""}


def one_of_several(context: Context) -> Values:
    """Return the variables of one of the appointments that a text names."""
    return VARIABLES[context.policy_input.message.reason](context) | _linked(context) | context.optional("location")


def _linked(context: Context) -> Values:
    is_check_in = context.policy_input.message.reason == "online_check_in"
    carried = is_check_in or carries_check_in(
        context.policy_input.message, context.policy_input.subject, context.policy_input.default_zone
    )
    return context.optional("check_in_url") if carried else perhaps("check_in_url", "")


def _moved(context: Context) -> Values:
    """Return the new time, or the time of an appointment that takes place after it was cancelled."""
    is_on_again = context.policy_input.corrects == "appointment_cancelled"
    return _starts(context) | {"on_again": _yes(is_on_again), QUESTION: ""}


def _trial(context: Context) -> Values:
    """Return the instant in the person's zone, if exactly one is known to be theirs."""
    ends_at = parse_instant(context.get("ends_at"))
    zones = context.policy_input.zones.zones
    ends = context.moment(ends_at, zones[0] if len(zones) == 1 else context.place_zone(ends_at))
    ended = {"ended": _yes(context.policy_input.now >= ends_at)}
    return context.required("product") | context.optional("upgrade_url") | ended | ends


def _cart(context: Context) -> Values:
    """Return the first items of the cart and the number of others; empty if no name is known."""
    given = context.get("items")
    items = given if isinstance(given, list) else []
    # An object without a name is nothing to read: its other fields are the shop's own.
    bare = [item.get("name") if isinstance(item, Mapping) else item for item in items]
    shown = [name for item in bare if (name := context.named(item, LONGEST_ITEM))][:ITEMS_NAMED]
    more = f" (+{len(items) - len(shown)})" if len(shown) < len(items) else ""
    return perhaps("items", ", ".join(shown) + more if shown else "") | context.required("cart_url")


def _hours(context: Context) -> Values:
    """Return dates and times of the place unchanged: they have no time zone."""
    closed = bool(context.get("closed"))
    hours = {
        name: "" if closed else context.clock(time.fromisoformat(context.get(name))) for name in ("opens", "closes")
    }
    return {"closed": _yes(closed), "date": context.day(date.fromisoformat(context.get("date")))} | hours


def _welcome(context: Context) -> Values:
    profile = context.policy_input.profile
    return perhaps("display_name", context.named(profile.display_name if profile else None))


def _answer(context: Context) -> Values:
    """Return the person's answer, as the reply was planned with it; a held reply no longer knows it.

    ``count``: to how many appointments.
    """
    facts = context.policy_input.message.facts
    answer, count = facts.get("answer"), facts.get(COUNT, 1)
    known = {*Answer, OPENED}
    shown = "other" if answer is None else str(answer) if answer in known else "unclear"
    return {"answer": shown, "count": str(count), "several": _yes(count > 1)}


def _help(context: Context) -> Values:
    """Return the brand's own answer, after its name if the answer does not contain it."""
    brand = context.policy_input.brand
    text = context.text(brand.help_text if brand else None)
    silent = text and context.brand.casefold() not in text.casefold()
    return perhaps("help_text", f"{context.brand}: {text}" if silent else text)


VARIABLES: Final[Mapping[str, Callable[[Context], Values]]] = MappingProxyType(
    {
        "appointment_reminder": _reminder,
        "appointment_moved": _moved,
        "appointment_cancelled": _starts,
        "online_check_in": lambda context: _starts(context) | context.required("check_in_url"),
        "trial_follow_up": _trial,
        "product_reminder": lambda context: context.required("name") | context.optional("url"),
        "cart_reminder": _cart,
        "order_shipped": lambda context: context.optional("carrier", "tracking_url"),
        "review_request": lambda context: context.optional("review_url"),
        "back_in_stock": lambda context: context.required("name") | context.optional("url"),
        "product_preview": lambda context: context.required("title") | context.optional("url"),
        "holiday_hours": _hours,
        "welcome_back": _welcome,
        "help_reply": _help,
        "answer_reply": _answer,
    }
)
"""The variables of each reason's text, beside the brand, the channel and how to stop."""
