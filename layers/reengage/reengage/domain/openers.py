"""Openers: a link with a short token, that opens the conversation about one appointment.

| rule | why |
|---|---|
| a token is a keyed hash: no id, no address and no time can be read from it | it may be printed and forwarded |
| it has 10 characters of 30, so 49 bits | with 100,000 openers a guess hits one time in five billion |
| the first sender uses it up | who gets it forwarded later binds nothing |
| it binds the address of its sender only | no one can bind another person's address |
| it is valid for its brand, until the appointment starts, and 30 days at most | an old code on paper binds nothing |
| the subject must name its person and want messages | a cancellation or an erasure ends it |
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Final
from urllib.parse import quote

from .contact import Contact
from .instants import iso
from .plain_text import MAX_LENGTH, remove_marks, split_sentences
from .subject import OF_ONE_CONTACT, OF_THE_BRAND, OPENER, Subject, SubjectRef

ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Without 0, 1, I, L, O and U, which are easily mistaken when read aloud or copied by hand."""

LENGTH: Final = 10
GROUP: Final = 5
"""Characters before the dash."""

MAX_TOKENS: Final = 5
"""Tokens that one message may name; others are ignored."""

VALID_FOR: Final = timedelta(days=30)

FORECASTS: Final = frozenset({"no_conversation", "window_closed"})
"""The forecasts for which an opener is made: the person has to write first."""

OPENED: Final = "opened"
"""What a person who used an opener answered, for the text of the reply."""

PART_LENGTH: Final = 16


@dataclass(frozen=True, slots=True)
class Opener:
    """``person`` is the keyed hash of the person that the subject names. ``used_by`` is the keyed hash of the message
    that used the opener, with its sender. ``token`` is written in ``ALPHABET``, without a dash.
    """

    brand: str
    token: str
    subject: SubjectRef
    person: str
    expires_at: datetime
    used_by: str | None = None
    used_at: datetime | None = None

    def is_valid(self, at: datetime, message: str) -> bool:
        """Whether the message may use it: it is not expired, and no other message used it."""
        return at < self.expires_at and self.used_by in (None, message)


@dataclass(frozen=True, slots=True)
class Invitation:
    """``link`` opens the conversation with ``text`` written; ``None`` if no number of the brand is known."""

    text: str
    link: str | None
    expires_at: datetime

    @property
    def as_fields(self) -> dict[str, str]:
        """Return the fields of events and answers: the link, or the text without a link."""
        return {"opener": self.link or self.text, "opener_text": self.text, "opener_expires_at": iso(self.expires_at)}


@dataclass(frozen=True, slots=True)
class Consent:
    """Evidence that the person asked to be written to: their own message, and what it was about."""

    message_id: str
    at: datetime
    text: str
    subject: SubjectRef


def no_contact(brand: str) -> Contact:
    """Return the person of an opener for a subject that names no one: its first sender becomes the contact."""
    return Contact(brand, "", "")


def is_opened(kind: str) -> bool:
    """Return whether a subject of this kind can have an opener: it has one owner, who may have another address."""
    return kind not in OF_ONE_CONTACT | OF_THE_BRAND


def token_source(subject: Subject, person: str, salt: int = 0) -> str:
    """Return the text whose keyed hash is the token. After each use there is another token; after an erasure, too."""
    used = subject.tracks.get(f"{OPENER}:{part_of(person)}")
    return f"opener|{subject.ref.key}|{subject.era}|{person}|{used.version if used else 0}|{salt}"


def as_token(keyed_hash: str) -> str | None:
    """Return the token for a hexadecimal hash; ``None`` if it has no digit or no letter, so that no word is one."""
    number, characters = int(keyed_hash, 16), ""
    for _ in range(LENGTH):
        number, index = divmod(number, len(ALPHABET))
        characters += ALPHABET[index]
    return None if characters.isalpha() or characters.isdecimal() else characters


def shown(token: str) -> str:
    return f"{token[:GROUP]}-{token[GROUP:]}"


def find_tokens(text: str) -> list[str]:
    """Return what may be tokens in a message, in any case, with other dashes or spaces, among other words."""
    sentences = [remove_marks(words).upper() for words in split_sentences(text[:MAX_LENGTH])]
    joined = " ".join(sentences)
    found = [f"{match['one']}{match['two']}" for match in _pattern().finditer(joined)]
    whole = joined.replace(" ", "")
    candidates = [*found, *([whole] if len(whole) == LENGTH else [])]
    return [token for token in dict.fromkeys(candidates) if _has_shape(token)][:MAX_TOKENS]


@cache
def _pattern() -> re.Pattern[str]:
    group = rf"[{ALPHABET}]{{{GROUP}}}"
    # A lookahead, because the word before a token may look like its first half.
    return re.compile(rf"(?<!\w)(?=(?P<one>{group}) ?(?P<two>{group})(?!\w))")


def _has_shape(token: str) -> bool:
    return set(token) <= set(ALPHABET) and not (token.isalpha() or token.isdecimal())


def part_of(person: str) -> str:
    """Return the part of the track ``opener`` that belongs to the person with this keyed hash."""
    return person[:PART_LENGTH]


def link_to_agent(agent: str, number: str | None, text: str) -> str:
    """Return the link that writes ``text`` to an RCS agent. A phone without RCS writes it to the number.

    Both forms: GSMA RCC.07 3.6.3.4, and developers.google.com/business-communications/rcs-business-messaging/guides/
    build/deeplinks.
    """
    service, body = quote(agent, safe=""), quote(text, safe="")
    return f"sms:{number}?service_id={service}&body={body}" if number else f"sms:{service}?body={body}"


def link_to(channel: str, number: str, text: str) -> str:
    """Return the link that writes ``text``: ``wa.me`` of WhatsApp's click to chat, or ``sms:`` of RFC 5724."""
    if channel == "whatsapp":
        return f"https://wa.me/{number.removeprefix('+')}?text={quote(text, safe='')}"
    return f"sms:{number}?body={quote(text, safe='')}"
