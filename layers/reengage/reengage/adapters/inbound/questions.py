"""Questions that are put to the app by hand: about a contact, or about an event that nobody has sent yet."""

from typing import Any, Literal, NamedTuple

from reengage.adapters.inbound.eventbridge import contact_at, said
from reengage.domain.contact import Contact
from reengage.domain.subject import BusinessEvent
from reengage.errors import InvalidEvent


class AboutContact(NamedTuple):
    asks: Literal["explain", "export"]
    contact: Contact


class AboutEvent(NamedTuple):
    event: BusinessEvent


Question = AboutContact | AboutEvent


def question(asked: Any) -> Question:
    """``{"contact": …}``, with ``"export": true`` for all that is held; or ``{"preview": <event in>}``.

    Raises ``InvalidEvent`` with every field that is wrong.
    """
    if not isinstance(asked, dict) or ("contact" in asked) == ("preview" in asked):
        raise InvalidEvent(['$: expected {"contact": {"brand", "channel", "address"}} or {"preview": event}'])
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
