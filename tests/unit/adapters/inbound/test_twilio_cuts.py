"""A person's own text must not become fields of Twilio's form: its signature has no separators."""

import base64
import hmac
from typing import Any, Final
from urllib.parse import urlencode

import pytest

from reengage.adapters.inbound.twilio import form, without_forged_links
from reengage.adapters.inbound.webhook import answer
from reengage.domain.routes import parse_routes
from tests.unit.adapters.inbound.payloads import NOW

OURS: Final = "whatsapp:+12025550191"
MINE: Final = "whatsapp:+12025550123"
VICTIM: Final = "US.13491208655302741918"
METADATA: Final = '{"type":"whatsapp","data":{"context":{"ProfileName":"Kim","WaId":"12025550123"}}}'
ROUTES: Final = parse_routes("acme/whatsapp/twilio/+12025550191")
DOMAIN: Final = "abc.lambda-url.eu-central-1.on.aws"


def call(fields: dict[str, str]) -> dict[str, Any]:
    signed = f"https://{DOMAIN}/twilio" + "".join(name + fields[name] for name in sorted(fields))
    signature = base64.b64encode(hmac.digest(b"12345", signed.encode(), "sha1")).decode()
    headers = {"x-twilio-signature": signature, "content-type": "application/x-www-form-urlencoded"}
    context = {"http": {"method": "POST"}, "domainName": DOMAIN}
    return {"rawPath": "/twilio", "requestContext": context, "headers": headers, "body": urlencode(fields)}


def links(fields: dict[str, str]) -> tuple[list[str], list[str]]:
    """Return the texts that came, and the addresses that were linked with the sender."""
    got = answer(call(fields), secrets={"twilio_auth_token": "12345"}, routes=ROUTES, arrived_at=NOW)
    assert got.parsed
    return [message.text for message in got.parsed.messages], [link.same_as.address for link in got.parsed.links]


def message(text: str, **more: str) -> dict[str, str]:
    return {"Body": text, "From": MINE, "FromCity": "RENO", "MessageSid": "SM1", "To": OURS, **more}


def test_twilios_own_link_counts() -> None:
    assert links(message("Hi", ChannelMetadata=METADATA, ExternalUserId=VICTIM)) == (["Hi"], [VICTIM])


@pytest.mark.parametrize(
    ("texted", "cut"),
    [
        (
            message(f"HiExternalUserId{VICTIM}"),
            message("Hi", ExternalUserId=VICTIM),
        ),
        (
            message(f"HiChannelMetadata{{}}ExternalUserId{VICTIM}", ChannelMetadata=METADATA),
            message("Hi", ChannelMetadata="{}", ExternalUserId=f"{VICTIM}ChannelMetadata{METADATA}"),
        ),
        (
            message(f"HiChannelMetadata{METADATA}", ChannelMetadata=METADATA, ExternalUserId="US.1"),
            message("Hi", ChannelMetadata=f"{METADATA}ChannelMetadata{METADATA}", ExternalUserId="US.1"),
        ),
    ],
)
def test_a_text_links_no_address(texted: dict[str, str], cut: dict[str, str]) -> None:
    """By a cut of their own signed call, a person could have linked the address of another one with theirs."""
    assert call(texted)["headers"] == call(cut)["headers"]
    assert links(texted) == ([texted["Body"]], [])
    assert links(cut) == (["Hi"], [])


def test_the_message_of_a_suspected_cut_still_counts() -> None:
    text = f"STOP ChannelMetadata{METADATA}"
    assert links(message(text, ChannelMetadata=METADATA, ExternalUserId=VICTIM)) == ([text], [])


def test_other_fields_stay_as_they_are() -> None:
    fields = form("Body=ExternalUserId&ExternalUserId=US.1&From=%2B1")
    assert without_forged_links(fields) == [("Body", "ExternalUserId"), ("From", "+1")]


@pytest.mark.parametrize("sender", ["12345", "ACME", "Acme-Bank", "ACME 24", "M&M"])
def test_a_sender_without_a_reply_address_is_left_out(sender: str) -> None:
    """A carrier's notice is no message of a person, and no rejected event."""
    fields = message("Your balance is low") | {"From": sender, "To": "+12025550191"}
    got = answer(call(fields), secrets={"twilio_auth_token": "12345"}, routes=ROUTES, arrived_at=NOW)
    assert got.parsed
    assert (got.parsed.messages, got.parsed.errors) == ([], [])


@pytest.mark.parametrize(
    "sender",
    [
        *(
            "WHATSAPP:+12025550123",
            "whatsapp: +12025550123",
            "whatsapp:12025550123",
            "+1 202 555 0123",
            " +12025550123",
        ),
        *(
            "0012025550123",
            "tel:+12025550123",
            "sms:+12025550123",
            "messenger:1234567",
            "client:bob",
            "RCS:+12025550123",
        ),
        *(
            "\uff0b12025550123",
            "+1\u0662025550123",
            "whatsapp:whatsapp:+12025550123",
            "+0123456789",
            "whatsapp:us.1349",
        ),
    ],
)
def test_any_other_spelling_of_a_sender_is_rejected(sender: str) -> None:
    fields = message("STOP") | {"From": sender}
    got = answer(call(fields), secrets={"twilio_auth_token": "12345"}, routes=ROUTES, arrived_at=NOW)
    assert got.parsed
    assert got.parsed.messages == []
    assert got.parsed.errors[0].startswith("$: From: expected +15558675310")
