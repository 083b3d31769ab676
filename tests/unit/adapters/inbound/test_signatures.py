"""Signatures: the examples that the providers publish, and everything that must be refused."""

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Final

import pytest

from reengage.adapters.inbound import signatures

META: Final = "sha256=0329a06b62cd16b33eb6792be8c60b158d89a2ee3a876fce9a881ebb488c0914"

URL: Final = "https://mycompany.com/myapp.php?foo=1&bar=2"
FORM: Final = (
    ("CallSid", "CA1234567890ABCDE"),
    ("Caller", "+14158675309"),
    ("Digits", "1234"),
    ("From", "+14158675309"),
    ("To", "+18005551212"),
)
TWILIO: Final = "RSOYDt4T1cUTdK1PDd93/VVr8B8="

# RFC 4231, test case 2
RFC_KEY: Final = "Jefe"
RFC_DATA: Final = b"what do ya want for nothing?"
RFC_SHA512: Final = base64.b64encode(
    bytes.fromhex(
        "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
        "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"
    )
).decode()

Verify = Callable[[list[str], str | None], bool]

EACH: Final[dict[str, tuple[str, str, Verify]]] = {
    "meta": ("secret", META, lambda keys, header: signatures.verify_meta(keys, b"test", header)),
    "twilio": ("12345", TWILIO, lambda keys, header: signatures.verify_twilio(keys, URL, FORM, header)),
    "rcs": (RFC_KEY, RFC_SHA512, lambda keys, header: signatures.verify_rcs(keys, RFC_DATA, header)),
    "business messages": (
        RFC_KEY,
        RFC_SHA512,
        lambda keys, header: signatures.verify_business_messages(keys, RFC_DATA, header),
    ),
}
of_each = pytest.mark.parametrize(("key", "signature", "verify"), EACH.values(), ids=EACH)


@of_each
def test_the_published_vector_is_right(key: str, signature: str, verify: Verify) -> None:
    assert verify([key], signature)


@of_each
def test_while_a_secret_is_changed_either_one_is_right(key: str, signature: str, verify: Verify) -> None:
    assert verify(["the new one", key], signature)
    assert verify([key, "the new one"], signature)


@of_each
def test_wrong_or_missing_secret_is_refused(key: str, signature: str, verify: Verify) -> None:
    assert not verify([key + "x"], signature)
    assert not verify([], signature)


@of_each
@pytest.mark.parametrize("header", [None, "", "sha256=", "no signature", "ü", "\ud800", META.upper(), META[7:]])
def test_what_is_no_signature_is_wrong(key: str, signature: str, verify: Verify, header: str | None) -> None:
    assert header != signature
    assert not verify([key], header)


@of_each
def test_every_character_of_the_signature_counts(key: str, signature: str, verify: Verify) -> None:
    assert not any(verify([key], signature[:place] + "~" + signature[place + 1 :]) for place in range(len(signature)))
    assert not verify([key], signature + "=")
    assert not verify([key], signature[:-1])


def test_an_empty_secret_signs_nothing() -> None:
    signature = "sha256=" + hmac.new(b"", b"test", hashlib.sha256).hexdigest()
    assert not signatures.verify_meta([""], b"test", signature)
    assert not signatures.verify_token([""], "")


def test_another_body_is_wrong() -> None:
    assert not signatures.verify_meta(["secret"], b"test ", META)
    assert not signatures.verify_rcs([RFC_KEY], RFC_DATA + b"\n", RFC_SHA512)


# Twilio: the vectors below are those of its own library (twilio-python, tests/unit/test_request_validator.py)


@pytest.mark.parametrize(
    ("url", "signature"),
    [
        ("https://mycompany.com:1234/myapp.php?foo=1&bar=2", TWILIO),
        ("http://mycompany.com:1234/myapp.php?foo=1&bar=2", "Zmvh+3yNM1Phv2jhDCwEM3q5ebU="),
        (URL, "kvajT1Ptam85bY51eRf/AJRuM3w="),
        ("http://mycompany.com/myapp.php?foo=1&bar=2", "0ZXoZLH/DfblKGATFgpif+LLRf4="),
    ],
    ids=["without a port", "with its own port", "with the port of https", "with the port of http"],
)
def test_twilio_may_sign_the_url_with_or_without_a_port(url: str, signature: str) -> None:
    assert signatures.verify_twilio(["12345"], url, FORM, signature)


def test_twilio_sorts_the_fields_and_leaves_out_what_is_the_same() -> None:
    form = [("Sid", "CA123"), ("SidAccount", "AC123"), ("Digits", "5678"), ("Digits", "1234"), ("Digits", "1234")]
    assert signatures.verify_twilio(["12345"], URL, form, "IK+Dwps556ElfBT0I3Rgjkr1wJU=")
    assert not signatures.verify_twilio(["12345"], URL, form[:-3], "IK+Dwps556ElfBT0I3Rgjkr1wJU=")


@pytest.mark.parametrize("url", ["", "mycompany.com", "https://", "https://:x/", "ftp://mycompany.com", "\ud800"])
def test_invalid_url_is_signed_unchanged(url: str) -> None:
    signature = base64.b64encode(hmac.digest(b"12345", url.encode("utf-8", "surrogatepass"), "sha1")).decode()
    assert signatures.verify_twilio(["12345"], url, (), signature)
    assert not signatures.verify_twilio(["12345"], url, (), TWILIO)


def test_a_token_is_valid_only_as_a_whole() -> None:
    assert signatures.verify_token(["other", "SJENCPGJESMGUFPY"], "SJENCPGJESMGUFPY")
    assert not signatures.verify_token(["SJENCPGJESMGUFPY"], "SJENCPGJESMGUFP")
    assert not signatures.verify_token([], "")
