"""Questions that are put to the app by hand: about a contact, or about an event that nobody has sent yet."""

from typing import Any, Final, Literal, NamedTuple

from reengage.adapters.inbound.eventbridge import contact_at, said
from reengage.domain.contact import Contact, parse_brand
from reengage.domain.subject import BusinessEvent, SubjectRef
from reengage.errors import InvalidEvent


class AboutContact(NamedTuple):
    asks: Literal["explain", "export"]
    contact: Contact


class AboutEvent(NamedTuple):
    event: BusinessEvent


class AboutBroadcast(NamedTuple):
    subject: SubjectRef


Question = AboutContact | AboutEvent | AboutBroadcast

BROADCASTS: Final = {"announcement_id": "announcement", "item_id": "item"}
"""What a broadcast is named by, and the kind of subject that this is the id of."""


def question(asked: Any) -> Question:
    """``{"contact": …}``, with ``"export": true`` for all that is held; ``{"preview": <event in>}``; or
    ``{"broadcast": {"brand", "announcement_id" or "item_id"}}``.

    Raises ``InvalidEvent`` with every field that is wrong.
    """
    if not isinstance(asked, dict) or len(asked.keys() & {"contact", "preview", "broadcast"}) != 1:
        wanted = '{"contact": {"brand", "channel", "address"}}, {"preview": event} or {"broadcast": {"brand", …}}'
        raise InvalidEvent([f"$: expected {wanted}"])
    if "broadcast" in asked:
        return AboutBroadcast(_broadcast(asked["broadcast"]))
    if "contact" in asked:
        export = asked.get("export", False)
        if not isinstance(export, bool):
            raise InvalidEvent(["$.export: expected true or false"])
        return AboutContact("export" if export else "explain", contact_at(asked["contact"], "$.contact"))
    try:
        event = said(asked["preview"])
    except InvalidEvent as why:
        raise InvalidEvent([error.replace("$", "$.preview", 1) for error in why.errors]) from why
    if not isinstance(event, BusinessEvent):
        raise InvalidEvent(["$.preview.detail-type: expected an event that plans messages, or withdraws them"])
    return AboutEvent(event)


def _broadcast(named: Any) -> SubjectRef:
    given = named if isinstance(named, dict) else {}
    ids = [(kind, given[field]) for field, kind in BROADCASTS.items() if field in given]
    try:
        brand = parse_brand(str(given.get("brand", "")))
    except ValueError as error:
        raise InvalidEvent([f"$.broadcast.brand: {error}"]) from error
    match ids:
        case [(kind, str(subject_id))] if subject_id:
            return SubjectRef(brand, kind, subject_id)
        case _:
            raise InvalidEvent([f"$.broadcast: expected one of {', '.join(BROADCASTS)}, as text"])
