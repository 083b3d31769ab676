"""What WhatsApp tells a business, as Meta's webhooks do: messages, what became of ours, and choices about marketing.

Shapes: developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference, the pages on messages,
statuses and ``user_preferences``. Timestamps are epoch seconds, mostly as text. Calls come at least once and in any
order: a message is told apart by its id, a status by the message and the state.

A person is known by their number, as the business systems know them, or, where WhatsApp withholds that, by their
``user_id``. It is the same entry that AWS wraps: see ``aws.py``.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from reengage.domain.commands import RecordChoice, RecordDelivery, Status
from reengage.domain.contact import Contact
from reengage.domain.conversation import InboundMessage
from reengage.domain.preferences import Choice
from reengage.domain.routes import Routes

from .reading import (
    Read,
    Reading,
    Said,
    Unreadable,
    asks_of,
    at,
    brand_of,
    contact,
    from_seconds,
    identifier_at,
    is_ours,
    label,
    name_at,
    text_at,
    word_at,
)

CHANNEL: Final = "whatsapp"
STOPPED_MARKETING: Final = 131050
"""The error "User has stopped marketing messages": of a message of ours, and a choice of theirs."""


@dataclass(frozen=True, slots=True)
class Setting:
    """``provider`` is whom the entry came by. ``names`` gives what else it calls the phone number of that id."""

    routes: Routes
    arrived_at: datetime
    provider: str = "meta"
    names: Callable[[Any], Iterable[Any]] = lambda _: ()


@dataclass(frozen=True, slots=True)
class _Value:
    """What the items of one change have in common."""

    value: Any
    setting: Setting

    @property
    def brand(self) -> str:
        number = at(self.value, "metadata", "phone_number_id")
        display = at(self.value, "metadata", "display_phone_number")
        setting = self.setting
        return brand_of(setting.routes, setting.provider, CHANNEL, number, *setting.names(number), display)

    def person(self, *addresses: Any) -> Contact:
        """By the first address that is told: the phone number comes before the user id."""
        return contact(self.brand, CHANNEL, next((address for address in addresses if address), None))

    def profile(self, phone: Any, user_id: Any) -> Any:
        """What is said of the sender; of several, by number or user id."""
        people = at(self.value, "contacts")
        people = people if isinstance(people, list) else []
        for person in people:
            known = (at(person, "wa_id"), at(person, "user_id"))
            if (phone and phone == known[0]) or (user_id and user_id == known[1]):
                return person
        return people[0] if len(people) == 1 else None


def meta(payload: Any, *, routes: Routes, arrived_at: datetime) -> Read:
    """The body of a call, as parsed."""
    reading = Reading()
    if not isinstance(at(payload, "entry"), list):
        reading.error("$.entry: expected a list")
        return reading.done()
    for path, entry in reading.each(payload, "entry", "$"):
        read_entry(entry, path, reading, Setting(routes, arrived_at))
    return reading.done()


def read_entry(entry: Any, path: str, reading: Reading, setting: Setting) -> None:
    if not isinstance(at(entry, "changes"), list):
        reading.error(f"{path}.changes: expected a list")
    else:
        for path_of_change, change in reading.each(entry, "changes", path):
            _read_change(change, path_of_change, reading, setting)


def _read_change(change: Any, path: str, reading: Reading, setting: Setting) -> None:
    """A change of another field, such as a template's review or what the business itself wrote, is ignored."""
    field = at(change, "field")
    if not isinstance(field, str):
        reading.error(f"{path}.field: expected text")
        return
    if field not in _FIELDS:
        reading.ignore()
        return
    value = at(change, "value")
    if not isinstance(value, dict):
        reading.error(f"{path}.value: expected an object")
        return
    if isinstance(others := value.get("standby"), dict):
        value |= others
    for name, read in _FIELDS[field].items():
        for path_of_item, item in reading.each(value, name, f"{path}.value"):
            reading.take(path_of_item, partial(read, item, _Value(value, setting)))


# Messages


def _message(item: Any, value: _Value) -> Iterator[Said]:
    """What happens in a group is not said to the business alone, and what is taken back is not said at all."""
    kind = word_at(item, "type")
    if kind in _NOT_SAID or at(item, "group_id") or (kind == "reaction" and not text_at(item, "reaction", "emoji")):
        return
    phone, user_id = at(item, "from"), at(item, "from_user_id")
    profile = value.profile(phone, user_id)
    yield InboundMessage(
        contact=value.person(phone, at(profile, "wa_id"), user_id, at(profile, "user_id")),
        message_id=identifier_at(item, "id"),
        sent_at=from_seconds(at(item, "timestamp")),
        arrived_at=value.setting.arrived_at,
        text=_text(kind, item),
        display_name=name_at(profile, "profile", "name"),
        kind=kind if kind in _TEXTS else "unsupported",
        asks=asks_of(text_at(item, *path) for path in _PAYLOADS),
    )


def _text(kind: str, item: Any) -> str:
    if kind == "edit":
        edited = at(item, "edit", "message")
        return _text(word_at(edited, "type"), edited) if at(edited, "type") != "edit" else ""
    return next(filter(None, (text_at(item, *path) for path in _TEXTS.get(kind, ()))), "") or _names(kind, item)


def _names(kind: str, item: Any) -> str:
    people = at(item, "contacts") if kind == "contacts" else None
    names = [text_at(person, "name", "formatted_name") for person in people] if isinstance(people, list) else []
    return ", ".join(filter(None, names))


_TEXTS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = MappingProxyType(
    {
        "text": (("text", "body"),),
        "image": (("image", "caption"),),
        "video": (("video", "caption"),),
        "document": (("document", "caption"),),
        "audio": (),
        "sticker": (),
        "location": (("location", "name"), ("location", "address")),
        "contacts": (),
        "reaction": (("reaction", "emoji"),),
        "button": (("button", "text"),),
        "interactive": (("interactive", "button_reply", "title"), ("interactive", "list_reply", "title")),
        "order": (("order", "text"),),
        "edit": (),
    }
)
"""Where the readable part of each kind of message stands. Any other, such as a poll or whatever Meta adds next, is a
message all the same, ``unsupported``.
"""

_PAYLOADS: Final = (
    ("button", "payload"),
    ("interactive", "button_reply", "id"),
    ("interactive", "list_reply", "id"),
)
_NOT_SAID: Final = frozenset({"system", "revoke", "request_welcome"})
"""A new number or identity, a message deleted, a chat that was opened and not written in."""


# What became of ours


def _status(item: Any, value: _Value) -> Iterator[Said]:
    scheduled_message_id, _, sent_to = text_at(item, "biz_opaque_callback_data").partition(" ")
    if not is_ours(scheduled_message_id):
        return
    word = word_at(item, "status")
    if word == "deleted":
        return
    if word not in _STATUSES:
        raise Unreadable("status: expected one that is known")
    status = _STATUSES[word]
    errors = at(item, "errors")
    error = errors[0] if isinstance(errors, list) and errors else None
    person = value.person(sent_to, at(item, "recipient_id"), at(item, "recipient_user_id"))
    happened_at = from_seconds(at(item, "timestamp"))
    yield RecordDelivery(
        contact=person,
        scheduled_message_id=scheduled_message_id,
        status=status,
        at=happened_at,
        provider_message_id=identifier_at(item, "id"),
        error=(_error(error) or word) if status == "undelivered" else None,
    )
    if status == "undelivered" and at(error, "code") == STOPPED_MARKETING:
        cause = {"receipt_of": scheduled_message_id, "error": STOPPED_MARKETING}
        yield RecordChoice(person, "marketing", Choice(allowed=False, at=happened_at, cause=cause))


_STATUSES: Final[Mapping[str, Status]] = MappingProxyType(
    {"sent": "sent", "delivered": "delivered", "read": "delivered", "played": "delivered", "failed": "undelivered"}
)


def _error(error: Any) -> str:
    return label(at(error, "code"), at(error, "title"))


# Choices


def _preference(item: Any, value: _Value) -> Iterator[Said]:
    """``stop`` and ``resume`` of marketing, in WhatsApp's own settings of the chat; ``signup`` by a link."""
    if at(item, "category") != "marketing_messages":
        return
    word = word_at(item, "value")
    if word not in _WISHES:
        raise Unreadable("value: expected stop, resume or signup")
    yield RecordChoice(
        value.person(at(item, "wa_id"), at(item, "user_id")),
        "marketing",
        Choice(allowed=_WISHES[word], at=from_seconds(at(item, "timestamp")), cause={"whatsapp": word}),
    )


_WISHES: Final = MappingProxyType({"stop": False, "resume": True, "signup": True})


def _trouble(item: Any, _: _Value) -> Iterable[Said]:
    """An error of no message in particular: Meta's code says which."""
    code = at(item, "code")
    raise Unreadable(f"error {label(code)}" if isinstance(code, int) else "an error without a code")


_FIELDS: Final[Mapping[str, Mapping[str, Callable[[Any, _Value], Iterable[Said]]]]] = MappingProxyType(
    {
        "messages": {"messages": _message, "statuses": _status, "errors": _trouble},
        # The same, one level down, while another sender of the number's, such as Meta Business Agent, answers.
        "standby": {"messages": _message, "statuses": _status},
        "user_preferences": {"user_preferences": _preference},
    }
)
"""Each field that is subscribed to, the lists that its value holds, and who reads their items."""
