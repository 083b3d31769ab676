"""What a provider's call contains, and the small functions of which each provider's parser is made.

A parser takes what the provider sent, decoded from JSON or a form, and never raises. An entry that it cannot parse
becomes an error, and the other entries are parsed. Errors name the path and what is wrong. They never quote personal
data.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from reengage.domain.commands import LinkContact, MoveContact, RecordAgentReply, RecordChoice, RecordDelivery
from reengage.domain.contact import Contact, has_control_characters
from reengage.domain.conversation import InboundMessage
from reengage.domain.instants import EARLIEST, LATEST, parse_instant
from reengage.domain.keywords import detect_button_request
from reengage.domain.requests import Request
from reengage.domain.routes import Routes

from .field_types import MAX_ID

MAX_TEXT: Final = 16_384
"""Characters: four times what any channel takes, and an event of EventBridge (256 KB) can hold it in any encoding."""

MAX_NAME: Final = 500
MAX_LABEL: Final = 120
MAX_PAYLOAD: Final = 2048
"""Characters of a button's data: the limit of RCS for Business, which is the highest."""

_FIRST: Final = int(EARLIEST.timestamp())
_LAST: Final = int(LATEST.timestamp())
_EPOCH: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
_DIGITS: Final = re.compile(r"[1-9][0-9]{6,14}", re.ASCII)
_LOCALE: Final = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")
_MESSAGE_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MEDIA: Final = MappingProxyType(
    {"image": "image", "audio": "audio", "video": "video", "text/vcard": "contacts", "text/x-vcard": "contacts"}
)
_NO_REPLY: Final = re.compile(r"[0-9]{3,6}|(?=.*[A-Za-z])[A-Za-z0-9 _&+-]{1,11}", re.ASCII)
_NOT_LOGGABLE: Final = re.compile(r"[^\w .,:;'()/-]+")


Parsed = InboundMessage | RecordDelivery | RecordChoice | LinkContact | MoveContact | RecordAgentReply


@dataclass(frozen=True, slots=True)
class ParsedCall:
    """The content of one call.

    ``choices`` are opt-outs, opt-ins and consents other than by a message. Store them before the messages that came
    with them. ``ignored`` counts entries that concern none of these: a person is typing, a template was approved, a
    message of another system was delivered.
    """

    messages: list[InboundMessage] = field(default_factory=list)
    receipts: list[RecordDelivery] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    ignored: int = 0
    choices: list[RecordChoice] = field(default_factory=list)
    links: list[LinkContact] = field(default_factory=list)
    moves: list[MoveContact] = field(default_factory=list)
    agent_replies: list[RecordAgentReply] = field(default_factory=list)

    @property
    def values(self) -> list[Parsed]:
        return [*self.links, *self.moves, *self.choices, *self.messages, *self.receipts, *self.agent_replies]

    def only_for(self, brands: Collection[str]) -> "ParsedCall":
        """Return the call without the entries of other brands. Each becomes an error: its key is another brand's."""
        kept = [value for value in self.values if value.contact.brand in brands]
        wrong = len(self.values) - len(kept)
        errors = [f"$: the key of this call belongs to another brand than {wrong} of its entries"] if wrong else []
        return _call(kept, [*self.errors, *errors], self.ignored)


class ParseError(Exception):
    """An entry that cannot be parsed. The text has the cause, and no quotation."""


class CallParser:
    """Collects the content of a call."""

    def __init__(self) -> None:
        self._values: list[Parsed] = []
        self._errors: list[str] = []
        self._ignored = 0

    def parse(self, path: str, parse: Callable[[], Iterable[Parsed]]) -> None:
        """Add what ``parse`` returns. Nothing counts as ignored, ``ParseError`` as an error at ``path``."""
        try:
            found = list(parse())
        except ParseError as error:
            self._errors.append(f"{path}: {error}")
            return
        self._values += found
        self._ignored += not found

    def items(self, holder: Any, name: str, path: str) -> Iterator[tuple[str, Any]]:
        """Return the items of a list, each with its path. An absent list is empty; any other value is an error."""
        items = get(holder, name)
        if items is not None and not isinstance(items, list):
            self._errors.append(f"{path}.{name}: expected a list")
            return
        for number, item in enumerate(items or ()):
            yield f"{path}.{name}[{number}]", item

    def add_error(self, text: str) -> None:
        self._errors.append(text)

    def ignore(self) -> None:
        self._ignored += 1

    def result(self) -> ParsedCall:
        return _call(self._values, self._errors, self._ignored)


def parse_single(parse: Callable[[], Iterable[Parsed]]) -> ParsedCall:
    """Parse a call with one entry."""
    parser = CallParser()
    parser.parse("$", parse)
    return parser.result()


def parse_json(text: Any) -> Any:
    """Parse a body, or JSON inside JSON. Raises ``ParseError``."""
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise ParseError("expected JSON") from error


def get(holder: Any, *names: str) -> Any:
    """Return the value at that path of objects, or ``None``."""
    for name in names:
        if not isinstance(holder, Mapping):
            return None
        holder = holder.get(name)
    return holder


def get_text(holder: Any, *names: str) -> str:
    """Return a text, or "". Halves of a surrogate pair, which no database takes, are replaced."""
    value = get(holder, *names)
    if not isinstance(value, str):
        return ""
    return value[:MAX_TEXT].encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def get_name(holder: Any, *names: str) -> str | None:
    return get_text(holder, *names).strip()[:MAX_NAME] or None


def get_locale(holder: Any, *names: str) -> str | None:
    locale = get_text(holder, *names)
    return locale if _LOCALE.fullmatch(locale) else None


def get_id(holder: Any, *names: str) -> str:
    """Return an id that can be part of a key. Raises ``ParseError``."""
    value = get(holder, *names)
    if is_id(value):
        return str(value)
    raise ParseError(f"{'.'.join(names)}: expected an id of 1 to {MAX_ID} bytes")


def get_optional_id(holder: Any, *names: str) -> str | None:
    value = get(holder, *names)
    return value if is_id(value) else None


def get_payload(holder: Any, *names: str) -> str | None:
    """Return the data of a button. Data over the limit is left out, because a part of it would mean something else."""
    value = get(holder, *names)
    return get_text(holder, *names) if isinstance(value, str) and 0 < len(value) <= MAX_PAYLOAD else None


def get_own_message_id(holder: Any, *names: str) -> str | None:
    """Return the ``scheduled_message_id`` that the provider returned.

    A number or account may have other users. Their messages have other ids, because each id of this app is a UUID.
    """
    value = get(holder, *names)
    return value if isinstance(value, str) and is_own_message_id(value) else None


def is_own_message_id(value: str) -> bool:
    return _MESSAGE_ID.fullmatch(value) is not None


def is_id(value: Any) -> bool:
    return (
        isinstance(value, str)
        and is_unicode(value)
        and not has_control_characters(value)
        and 0 < len(value.encode()) <= MAX_ID
    )


def get_word(holder: Any, *names: str) -> str:
    """Return a word of the provider, such as the type of an event. Raises ``ParseError``."""
    value = get(holder, *names)
    if isinstance(value, str) and value:
        return value
    raise ParseError(f"{'.'.join(names)}: expected text")


def log_label(*parts: Any) -> str:
    """Return a provider's code and short title as one line that is safe to log."""
    written = " ".join(part[:MAX_LABEL] if isinstance(part, str) else _code(part) for part in parts)
    return " ".join(_NOT_LOGGABLE.sub(" ", written).split())[:MAX_LABEL]


def parse_contact(brand: str, channel: str, address: Any) -> Contact:
    """Return the contact with its address in normal form. Raises ``ParseError``, which does not quote the address."""
    if not isinstance(address, str) or not address.strip() or not is_unicode(address):
        raise ParseError("expected an address")
    try:
        return Contact.of(brand, channel, address)
    except ValueError as error:
        raise ParseError(str(error)) from error


def button_request(*payloads: str | None) -> Request | None:
    """Return the STOP in the data of a button. It counts, whatever the label of the button is."""
    requests = (detect_button_request(payload).request for payload in payloads if payload)
    return next(filter(None, requests), None)


def has_no_reply_address(address: str) -> bool:
    """Return whether an SMS came from a short code or a name, as a carrier's notices do: no one can reply to these."""
    return _NO_REPLY.fullmatch(address) is not None


def media_kind(mime_type: str) -> str:
    """Return the kind of a message with a file."""
    name = mime_type.lower()
    return _MEDIA.get(name) or _MEDIA.get(name.partition("/")[0], "document")


def with_plus(address: Any) -> Any:
    """Return a phone number in international form: some providers write it without the plus sign."""
    return f"+{address}" if isinstance(address, str) and _DIGITS.fullmatch(address) else address


def find_brand(routes: Routes, provider: str, channel: str, *sender_ids: Any) -> str:
    """Return the brand that received the call, by any of the provider's names for its sender.

    Raises ``ParseError`` if ``Routes`` does not determine one brand.
    """
    names = [sender_id for sender_id in sender_ids if isinstance(sender_id, str)]
    if names and (brand := routes.brand_of(provider, channel, *names)):
        return brand
    raise ParseError(f"no route of {provider} for {channel} has this number or account: add it to Routes")


def from_seconds(value: Any) -> datetime:
    """Parse epoch seconds, as a number or in digits. Raises ``ParseError``."""
    return _from_epoch(value, 1)


def from_milliseconds(value: Any) -> datetime:
    return _from_epoch(value, 1000)


def from_iso(value: Any) -> datetime:
    """Parse an ISO 8601 instant with an offset. Raises ``ParseError``."""
    try:
        return parse_instant(value).astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as error:
        raise ParseError("expected an ISO 8601 instant with an offset") from error


def is_unicode(text: str) -> bool:
    """Return whether text has no half of a surrogate pair, which JSON may contain."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _call(values: Iterable[Parsed], errors: list[str], ignored: int) -> ParsedCall:
    call = ParsedCall(errors=errors, ignored=ignored)
    lists: dict[type, list[Any]] = {
        InboundMessage: call.messages,
        RecordDelivery: call.receipts,
        RecordChoice: call.choices,
        LinkContact: call.links,
        MoveContact: call.moves,
        RecordAgentReply: call.agent_replies,
    }
    for value in values:
        lists[type(value)].append(value)
    return call


def _code(value: Any) -> str:
    return str(value) if isinstance(value, int) and abs(value) < _LAST else ""


def _from_epoch(value: Any, units: int) -> datetime:
    epoch = int(value) if isinstance(value, str) and _EPOCH.fullmatch(value) else value
    if isinstance(epoch, int) and not isinstance(epoch, bool) and _FIRST * units <= epoch <= _LAST * units:
        return datetime.fromtimestamp(epoch / units, UTC)
    raise ParseError("expected an instant in epoch seconds or milliseconds")
