"""Parse the webhooks of WhatsApp's Cloud API: messages, statuses, marketing preferences, and messages of staff.

Shapes: developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference, the pages on messages,
statuses, ``user_preferences`` and ``smb_message_echoes``. Timestamps are epoch seconds, mostly as text. Calls arrive at
least once and in any order: the id identifies a message, the message and the state identify a status.

A person is known by a phone number, as business systems know them, or by a ``user_id`` if WhatsApp withholds the
number. If a call has both, they are linked. AWS wraps the same entry: see ``aws.py``.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any, Final

from reengage.domain.commands import LinkContact, MoveContact, RecordAgentReply, RecordChoice, RecordDelivery, Status
from reengage.domain.contact import Contact
from reengage.domain.conversation import InboundMessage
from reengage.domain.preferences import Choice
from reengage.domain.routes import Routes

from .parsing import (
    CallParser,
    Parsed,
    ParsedCall,
    ParseError,
    button_request,
    find_brand,
    from_seconds,
    get,
    get_id,
    get_name,
    get_optional_id,
    get_payload,
    get_text,
    get_word,
    is_own_message_id,
    log_label,
    parse_contact,
)

CHANNEL: Final = "whatsapp"
STOPPED_MARKETING: Final = 131050
"""Error "User has stopped marketing messages": the outcome of a message, and a choice of the person."""

_ADDRESS: Final = re.compile(r"\+?[0-9]{7,15}|[A-Z]{2}\.[A-Za-z0-9._-]{1,250}", re.ASCII)
"""A phone number, or a user id: the country, a dot, and further parts."""


@dataclass(frozen=True, slots=True)
class ParseContext:
    """``provider`` is the sender of the entry. ``aliases`` returns its other names for the phone number of an id."""

    routes: Routes
    arrived_at: datetime
    provider: str = "meta"
    aliases: Callable[[Any], Iterable[Any]] = lambda _: ()


@dataclass(frozen=True)
class _Change:
    """What the items of one change have in common."""

    value: Any
    context: ParseContext

    @cached_property
    def _people(self) -> list[Any]:
        people = get(self.value, "contacts")
        return people if isinstance(people, list) else []

    @cached_property
    def _brand(self) -> str | ParseError:
        number = get(self.value, "metadata", "phone_number_id")
        display = get(self.value, "metadata", "display_phone_number")
        context = self.context
        try:
            return find_brand(context.routes, context.provider, CHANNEL, number, *context.aliases(number), display)
        except ParseError as error:
            return error

    @cached_property
    def _by_id(self) -> Mapping[Any, Any]:
        """Return the profiles by each of their ids. One pass over all of them: a call may have thousands."""
        found: dict[str, Any] = {}
        for person in self._people:
            for name in _PROFILE_IDS:
                if isinstance(known := get(person, name), str) and known:
                    found.setdefault(known, person)
        return found

    def contact(self, *addresses: Any) -> Contact:
        """Return the contact of the first address that is given. A phone number comes before a user id."""
        if isinstance(self._brand, ParseError):
            raise self._brand
        address = next((address for address in addresses if address), None)
        if isinstance(address, str) and not _ADDRESS.fullmatch(address):
            raise ParseError("expected a phone number or a user id")
        return parse_contact(self._brand, CHANNEL, address)

    def links(self, contact: Contact, at: datetime, *user_ids: Any) -> Iterator[LinkContact]:
        """Return a link to each user id that the call gives for the same person."""
        seen = {contact.address}
        for user_id in user_ids:
            if isinstance(user_id, str) and user_id not in seen and _ADDRESS.fullmatch(user_id):
                seen.add(user_id)
                yield LinkContact(contact, self.contact(user_id), at)

    def matching_profile(self, *ids: Any) -> Any:
        """Return the profile that has one of these ids."""
        return next((self._by_id[each] for each in ids if isinstance(each, str) and each in self._by_id), None)

    @property
    def only_profile(self) -> Any:
        return self._people[0] if len(self._people) == 1 else None


_PROFILE_IDS: Final = ("wa_id", "user_id", "parent_user_id")


def parse_meta(payload: Any, *, routes: Routes, arrived_at: datetime) -> ParsedCall:
    """Parse the decoded body of a call."""
    parser = CallParser()
    if not isinstance(get(payload, "entry"), list):
        parser.add_error("$.entry: expected a list")
        return parser.result()
    for path, entry in parser.items(payload, "entry", "$"):
        parse_entry(entry, path, parser, ParseContext(routes, arrived_at))
    return parser.result()


def parse_entry(entry: Any, path: str, parser: CallParser, context: ParseContext) -> None:
    if not isinstance(get(entry, "changes"), list):
        parser.add_error(f"{path}.changes: expected a list")
    else:
        for path_of_change, change in parser.items(entry, "changes", path):
            _parse_change(change, path_of_change, parser, context)


def _parse_change(change: Any, path: str, parser: CallParser, context: ParseContext) -> None:
    """Parse a change. A change of another field, such as the review of a template, is ignored."""
    name = get(change, "field")
    if not isinstance(name, str):
        parser.add_error(f"{path}.field: expected text")
        return
    if name not in _FIELDS:
        parser.ignore()
        return
    value = get(change, "value")
    if not isinstance(value, dict):
        parser.add_error(f"{path}.value: expected an object")
        return
    if isinstance(others := value.get("standby"), dict):
        value |= others
    common = _Change(value, context)
    for items, parse in _FIELDS[name].items():
        for path_of_item, item in parser.items(value, items, f"{path}.value"):
            parser.parse(path_of_item, partial(parse, item, common))


# Messages


def _parse_message(item: Any, change: _Change) -> Iterator[Parsed]:
    """Parse a message to the business: not one in a group, and not a reaction that was removed."""
    kind = get_word(item, "type")
    if kind == "system":
        yield from _parse_system(item, change)
        return
    if kind in _IGNORED_TYPES or get(item, "group_id") or (kind == "reaction" and not get(item, "reaction", "emoji")):
        return
    phone, user_id, parent_id = (get(item, name) for name in ("from", "from_user_id", "from_parent_user_id"))
    matching = change.matching_profile(phone, user_id, parent_id)
    profile = matching or change.only_profile
    user_ids = (user_id, get(profile, "user_id"), parent_id, get(profile, "parent_user_id"))
    contact = change.contact(phone, get(profile, "wa_id"), *user_ids)
    # Never linked by guess: the only profile of a call need not be the sender's.
    same_ids = (user_id, get(matching, "user_id"), parent_id, get(matching, "parent_user_id"))
    sent_at = from_seconds(get(item, "timestamp"))
    payload = next(filter(None, (get_payload(item, *path) for path in _PAYLOAD_PATHS)), None)
    message = InboundMessage(
        contact=contact,
        message_id=get_id(item, "id"),
        sent_at=sent_at,
        arrived_at=change.context.arrived_at,
        text=_text(kind, item),
        display_name=get_name(profile, "profile", "name"),
        kind=kind if kind in _TEXT_PATHS else "unsupported",
        asks=button_request(*(get_text(item, *path) for path in _PAYLOAD_PATHS)),
        quoted_message_id=get_optional_id(item, "context", "id") or _quoted_by_edit(item),
        payload=payload,
    )
    yield from change.links(contact, sent_at, *same_ids)
    yield message


def _parse_system(item: Any, change: _Change) -> Iterator[Parsed]:
    """Parse a notice that the person has another number or user id. Other notices are ignored."""
    system = get(item, "system")
    if get(system, "type") not in _MOVES:
        return
    at = from_seconds(get(item, "timestamp"))
    number = get(system, "wa_id") or get(system, "new_wa_id")
    old_id, new_id = get(system, "previous_user_id"), get(system, "user_id")
    if (former := get(item, "from")) and number and former != number:
        yield MoveContact(change.contact(former), change.contact(number), at)
    if old_id and new_id and old_id != new_id:
        yield MoveContact(change.contact(old_id), change.contact(new_id), at)
    if current := number or former:
        yield from change.links(change.contact(current), at, new_id)


_MOVES: Final = frozenset({"user_changed_number", "customer_changed_number", "user_changed_user_id"})


def _text(kind: str, item: Any) -> str:
    if kind == "edit":
        edited = get(item, "edit", "message")
        return _text(get_word(edited, "type"), edited) if get(edited, "type") != "edit" else ""
    return next(filter(None, (get_text(item, *path) for path in _TEXT_PATHS.get(kind, ()))), "") or _names(kind, item)


def _quoted_by_edit(item: Any) -> str | None:
    """Return what the edited message replies to. Meta's documentation has ``M0`` there: that is no message's id."""
    quoted = get_optional_id(item, "edit", "message", "context", "id")
    return quoted if quoted and quoted.startswith("wamid.") else None


def _names(kind: str, item: Any) -> str:
    people = get(item, "contacts") if kind == "contacts" else None
    names = [get_text(person, "name", "formatted_name") for person in people] if isinstance(people, list) else []
    return ", ".join(filter(None, names))


_TEXT_PATHS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = MappingProxyType(
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
"""Where each kind of message has its text. Any other kind, such as a poll, is a message too: ``unsupported``."""

_PAYLOAD_PATHS: Final = (
    ("button", "payload"),
    ("interactive", "button_reply", "id"),
    ("interactive", "list_reply", "id"),
)
_IGNORED_TYPES: Final = frozenset({"revoke", "request_welcome"})
"""A message was deleted; a chat was opened and has no message yet."""


def _parse_echo(item: Any, change: _Change) -> Iterator[Parsed]:
    """Parse a message that a person of the business sent from the WhatsApp Business app."""
    if get(item, "type") == "revoke" or get(item, "group_id"):
        return
    contact = change.contact(get(item, "to"), get(item, "to_user_id"), get(item, "to_parent_user_id"))
    sent_at = from_seconds(get(item, "timestamp"))
    yield from change.links(contact, sent_at, get(item, "to_user_id"))
    yield RecordAgentReply(contact, sent_at)


# Statuses


def _parse_status(item: Any, change: _Change) -> Iterator[Parsed]:
    scheduled_message_id, _, sent_to = get_text(item, "biz_opaque_callback_data").partition(" ")
    if not is_own_message_id(scheduled_message_id):
        return
    word = get_word(item, "status")
    if word == "deleted":
        return
    if word not in _STATUSES:
        raise ParseError("status: expected a known one")
    status = _STATUSES[word]
    errors = get(item, "errors")
    error = errors[0] if isinstance(errors, list) and errors else None
    contact = change.contact(sent_to, get(item, "recipient_id"), get(item, "recipient_user_id"))
    at = from_seconds(get(item, "timestamp"))
    if word == "delivered":  # once a message: each link is an event
        yield from change.links(contact, at, get(item, "recipient_user_id"))
    yield RecordDelivery(
        contact=contact,
        scheduled_message_id=scheduled_message_id,
        status=status,
        at=at,
        provider_message_id=get_id(item, "id"),
        error=(_error(error) or word) if status == "undelivered" else None,
    )
    if status == "undelivered" and get(error, "code") == STOPPED_MARKETING:
        cause = {"receipt_of": scheduled_message_id, "error": STOPPED_MARKETING}
        yield RecordChoice(contact, "marketing", Choice(allowed=False, at=at, cause=cause))


_STATUSES: Final[Mapping[str, Status]] = MappingProxyType(
    {"sent": "sent", "delivered": "delivered", "read": "delivered", "played": "delivered", "failed": "undelivered"}
)


def _error(error: Any) -> str:
    return log_label(get(error, "code"), get(error, "title"))


# Preferences


def _parse_preference(item: Any, change: _Change) -> Iterator[Parsed]:
    """Parse ``stop`` or ``resume`` of marketing in WhatsApp's settings of the chat, or ``signup`` by a link."""
    if get(item, "category") != "marketing_messages":
        return
    word = get_word(item, "value")
    if word not in _PREFERENCES:
        raise ParseError("value: expected stop, resume or signup")
    phone, user_id = get(item, "wa_id"), get(item, "user_id")
    profile = change.matching_profile(phone, user_id)
    contact = change.contact(phone, get(profile, "wa_id"), user_id, get(profile, "user_id"))
    at = from_seconds(get(item, "timestamp"))
    yield from change.links(contact, at, user_id, get(profile, "user_id"))
    choice = Choice(allowed=_PREFERENCES[word], at=at, cause={"whatsapp": word})
    yield RecordChoice(contact, "marketing", choice)


_PREFERENCES: Final = MappingProxyType({"stop": False, "resume": True, "signup": True})


def _account_error(item: Any, _: _Change) -> Iterable[Parsed]:
    """Raise an error that concerns no single message. Meta's code names the cause."""
    code = get(item, "code")
    raise ParseError(f"error {log_label(code)}" if isinstance(code, int) else "an error without a code")


_FIELDS: Final[Mapping[str, Mapping[str, Callable[[Any, _Change], Iterable[Parsed]]]]] = MappingProxyType(
    {
        "messages": {"messages": _parse_message, "statuses": _parse_status, "errors": _account_error},
        # The same lists, if another application of the number, such as Meta Business Agent, replies.
        "standby": {"messages": _parse_message, "statuses": _parse_status},
        "user_preferences": {"user_preferences": _parse_preference},
        "smb_message_echoes": {"message_echoes": _parse_echo},
    }
)
"""The fields to subscribe to, the lists in their values, and the parser of each list's items."""
