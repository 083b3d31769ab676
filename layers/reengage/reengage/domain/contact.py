"""A contact: one person on one channel of one brand, by a normalised address.

A person in two spellings would have two windows and two opt-outs. So the adapters normalise each address once, and
every key is made from that.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Final

SHARDS: Final = 16
NUMBERS: Final = 16_384
"""Phone numbers of which the normal form and the zones are kept, about 5 MB each: both come from long tables."""

MAX_ADDRESS: Final = 256

_BRAND: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_OLD_NUMBERS: Final = (
    (re.compile(r"55([1-9]\d)([6-9]\d{7})"), r"+55\g<1>9\2"),  # Brazilian mobiles got a ninth digit from 2012 on
    (re.compile(r"521(\d{10})"), r"+52\1"),  # Mexico gave up the 1 before mobiles in 2019
    (re.compile(r"229(\d{8})"), r"+22901\1"),  # Benin put 01 before all numbers in 2024
)
"""The numbers of older WhatsApp accounts, and the numbers that their owners have now."""

_LETTER: Final = re.compile(r"[^\W\d_]")


@dataclass(frozen=True, slots=True)
class Contact:
    """``brand``, ``channel`` and normalised ``address``; make one from outside text with ``Contact.of``."""

    brand: str
    channel: str
    address: str

    @classmethod
    def of(cls, brand: str, channel: str, address: str) -> "Contact":
        """Parse and normalise. Raises ``ValueError``; see ``parse_brand``, ``parse_channel``, ``normalise_address``."""
        return cls(parse_brand(brand), parse_channel(channel), normalise_address(channel, address))

    @property
    def key(self) -> str:
        return f"CONTACT#{self.brand}#{self.channel}#{self.address}"

    @property
    def person(self) -> str:
        """Return what names the person: a phone number of a brand is one person, whatever the channel."""
        is_phone = self.address.startswith("+") and self.channel != "google_business_messages"
        return f"{self.brand}#{'phone' if is_phone else self.channel}#{self.address}"

    @property
    def shard(self) -> int:
        """Return 0 to 15, by SHA-256 of the key: all messages of one contact are due in one shard."""
        return int.from_bytes(hashlib.sha256(self.key.encode()).digest()[:8]) % SHARDS


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of a contact beyond its conversation. ``last_seen_at`` may lag by up to a week.

    ``expires_at`` (epoch seconds) is the end of its retention. From then on the contact counts as unknown, whether or
    not TTL has deleted the item.
    """

    first_seen_at: datetime
    last_seen_at: datetime
    expires_at: int
    locale: str | None = None
    timezone: str | None = None
    display_name: str | None = None

    def is_kept(self, now: datetime) -> bool:
        return now.timestamp() < self.expires_at


def parse_brand(text: str) -> str:
    """Parse a brand id. Raises ``ValueError``: a brand is in the middle of keys, so its alphabet is limited."""
    if not _BRAND.fullmatch(text):
        raise ValueError("expected 1 to 64 letters, digits, dots, dashes or underscores, such as acme-dental")
    return text


def parse_channel(text: str) -> str:
    if text not in CHANNELS:
        raise ValueError(f"expected one of {', '.join(CHANNELS)}")
    return text


def normalise_address(channel: str, text: str) -> str:
    """Return the normal form of an address on that channel. Raises ``ValueError`` with the expected form."""
    return CHANNELS[channel].normalise(text)


@lru_cache(maxsize=NUMBERS)
def _phone(text: str) -> str:
    """Return the number in E.164 form (ITU-T), by libphonenumber's numbering plans."""
    import phonenumbers  # noqa: PLC0415 - 0.1 s to import, and the senders never need it

    wanted = "expected a phone number in E.164 form, such as +4915112345678"
    trimmed = text.strip()
    if trimmed.startswith("00"):  # the international prefix that most of the world dials
        trimmed = "+" + trimmed[2:]
    if _LETTER.search(trimmed.removeprefix("tel:")):  # a vanity number, or a typo
        raise ValueError(wanted)
    try:
        number = phonenumbers.parse(trimmed)
    except phonenumbers.NumberParseException as error:
        raise ValueError(wanted) from error
    # libphonenumber also has a result for numbers that can be dialled only within their town: refuse those.
    possible = phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE
    if number.extension or not possible:
        raise ValueError(wanted)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _phone_or_user_id(text: str) -> str:
    """Return a WhatsApp address: a phone number, which Meta writes without the ``+``, or an opaque user id."""
    trimmed = text.strip()
    if _LETTER.search(trimmed.removeprefix("tel:")):
        return _opaque(trimmed)
    digits = re.sub(r"\D", "", trimmed).removeprefix("00")
    for old, new in _OLD_NUMBERS:
        if number := old.fullmatch(digits):
            return _phone(number.expand(new))
    return _phone("+" + trimmed if trimmed[:1].isdigit() and not trimmed.startswith("0") else trimmed)


def has_control_characters(text: str) -> bool:
    """Return whether text has a control character, such as a line end: keys and ids are joined by these."""
    return any(character < " " or "\x7f" <= character <= "\x9f" for character in text)


def _opaque(text: str) -> str:
    if not 0 < len(text.encode()) <= MAX_ADDRESS or has_control_characters(text):
        raise ValueError(f"expected an address of 1 to {MAX_ADDRESS} bytes, without control characters")
    return text


@dataclass(frozen=True, slots=True)
class ChannelTerms:
    """How a channel's addresses are normalised, and when it accepts free text.

    It accepts free text for ``free_text_for`` after the person's last message, and only approved templates after
    that. ``None``: free text as long as the window is open. Addresses that begin with one of
    ``no_marketing_templates_to`` get no marketing templates.
    """

    normalise: Callable[[str], str]
    free_text_for: timedelta | None = None
    no_marketing_templates_to: tuple[str, ...] = ()


CHANNELS: Final[Mapping[str, ChannelTerms]] = MappingProxyType(
    {
        "sms": ChannelTerms(_phone),
        "rcs": ChannelTerms(_phone),
        # Meta, WhatsApp Business Platform: free-form messages within 24 hours, templates after; since April 2025 no
        # marketing templates to numbers of the United States.
        "whatsapp": ChannelTerms(
            _phone_or_user_id, free_text_for=timedelta(hours=24), no_marketing_templates_to=("+1",)
        ),
        # Google retired it in July 2024: archived calls can still be replayed. An address is a conversation's id.
        "google_business_messages": ChannelTerms(_opaque),
    }
)
"""The registered channels. A new channel is a row."""
