"""Verify that a provider sent a call, by its signature over the raw body. Comparisons take constant time.

Several secrets can be valid at once, while one replaces another. An empty secret is never valid. A header that is
missing or malformed is wrong. Nothing here raises.

- Meta: developers.facebook.com/docs/graph-api/webhooks/getting-started, "Validating payloads"
- Twilio: www.twilio.com/docs/usage/webhooks/webhooks-security
- RCS for Business: developers.google.com/business-communications/rcs-business-messaging/guides/integrate/webhooks
- Google Business Messages (retired): developers.google.com/business-communications/business-messages/guides/how-to/
  message/receive
"""

import base64
import hmac
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

_URL: Final = re.compile(r"(?P<scheme>https?)://(?P<host>[^/?#]*?)(?P<port>:\d+)?(?P<rest>[/?#].*)?", re.DOTALL)
_DEFAULT_PORT: Final = {"https": ":443", "http": ":80"}


def verify_meta(secrets: Sequence[str], body: bytes, header: str | None) -> bool:
    """Verify ``X-Hub-Signature-256``: ``sha256=`` and the hex HMAC-SHA256 of the raw body by the app's secret."""
    return _equals_one(_by_each(secrets, lambda key: f"sha256={_hmac(key, body, 'sha256').hex()}"), header)


def verify_twilio(tokens: Sequence[str], url: str, params: Iterable[tuple[str, str]], header: str | None) -> bool:
    """Verify ``X-Twilio-Signature`` of a form.

    It is a base64 HMAC-SHA1 by the account's auth token. It covers the URL as Twilio knows it, with the query, and each
    name and value of the form, sorted, each once. Twilio's senders disagree on whether the port is part of the URL, so
    both forms are tried.
    """
    pairs = "".join(name + value for name, value in sorted(set(params)))
    return _equals_one(
        [signature for spelling in _spellings(url) for signature in _by_each(tokens, _twilio_signer(spelling + pairs))],
        header,
    )


def verify_rcs(tokens: Sequence[str], data: bytes, header: str | None) -> bool:
    """Verify ``X-Goog-Signature``: base64 HMAC-SHA512, by the client token, of the decoded ``message.data``."""
    return _equals_one(_by_each(tokens, lambda key: _base64(_hmac(key, data, "sha512"))), header)


def verify_business_messages(keys: Sequence[str], body: bytes, header: str | None) -> bool:
    """Verify ``X-Goog-Signature``: base64 HMAC-SHA512, by the partner key, of the raw body."""
    return verify_rcs(keys, body, header)


def verify_token(tokens: Sequence[str], given: str | None) -> bool:
    """Return whether one of the tokens was given, as in a provider's call that sets a webhook up."""
    return _equals_one([token for token in tokens if token], given)


def _spellings(url: str) -> Iterator[str]:
    match = _URL.fullmatch(url)
    if match is None:
        yield url
        return
    start, rest = f"{match['scheme']}://{match['host']}", match["rest"] or ""
    yield start + rest
    yield start + (match["port"] or _DEFAULT_PORT[match["scheme"]]) + rest


def _twilio_signer(signed: str) -> Callable[[str], str]:
    return lambda token: _base64(_hmac(token, _bytes(signed), "sha1"))


def _by_each(secrets: Sequence[str], sign: Callable[[str], str]) -> list[str]:
    return [sign(secret) for secret in secrets if secret]


def _hmac(secret: str, signed: bytes, algorithm: str) -> bytes:
    return hmac.digest(_bytes(secret), signed, algorithm)


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def _equals_one(expected: Sequence[str], given: str | None) -> bool:
    """Compare all of them, so that the time does not depend on which one is equal."""
    return sum(hmac.compare_digest(_bytes(each), _bytes(given or "")) for each in expected) > 0


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
