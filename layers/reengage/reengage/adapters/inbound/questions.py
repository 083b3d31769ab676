"""Parse the queries of ``ExplainFunction``: a contact, an event to preview, a broadcast, a story or a day."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final, Literal, NamedTuple

from reengage.adapters.inbound.eventbridge import broadcast_at, contact_at, day_at, parse_business_event
from reengage.domain.contact import Contact
from reengage.domain.subject import BusinessEvent, SubjectRef
from reengage.errors import InvalidEvent


class AboutContact(NamedTuple):
    output: Literal["explain", "export"]
    contact: Contact


class AboutEvent(NamedTuple):
    event: BusinessEvent


class AboutBroadcast(NamedTuple):
    subject: SubjectRef


class AboutStory(NamedTuple):
    """A story to simulate: its lines, not parsed yet."""

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
"""The form of each query, by its field."""


def question(query: Any) -> Question:
    """Parse a query.

    It is ``{"contact": …}``, with ``"export": true`` for all stored data; ``{"preview": <event in>}``;
    ``{"broadcast": {"brand", "announcement_id" or "item_id"}}``; ``{"simulate": [line of a story, …]}``; or
    ``{"day": {"brand", "date"}}``.

    Raises ``InvalidEvent`` with every field that is wrong.
    """
    if not isinstance(query, dict) or len(query.keys() & QUESTIONS.keys()) != 1:
        raise InvalidEvent([f"$: expected one of {', '.join(QUESTIONS.values())}"])
    if "simulate" in query:
        if not isinstance(query["simulate"], list):
            raise InvalidEvent(["$.simulate: expected a list of a story's lines"])
        return AboutStory(query["simulate"])
    if "broadcast" in query:
        return AboutBroadcast(broadcast_at(query["broadcast"], "$.broadcast"))
    if "day" in query:
        return AboutDay(*day_at(query["day"], "$.day"))
    if "contact" in query:
        export = query.get("export", False)
        if not isinstance(export, bool):
            raise InvalidEvent(["$.export: expected true or false"])
        return AboutContact("export" if export else "explain", contact_at(query["contact"], "$.contact"))
    try:
        event = parse_business_event(query["preview"])
    except InvalidEvent as error:
        raise InvalidEvent([text.replace("$", "$.preview", 1) for text in error.errors]) from error
    if not isinstance(event, BusinessEvent):
        raise InvalidEvent(["$.preview.detail-type: expected an event that plans or cancels messages"])
    return AboutEvent(event)
