"""Parse the queries of ``ExplainFunction``: a contact, an event to preview, a broadcast, a story, pauses and others."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, Final, Literal, NamedTuple

from msgspec import Struct

from reengage.adapters.inbound.decoding import decode_fields
from reengage.adapters.inbound.event_types import EVENT_SCHEMAS, EVENTS_IN
from reengage.adapters.inbound.eventbridge import broadcast_at, contact_at, day_at, parse_business_event
from reengage.adapters.inbound.field_types import Brand, Channel, Locale
from reengage.domain.contact import Contact, parse_brand
from reengage.domain.instants import NamedDay
from reengage.domain.reasons import REASONS
from reengage.domain.routes import Routes
from reengage.domain.subject import BusinessEvent, SubjectRef
from reengage.errors import InvalidEvent


class AboutContact(NamedTuple):
    output: Literal["explain", "export"]
    contact: Contact
    after: str | None = None


class AboutEvent(NamedTuple):
    event: BusinessEvent


class AboutBroadcast(NamedTuple):
    subject: SubjectRef


class AboutStory(NamedTuple):
    """A story to simulate: its lines, not parsed yet."""

    lines: Sequence[Any]


class AboutDay(NamedTuple):
    brand: str
    date: date | NamedDay


class AboutTexts(NamedTuple):
    """A brand's texts with sample data. Without ``reasons`` or ``locales``: all of them."""

    brand: str
    channel: str
    reasons: Sequence[str]
    locales: Sequence[str]


class AboutSubject(NamedTuple):
    """``brand`` is ``None`` if the stack must have only one."""

    brand: str | None
    kind: str
    id: str

    def ref(self, routes: Routes) -> SubjectRef:
        """Return the subject, of the routes' only brand if no other is named. Raises ``InvalidEvent``."""
        brands = [self.brand] if self.brand else sorted(routes.brands)
        if len(brands) != 1:
            known = ", ".join(brands) or "none"
            raise InvalidEvent([f"$.subject.brand: is required; brands in Routes: {known}"])
        return SubjectRef(brands[0], self.kind, self.id)


class AboutOpener(NamedTuple):
    """How the people of a subject can open their conversations."""

    subject: AboutSubject


class AboutPauses(NamedTuple):
    """``is_widget``: the dashboard wants HTML."""

    is_widget: bool


Question = (
    AboutSubject
    | AboutOpener
    | AboutContact
    | AboutEvent
    | AboutBroadcast
    | AboutStory
    | AboutDay
    | AboutTexts
    | AboutPauses
)


def question(query: Any) -> Question:
    """Parse a query: an object with exactly one field of ``QUESTIONS``.

    Raises ``InvalidEvent`` with every field that is wrong.
    """
    asked = query.keys() & QUESTIONS.keys() if isinstance(query, dict) else set()
    if len(asked) != 1:
        raise InvalidEvent([f"$: expected one of {', '.join(form for form, _ in QUESTIONS.values())}"])
    _, parse = QUESTIONS[asked.pop()]
    return parse(query)


KINDS: Final = ("appointment", "trial", "order", "cart")
"""The kinds of subject that a person at the front desk knows by an id."""


def _about_opener(query: Mapping[str, Any]) -> AboutOpener:
    return AboutOpener(_about_subject(query["opener"], "$.opener"))


def _about_subject(value: Any, at: str = "$.subject") -> AboutSubject:
    fields = value if isinstance(value, dict) else {}
    kind, subject_id, brand = fields.get("kind"), fields.get("id"), fields.get("brand")
    errors = []
    if kind not in KINDS:
        errors.append(f"{at}.kind: expected one of {', '.join(KINDS)}")
    if not isinstance(subject_id, str) or not subject_id:
        errors.append(f"{at}.id: expected an id, such as a-17")
    try:
        brand = None if brand is None else parse_brand(str(brand))
    except ValueError as error:
        errors.append(f"{at}.brand: {error}")
    if errors:
        raise InvalidEvent(errors)
    return AboutSubject(brand, str(kind), str(subject_id))


def _about_contact(query: Mapping[str, Any]) -> AboutContact:
    export = query.get("export", False)
    if not isinstance(export, bool):
        raise InvalidEvent(["$.export: expected true or false"])
    cursor = query.get("after")
    if cursor is not None and not (export and isinstance(cursor, str) and cursor):
        raise InvalidEvent(['$.after: expected the text of "next" in the part of an export before'])
    return AboutContact("export" if export else "explain", contact_at(query["contact"], "$.contact"), cursor)


def _about_event(query: Mapping[str, Any]) -> AboutEvent:
    try:
        event = _event_to_preview(query["preview"])
    except InvalidEvent as error:
        raise InvalidEvent([text.replace("$", "$.preview", 1) for text in error.errors]) from error
    return AboutEvent(event)


def _event_to_preview(envelope: Any) -> BusinessEvent:
    name = envelope.get("detail-type") if isinstance(envelope, dict) else None
    is_processed_elsewhere = isinstance(name, str) and name in EVENTS_IN and name not in EVENT_SCHEMAS
    event = None if is_processed_elsewhere else parse_business_event(envelope)
    if not isinstance(event, BusinessEvent):
        raise InvalidEvent(["$.detail-type: expected an event that plans or cancels messages"])
    return event


class TextsFields(Struct):
    brand: Brand
    channel: Channel = Channel("sms")
    reasons: list[str] = []
    locales: list[Locale] = []


def _about_texts(value: Any) -> AboutTexts:
    errors: list[str] = []
    fields = decode_fields(value, TextsFields, "$.texts", errors)
    unknown = [name for name in (fields.reasons if fields else ()) if name not in REASONS]
    if unknown:
        errors.append(f"$.texts.reasons: expected some of {', '.join(REASONS)}")
    if fields is None or errors:
        raise InvalidEvent(errors)
    return AboutTexts(str(fields.brand), str(fields.channel), fields.reasons, list(fields.locales))


def _about_story(query: Mapping[str, Any]) -> AboutStory:
    if not isinstance(query["simulate"], list):
        raise InvalidEvent(["$.simulate: expected a list of a story's lines"])
    return AboutStory(query["simulate"])


def _about_pauses(query: Mapping[str, Any]) -> AboutPauses:
    """CloudWatch adds ``widgetContext`` if a dashboard asks."""
    if query["pauses"] is not True:
        raise InvalidEvent(["$.pauses: expected true"])
    return AboutPauses("widgetContext" in query)


QUESTIONS: Final[Mapping[str, tuple[str, Callable[[Mapping[str, Any]], Question]]]] = {
    "contact": (
        '{"contact": {"brand", "channel", "address"}}, for all stored data with "export": true, then "after"',
        _about_contact,
    ),
    "preview": ('{"preview": event}', _about_event),
    "broadcast": (
        '{"broadcast": {"brand", "announcement_id" or "item_id"}}',
        lambda query: AboutBroadcast(broadcast_at(query["broadcast"], "$.broadcast")),
    ),
    "simulate": ('{"simulate": [line, …]}', _about_story),
    "texts": (
        '{"texts": {"brand", optional "channel", "reasons", "locales"}}',
        lambda query: _about_texts(query["texts"]),
    ),
    "day": ('{"day": {"brand", "date"}}', lambda query: AboutDay(*day_at(query["day"], "$.day"))),
    "opener": ('{"opener": {"kind", "id", optional "brand"}}', _about_opener),
    "subject": ('{"subject": {"kind", "id", optional "brand"}}', lambda query: _about_subject(query["subject"])),
    "pauses": ('{"pauses": true}', _about_pauses),
}
"""By the field that names a query: its form, and its parser."""
