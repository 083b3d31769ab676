"""Seal a text that names a contact: the table shows nothing of it, and only the stack's key opens it.

An erasure deletes what names the contact, but it cannot find such a text. A repeat has the same result.
"""

import base64
import hmac
from itertools import count
from typing import Final

TAG: Final = 16
"""Bytes of the hash that names the text, and from which the key stream is made."""


def seal(key: str, text: str) -> str:
    """Return the text in a form that no one can read without the key."""
    data = text.encode()
    tag = _tag(key, data)
    return base64.urlsafe_b64encode(tag + _mixed(key, tag, data)).decode()


def unseal(key: str, sealed: str) -> str:
    """Return the text. Raises ``ValueError`` if it was sealed by another key, or changed."""
    raw = base64.urlsafe_b64decode(sealed)
    tag, data = raw[:TAG], _mixed(key, raw[:TAG], raw[TAG:])
    if not hmac.compare_digest(tag, _tag(key, data)):
        raise ValueError("the sealed text does not fit the key")
    return data.decode()


def _tag(key: str, data: bytes) -> bytes:
    return hmac.digest(key.encode(), b"seal\0" + data, "sha256")[:TAG]


def _mixed(key: str, tag: bytes, data: bytes) -> bytes:
    """Combine the data with a stream of hashes; a second time undoes it."""
    stream = b""
    for block in count():
        if len(stream) >= len(data):
            break
        stream += hmac.digest(key.encode(), b"stream\0" + tag + block.to_bytes(4), "sha256")
    return bytes(one ^ other for one, other in zip(data, stream, strict=False))
