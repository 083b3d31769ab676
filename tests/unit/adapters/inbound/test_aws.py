"""AWS End User Messaging through SNS: SMS, RCS and WhatsApp, and receipts."""

from datetime import UTC, datetime
from typing import Any, Final

import pytest
from botocore.session import get_session

from reengage.adapters.inbound.aws import parse_sns
from reengage.adapters.inbound.parsing import ParsedCall
from reengage.domain.commands import RecordDelivery
from reengage.domain.contact import Contact
from reengage.domain.conversation import InboundMessage
from reengage.domain.requests import Request
from tests.cases import each_of
from tests.unit.adapters.inbound.payloads import (
    AGENT,
    AWS_RCS_RECEIPT,
    AWS_RECEIPT,
    AWS_SMS,
    NOW,
    OURS,
    RCS_MEDIA,
    RCS_SESSION,
    RCS_SUGGESTION,
    RCS_TYPING,
    ROUTES,
    SHEENA,
    TEXT,
    aws_rcs,
    aws_whatsapp,
    meta_entry,
    meta_status,
    sns_event,
)

PUBLISHED: Final = datetime(2031, 5, 6, 7, 8, 1, 123000, tzinfo=UTC)
WHOSE: Final = {"scheduled_message_id": OURS, "brand": "acme-garden", "channel": "sms"}
RCS_PERSON: Final = Contact("acme-dental", "rcs", "+12679164820")


def read(event: Any) -> ParsedCall:
    return parse_sns(event, routes=ROUTES, arrived_at=NOW)


# Messages


def test_an_sms_has_the_time_at_which_sns_was_given_it() -> None:
    assert read(sns_event(AWS_SMS)) == ParsedCall(
        messages=[
            InboundMessage(
                contact=Contact("acme-dental", "sms", "+14255550182"),
                message_id="cae173d2-66b9-564c-8309-21f858e9fb84",
                sent_at=PUBLISHED,
                arrived_at=NOW,
                text="EXAMPLE",
                quoted_message_id=AWS_SMS["previousPublishedMessageId"],
            )
        ]
    )


def test_brand_comes_from_the_number_written_to() -> None:
    got = read(sns_event({**AWS_SMS, "destinationNumber": "+12125550102"}))
    assert got.messages[0].contact.brand == "acme-optics"


def test_a_number_of_no_route_is_an_error() -> None:
    assert read(sns_event({**AWS_SMS, "destinationNumber": "+12125550109"})).errors == [
        "$.Records[0].Sns.Message: no route of aws for sms has this number or account: add it to Routes"
    ]


@pytest.mark.parametrize("sender", ["", None, 12125550109, "+99"])
def test_invalid_sender_is_an_error_that_does_not_quote_it(sender: Any) -> None:
    got = read(sns_event({**AWS_SMS, "originationNumber": sender}))
    assert got.messages == []
    assert len(got.errors) == 1
    assert str(sender or "72975") not in got.errors[0]


@pytest.mark.parametrize("sender", ["72975", "BANK"])
def test_notice_of_a_short_code_is_ignored(sender: str) -> None:
    """A carrier's notices set off the alarm of rejected events each time."""
    assert read(sns_event({**AWS_SMS, "originationNumber": sender})) == ParsedCall(ignored=1)


def test_an_sms_that_looks_like_json_is_text() -> None:
    got = read(sns_event({**AWS_SMS, "messageBody": RCS_TYPING}))
    assert (got.messages[0].kind, got.messages[0].text) == ("text", RCS_TYPING)


@each_of(
    ("body", "kind", "text"),
    [
        ("Hi there", "text", "Hi there"),
        ("7", "text", "7"),
        ('{"a": 1}', "text", '{"a": 1}'),
        ("[" * 100_000, "text", "[" * 16_384),
        (RCS_SUGGESTION, "button", "Open"),
        ('{"type":"LOCATION","latitude":52.5,"longitude":13.4}', "location", ""),
        (RCS_MEDIA, "image", ""),
        ('{"mediaStatus":"UPLOAD_FAILED","mimeType":"video/mp4","fileName":"f"}', "video", ""),
        ('{"mediaStatus":"ROLE_ASSUME_FAILED","mimeType":"application/pdf"}', "document", ""),
        ('{"mediaStatus":"ROLE_ASSUME_FAILED","mediaStatusMessage":"gone"}', "document", ""),
    ],
)
def test_an_rcs_message_may_be_more_than_text(body: str, kind: str, text: str) -> None:
    got = read(sns_event(aws_rcs(body)))
    assert [(each.contact, each.kind, each.text) for each in got.messages] == [(RCS_PERSON, kind, text)]


@pytest.mark.parametrize("body", [RCS_TYPING, RCS_SESSION])
def test_who_only_types_or_is_only_billed_opens_nothing(body: str) -> None:
    assert read(sns_event(aws_rcs(body))) == ParsedCall(ignored=1)


def test_an_rcs_event_that_is_not_known_is_an_error() -> None:
    assert read(sns_event(aws_rcs('{"type":"RCS_DREAMING"}'))).errors == [
        "$.Records[0].Sns.Message: messageBody: expected a known type of event"
    ]


def test_who_unsubscribes_is_not_to_be_written_to() -> None:
    got = read(sns_event(aws_rcs('{"type":"UNSUBSCRIBE"}')))
    assert [(each.contact, each.kind, each.asks) for each in got.messages] == [
        (RCS_PERSON, "unsubscribe", Request.STOP)
    ]


def test_a_chip_that_means_stop_is_one_whatever_it_is_called() -> None:
    got = read(sns_event(aws_rcs('{"type":"SUGGESTION","text":"No more","postbackData":"stop"}')))
    assert [(each.text, each.asks) for each in got.messages] == [("No more", Request.STOP)]


# WhatsApp


def test_meta_entry_uses_the_phone_number_id_of_aws() -> None:
    entry = meta_entry({"contacts": [dict(SHEENA)], "messages": [dict(TEXT)]}, number="abcde1234567890")
    got = read(sns_event(aws_whatsapp(entry)))
    assert got.errors == []
    assert got.messages[0].contact == Contact("acme-clinic", "whatsapp", "+16505551234")
    assert got.messages[0].sent_at == datetime(2025, 6, 8, 20, 59, 43, tzinfo=UTC)
    assert got.messages[0].text == "Does it come in another color?"


def test_parses_whatsapp_statuses_too() -> None:
    entry = meta_status()["entry"][0]
    entry["changes"][0]["value"]["metadata"]["phone_number_id"] = "abcde1234567890"
    got = read(sns_event(aws_whatsapp(entry)))
    assert [(each.contact.brand, each.status) for each in got.receipts] == [("acme-clinic", "delivered")]


def test_another_number_of_the_account_is_not_taken_for_this_one() -> None:
    entry = meta_entry({"messages": [dict(TEXT)]}, number="another")
    path = "$.Records[0].Sns.Message.whatsAppWebhookEntry.changes[0].value.messages[0]"
    assert read(sns_event(aws_whatsapp(entry))).errors == [
        f"{path}: no route of aws for whatsapp has this number or account: add it to Routes"
    ]


@pytest.mark.parametrize("entry", ["{", "[" * 100_000, 7, ["x"]])
def test_an_entry_that_is_no_json_is_an_error(entry: Any) -> None:
    message = {**aws_whatsapp({}), "whatsAppWebhookEntry": entry}
    assert read(sns_event(message)).errors == ["$.Records[0].Sns: expected JSON"]


def test_an_entry_without_changes_is_an_error() -> None:
    assert read(sns_event(aws_whatsapp([]))).errors == [
        "$.Records[0].Sns.Message.whatsAppWebhookEntry.changes: expected a list"
    ]


# Receipts


def test_a_receipt_is_of_the_message_that_its_context_names() -> None:
    assert read(sns_event(AWS_RECEIPT)) == ParsedCall(
        receipts=[
            RecordDelivery(
                contact=Contact("acme-dental", "sms", "+14255550156"),
                scheduled_message_id=OURS,
                status="delivered",
                at=datetime(2023, 6, 17, 4, 11, 43, 470000, tzinfo=UTC),
                provider_message_id="862a8790-60c0-4430-9b2b-658bdexample",
            )
        ]
    )


def test_a_receipt_by_rcs_is_of_a_contact_there() -> None:
    got = read(sns_event(AWS_RCS_RECEIPT))
    assert got.receipts[0].contact == Contact("acme-dental", "rcs", "+13022640220")


@each_of(
    ("event_type", "is_final", "status"),
    [
        ("TEXT_QUEUED", False, "sent"),
        ("TEXT_PENDING", False, "sent"),
        ("TEXT_SENT", False, "sent"),
        ("TEXT_SUCCESSFUL", False, "sent"),
        ("TEXT_SUCCESSFUL", True, "delivered"),
        ("TEXT_DELIVERED", True, "delivered"),
        ("RCS_READ", True, "delivered"),
        ("RCS_FALLEN_BACK_TO_SMS", False, "sent"),
        ("MEDIA_DELIVERED", True, "delivered"),
        ("MEDIA_FILE_INACCESSIBLE", True, "undelivered"),
        ("TEXT_CARRIER_UNREACHABLE", True, "undelivered"),
        ("TEXT_BLOCKED", True, "undelivered"),
        ("TEXT_TTL_EXPIRED", True, "undelivered"),
        ("TEXT_PROTECT_BLOCKED", True, "undelivered"),
        ("RCS_FAILED", True, "undelivered"),
        ("TEXT_UNREACHABLE", False, None),
        ("TEXT_UNKNOWN", True, None),
        ("VOICE_COMPLETED", True, None),
        ("REGISTRATION_STATUS_UPDATED", True, None),
    ],
)
def test_each_event_comes_to_a_status_or_to_nothing(event_type: str, is_final: bool, status: str | None) -> None:
    got = read(sns_event({**AWS_RECEIPT, "eventType": event_type, "isFinal": is_final, "context": WHOSE}))
    assert (got.errors, [each.status for each in got.receipts]) == ([], [status] if status else [])
    assert got.ignored == (status is None)


def test_failure_has_only_the_error_of_aws() -> None:
    more = {
        "eventType": "TEXT_CARRIER_UNREACHABLE",
        "messageStatus": "CARRIER_UNREACHABLE",
        "messageStatusDescription": "+14255550156 is unreachable",
    }
    got = read(sns_event({**AWS_RECEIPT, **more}))
    assert got.receipts[0].error == "TEXT_CARRIER_UNREACHABLE CARRIER_UNREACHABLE"


def test_what_may_still_be_delivered_is_not_called_undelivered() -> None:
    expired = {**AWS_RCS_RECEIPT, "eventType": "RCS_TTL_EXPIRED"}
    late = read(sns_event({**expired, "messageStatus": "TTL_EXPIRATION_REVOKE_FAILED"}))
    gone = read(sns_event({**expired, "messageStatus": "TTL_EXPIRATION_REVOKED"}))
    assert late == ParsedCall(ignored=1)
    assert gone.receipts[0].status == "undelivered"


@each_of(
    ("event_type", "message_status", "is_final", "status"),
    [
        ("RCS_DELIVERED", "DELIVERED", True, "delivered"),
        ("RCS_DELIVERED", "PENDING", False, "sent"),
        ("RCS_DELIVERED", "PENDING", True, "sent"),
        ("RCS_DELIVERED", "UNDELIVERABLE", True, "undelivered"),
        ("RCS_DELIVERED", "REJECTED", True, "undelivered"),
        ("RCS_DELIVERED", "TTL_EXPIRATION_REVOKED", True, "undelivered"),
        ("RCS_DELIVERED", "TTL_EXPIRATION_REVOKE_FAILED", True, None),
        ("RCS_DELIVERED", "REJECTED", False, None),
        ("RCS_SENT", "UNDELIVERABLE", True, "undelivered"),
        ("RCS_FAILED", "DELIVERED", True, "undelivered"),
        ("RCS_FAILED", "REJECTED", True, "undelivered"),
        ("RCS_READ", "READ", True, "delivered"),
        ("RCS_READ", "", True, "delivered"),
        ("RCS_DELIVERED", None, True, "delivered"),
        ("RCS_FAILED", "DREAMT", True, "undelivered"),
        # It goes on by SMS.
        ("RCS_FALLEN_BACK_TO_SMS", "UNDELIVERABLE", True, "sent"),
        # Of RCS alone.
        ("TEXT_DELIVERED", "PENDING", True, "delivered"),
        ("TEXT_DELIVERED", "REJECTED", True, "delivered"),
    ],
)
def test_rcs_outcome_comes_from_the_status_field(
    event_type: str, message_status: str | None, is_final: bool, status: str | None
) -> None:
    """A rejected message was published as delivered."""
    more = {"eventType": event_type, "messageStatus": message_status, "isFinal": is_final}
    got = read(sns_event({**AWS_RCS_RECEIPT, **more, "context": WHOSE}))
    assert (got.errors, [each.status for each in got.receipts]) == ([], [status] if status else [])
    if status == "undelivered":
        assert got.receipts[0].error == f"{event_type} {message_status}"


def test_every_event_type_of_botocore_is_parsed() -> None:
    shapes = get_session().get_service_model("pinpoint-sms-voice-v2")
    known = [each for each in shapes.shape_for("EventType").enum if not each.endswith("ALL")]  # type: ignore[attr-defined]  # a StringShape, by its name
    assert len(known) > 40
    got = read(sns_event(*({**AWS_RECEIPT, "eventType": each, "context": WHOSE} for each in known)))
    assert got.errors == []
    assert len(got.receipts) + got.ignored == len(known)


def test_an_event_type_that_is_not_known_is_an_error() -> None:
    assert read(sns_event({**AWS_RECEIPT, "eventType": "TEXT_DREAMT"})).errors == [
        "$.Records[0].Sns.Message: eventType: expected a known one"
    ]


@pytest.mark.parametrize("context", [None, {}, {"scheduled_message_id": "bar"}, {"account": "bar"}, 7])
def test_message_of_another_system_is_ignored(context: Any) -> None:
    assert read(sns_event({**AWS_RECEIPT, "context": context})) == ParsedCall(ignored=1)


def test_context_may_name_the_original_contact() -> None:
    got = read(sns_event({**AWS_RCS_RECEIPT, "context": WHOSE}))
    assert got.receipts[0].contact == Contact("acme-garden", "sms", "+13022640220")


def test_context_with_an_invalid_brand_is_an_error() -> None:
    context = {"scheduled_message_id": OURS, "brand": "acme dental", "channel": "fax"}
    assert read(sns_event({**AWS_RECEIPT, "context": context})).errors == [
        "$.Records[0].Sns.Message: context.brand: expected a brand"
    ]


# The envelope


def test_invalid_record_does_not_block_the_others() -> None:
    event = sns_event(AWS_SMS, "{", "7", {}, AWS_RECEIPT, AWS_SMS)
    event["Records"][5]["Sns"]["Timestamp"] = "2031-05-06T07:08:01"
    event["Records"].append("no record")
    got = read(event)
    assert (len(got.messages), len(got.receipts)) == (1, 1)
    assert got.errors == [
        "$.Records[1].Sns: expected JSON",
        "$.Records[2].Sns.Message: expected a message, a receipt or an entry of WhatsApp",
        "$.Records[3].Sns.Message: expected a message, a receipt or an entry of WhatsApp",
        "$.Records[5].Sns: expected an ISO 8601 instant with an offset",
        "$.Records[6].Sns: expected JSON",
    ]


@pytest.mark.parametrize("event", [None, {}, [], {"Records": {}}, "x"])
def test_what_is_no_event_of_snss_is_one_error(event: Any) -> None:
    assert read(event) == ParsedCall(errors=["$.Records: expected a list"])


def test_agent_and_number_are_distinguished_by_name() -> None:
    assert AGENT.startswith("rcs-")
    assert read(sns_event(aws_rcs("Hi"))).messages[0].contact.channel == "rcs"
