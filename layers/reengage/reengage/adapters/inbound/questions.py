"""Questions that are put to the app by hand: about a contact, or about an event that nobody has sent yet."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final, Literal, NamedTuple

from reengage.adapters.inbound.eventbridge import broadcast_at, contact_at, day_at, parse_business_event
from reengage.domain.contact import Contact
from reengage.domain.subject import BusinessEvent, SubjectRef
from reengage.errors import InvalidEvent


class AboutContact(NamedTuple):
    asks: Literal["explain", "export"]
    contact: Contact


class AboutEvent(NamedTuple):
    event: BusinessEvent


class AboutBroadcast(NamedTuple):
    subject: SubjectRef


class AboutStory(NamedTuple):
    """A story to simulate: its lines, not read yet."""

    lines: Sequence[Any]


class AboutDay(NamedTuple):
    brand: str
    date: date


Question = AboutContact | AboutEvent | AboutBroadcast | AboutStory | AboutDay


QUESTIONS: Final = {
    "contact": '{"contact": {"brand", "channel", "address"}}',
    "preview": '{"preview": event}',
    "broadcast": '{"broadcast": {"brand", …}}',
    "simulate": '{"simulate": [line, …]}',
    "day": '{"day": {"brand", "date"}}',
}
"""By the field that names it, the form of each question."""


def question(asked: Any) -> Question:
    """``{"contact": …}``, with ``"export": true`` for all that is held; ``{"preview": <event in>}``;
    ``{"broadcast": {"brand", "announcement_id" or "item_id"}}``; ``{"simulate": [line of a story, …]}``; or
    ``{"day": {"brand", "date"}}``.

    Raises ``InvalidEvent`` with every field that is wrong.
    """
    if not isinstance(asked, dict) or len(asked.keys() & QUESTIONS.keys()) != 1:
        raise InvalidEvent([f"$: expected one of {', '.join(QUESTIONS.values())}"])
    if "simulate" in asked:
        if not isinstance(asked["simulate"], list):
            raise InvalidEvent(["$.simulate: expected a list of a story's lines"])
        return AboutStory(asked["simulate"])
    if "broadcast" in asked:
        return AboutBroadcast(broadcast_at(asked["broadcast"], "$.broadcast"))
    if "day" in asked:
        return AboutDay(*day_at(asked["day"], "$.day"))
    if "contact" in asked:
        export = asked.get("export", False)
        if not isinstance(export, bool):
            raise InvalidEvent(["$.export: expected true or false"])
        return AboutContact("export" if export else "explain", contact_at(asked["contact"], "$.contact"))
    try:
        event = parse_business_event(asked["preview"])
    except InvalidEvent as why:
        raise InvalidEvent([error.replace("$", "$.preview", 1) for error in why.errors]) from why
    if not isinstance(event, BusinessEvent):
        raise InvalidEvent(["$.preview.detail-type: expected an event that plans messages, or withdraws them"])
    return AboutEvent(event)
