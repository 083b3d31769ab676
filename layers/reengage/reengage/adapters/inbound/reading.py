"""What was understood of a provider's call, and the small parts of which each provider's reader is made.

A reader takes what the provider sent, as parsed from JSON or a form, and never raises: one entry that cannot be
understood becomes an error, and the others are read all the same. Errors name the place and what is wrong, and hold
nothing of what a person said or is.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from reengage.domain.commands import RecordChoice, RecordDelivery
from reengage.domain.contact import Contact, has_control_characters
from reengage.domain.conversation import InboundMessage
from reengage.domain.instants import EARLIEST, LATEST, parse_instant
from reengage.domain.keywords import detect_button_request
from reengage.domain.requests import Request
from reengage.domain.routes import Routes

from .event_types import MAX_ID

MAX_TEXT: Final = 16_384
"""Characters: four times what any of the channels takes, and however they are escaped, an event of EventBridge's can
hold them (256 KB).
"""

MAX_NAME: Final = 500
MAX_LABEL: Final = 120

_FIRST: Final = int(EARLIEST.timestamp())
_LAST: Final = int(LATEST.timestamp())
_EPOCH: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
_DIGITS: Final = re.compile(r"[1-9][0-9]{6,14}", re.ASCII)
_LOCALE: Final = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")
_OURS: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LABEL: Final = re.compile(r"[^\w .,:;'()/-]+")

Said = InboundMessage | RecordDelivery | RecordChoice


@dataclass(frozen=True, slots=True)
class Read:
    """``messages`` that people sent, ``receipts`` of messages of ours, and ``choices``: what people told the provider
    about being written to, other than by a message. ``ignored`` counts what was understood and is about none of these:
    somebody is typing, a template was approved, a message that is not ours was delivered.

    Choices are to be stored before the messages that came with them.
    """

    messages: list[InboundMessage] = field(default_factory=list)
    receipts: list[RecordDelivery] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    ignored: int = 0
    choices: list[RecordChoice] = field(default_factory=list)


class Unreadable(Exception):
    """One entry that cannot be understood; the text says why, and quotes nothing of it."""


class Reading:
    """What was read so far."""

    def __init__(self) -> None:
        self._said: list[Said] = []
        self._errors: list[str] = []
        self._ignored = 0

    def take(self, path: str, read: Callable[[], Iterable[Said]]) -> None:
        """What ``read`` finds. Nothing found is ignored; what it cannot understand (``Unreadable``) is an error."""
        try:
            found = list(read())
        except Unreadable as why:
            self._errors.append(f"{path}: {why}")
            return
        self._said += found
        self._ignored += not found

    def each(self, holder: Any, name: str, path: str) -> Iterator[tuple[str, Any]]:
        """The items of a list, each with its path. An absent list has none; anything else is an error."""
        items = at(holder, name)
        if items is not None and not isinstance(items, list):
            self._errors.append(f"{path}.{name}: expected a list")
            return
        for number, item in enumerate(items or ()):
            yield f"{path}.{name}[{number}]", item

    def error(self, text: str) -> None:
        self._errors.append(text)

    def ignore(self) -> None:
        self._ignored += 1

    def done(self) -> Read:
        return Read(
            messages=[each for each in self._said if isinstance(each, InboundMessage)],
            receipts=[each for each in self._said if isinstance(each, RecordDelivery)],
            errors=self._errors,
            ignored=self._ignored,
            choices=[each for each in self._said if isinstance(each, RecordChoice)],
        )


def read_one(read: Callable[[], Iterable[Said]]) -> Read:
    """A call that is about one thing."""
    reading = Reading()
    reading.take("$", read)
    return reading.done()


def parsed(text: Any) -> Any:
    """JSON inside JSON, or a body. Raises ``Unreadable``."""
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError) as why:
        raise Unreadable("expected JSON") from why


def at(holder: Any, *names: str) -> Any:
    """What stands at that path of objects; ``None`` where nothing does."""
    for name in names:
        if not isinstance(holder, Mapping):
            return None
        holder = holder.get(name)
    return holder


def text_at(holder: Any, *names: str) -> str:
    """What a person said, or nothing. Halves of a surrogate pair, which no database takes, are replaced."""
    value = at(holder, *names)
    if not isinstance(value, str):
        return ""
    return value[:MAX_TEXT].encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def name_at(holder: Any, *names: str) -> str | None:
    return text_at(holder, *names).strip()[:MAX_NAME] or None


def locale_at(holder: Any, *names: str) -> str | None:
    locale = text_at(holder, *names)
    return locale if _LOCALE.fullmatch(locale) else None


def identifier_at(holder: Any, *names: str) -> str:
    """An id that can be part of a key. Raises ``Unreadable``."""
    value = at(holder, *names)
    if (
        isinstance(value, str)
        and is_unicode(value)
        and 0 < len(value.encode()) <= MAX_ID
        and not has_control_characters(value)
    ):
        return value
    raise Unreadable(f"{'.'.join(names)}: expected an id of 1 to {MAX_ID} bytes")


def ours_at(holder: Any, *names: str) -> str | None:
    """The ``scheduled_message_id``, where the provider gives one back: a number or account may have other users too,
    whose messages are none of ours. Every id of ours is a UUID.
    """
    value = at(holder, *names)
    return value if isinstance(value, str) and is_ours(value) else None


def is_ours(value: str) -> bool:
    return _OURS.fullmatch(value) is not None


def word_at(holder: Any, *names: str) -> str:
    """A word of the provider's own, such as the kind of an event. Raises ``Unreadable``."""
    value = at(holder, *names)
    if isinstance(value, str) and value:
        return value
    raise Unreadable(f"{'.'.join(names)}: expected text")


def label(*parts: Any) -> str:
    """A provider's code and short title, in one line that is safe to log."""
    written = " ".join(part[:MAX_LABEL] if isinstance(part, str) else _code(part) for part in parts)
    return " ".join(_LABEL.sub(" ", written).split())[:MAX_LABEL]


def contact(brand: str, channel: str, address: Any) -> Contact:
    """With the address in its normal form. Raises ``Unreadable``, which does not quote it."""
    if not isinstance(address, str) or not address.strip() or not is_unicode(address):
        raise Unreadable("expected an address")
    try:
        return Contact.of(brand, channel, address)
    except ValueError as why:
        raise Unreadable(str(why)) from why


def asks_of(payloads: Iterable[str]) -> Request | None:
    """What a business wrote behind a button, where that is a STOP: it counts, whatever the button is called."""
    return next(filter(None, (detect_button_request(payload).request for payload in payloads)), None)


def with_plus(address: Any) -> Any:
    """A phone number in the international form, which some write without the plus sign."""
    return f"+{address}" if isinstance(address, str) and _DIGITS.fullmatch(address) else address


def brand_of(routes: Routes, provider: str, channel: str, *identities: Any) -> str:
    """The brand that was written to, under any of the names that the provider gives its sender.

    Raises ``Unreadable`` where it cannot be told.
    """
    names = [identity for identity in identities if isinstance(identity, str)]
    if names and (brand := routes.brand_of(provider, channel, *names)):
        return brand
    raise Unreadable(f"no route of {provider} for {channel} says whose number or account this is: see Routes")


def from_seconds(value: Any) -> datetime:
    """Epoch seconds, as a number or in digits. Raises ``Unreadable``."""
    return _from_epoch(value, 1)


def from_milliseconds(value: Any) -> datetime:
    return _from_epoch(value, 1000)


def from_iso(value: Any) -> datetime:
    """ISO 8601 with an offset. Raises ``Unreadable``."""
    try:
        return parse_instant(value).astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as why:
        raise Unreadable("expected an ISO 8601 instant with an offset") from why


def is_unicode(text: str) -> bool:
    """JSON lets half of a surrogate pair through."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _code(value: Any) -> str:
    return str(value) if isinstance(value, int) and abs(value) < _LAST else ""


def _from_epoch(value: Any, units: int) -> datetime:
    epoch = int(value) if isinstance(value, str) and _EPOCH.fullmatch(value) else value
    if isinstance(epoch, int) and not isinstance(epoch, bool) and _FIRST * units <= epoch <= _LAST * units:
        return datetime.fromtimestamp(epoch / units, UTC)
    raise Unreadable("expected an instant in epoch seconds or milliseconds")
