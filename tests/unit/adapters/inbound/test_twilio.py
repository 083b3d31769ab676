"""Twilio's calls: messages by SMS and WhatsApp, and status callbacks."""

from collections.abc import Mapping
from typing import Any, Final

import pytest

from reengage.adapters.inbound.parsing import ParsedCall
from reengage.adapters.inbound.twilio import OPTED_OUT, STOPPED_MARKETING, form, parse_twilio
from reengage.domain.commands import RecordChoice, RecordDelivery
from reengage.domain.contact import Contact
from reengage.domain.conversation import InboundMessage
from reengage.domain.preferences import Choice
from reengage.domain.requests import Request
from reengage.domain.routes import Routes, parse_routes
from tests.cases import each_of
from tests.unit.adapters.inbound.payloads import (
    NOW,
    OURS,
    ROUTES,
    TWILIO_QUERY,
    TWILIO_SMS,
    TWILIO_STATUS,
    TWILIO_WHATSAPP,
)

SPELLING: Final = "expected +15558675310, with whatsapp: or rcs: before it if it is not SMS"
SID: Final = "SMXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX"
PERSON: Final = Contact("acme-dental", "sms", "+15558675310")


def read(params: Mapping[str, Any], query: Mapping[str, Any] = TWILIO_QUERY) -> ParsedCall:
    return parse_twilio(params, query, routes=ROUTES, arrived_at=NOW)


# Messages


def test_an_sms_counts_from_its_arrival() -> None:
    assert read(TWILIO_SMS, {}) == ParsedCall(
        messages=[InboundMessage(PERSON, SID, NOW, NOW, "Ahoy! Is Saturday free?")],
    )


def test_whatsapp_message_has_prefixed_numbers_and_a_name() -> None:
    got = read(TWILIO_WHATSAPP).messages[0]
    assert got.contact == Contact("acme-clinic", "whatsapp", "+15558675310")
    assert got.display_name == "Ana"


def test_brand_may_come_from_the_messaging_service() -> None:
    service = "MG0000000000000000000000000000000a"
    got = read({**TWILIO_SMS, "To": "+15017122699", "MessagingServiceSid": service})
    assert got.messages[0].contact.brand == "acme-optics"


@each_of(
    ("more", "kind", "text"),
    [
        ({"NumMedia": "1", "MediaContentType0": "image/jpeg", "Body": ""}, "image", ""),
        ({"NumMedia": "2", "MediaContentType0": "IMAGE/png", "Body": "These"}, "image", "These"),
        ({"NumMedia": "1", "MediaContentType0": "audio/ogg"}, "audio", "Ahoy! Is Saturday free?"),
        ({"NumMedia": "1", "MediaContentType0": "video/mp4", "Body": ""}, "video", ""),
        ({"NumMedia": "1", "MediaContentType0": "application/pdf", "Body": ""}, "document", ""),
        ({"NumMedia": "1", "MediaContentType0": "text/vcard", "Body": ""}, "contacts", ""),
        ({"NumMedia": "1", "Body": ""}, "document", ""),
        ({"Latitude": "52.5", "Longitude": "13.4", "Body": ""}, "location", ""),
        ({"Latitude": "52.5", "Label": "Office", "Address": "Main St 1", "Body": ""}, "location", "Office"),
        ({"Latitude": "52.5", "Address": "Main St 1", "Body": ""}, "location", "Main St 1"),
        ({"ButtonText": "Yes, please", "ButtonPayload": "yes", "Body": "Yes, please"}, "button", "Yes, please"),
        ({"ButtonText": "Yes, please", "Body": ""}, "button", "Yes, please"),
        ({"ListId": "1", "ListTitle": "Priority", "Body": ""}, "interactive", "Priority"),
        ({"Body": ""}, "text", ""),
        ({"Body": " STOP \n"}, "text", " STOP \n"),
    ],
)
def test_every_kind_of_message_is_read_with_its_readable_part(more: dict[str, str], kind: str, text: str) -> None:
    got = read({**TWILIO_WHATSAPP, **more}).messages[0]
    assert (got.kind, got.text) == (kind, text)


@pytest.mark.parametrize(("word", "asks"), [("STOP", Request.STOP), ("START", Request.START), ("stop", Request.STOP)])
def test_twilios_opt_out_type_overrides_the_text(word: str, asks: Request) -> None:
    got = read({**TWILIO_SMS, "Body": "basta", "OptOutType": word})
    assert [(each.text, each.asks) for each in got.messages] == [("basta", asks)]


@pytest.mark.parametrize("word", ["HELP", "", "perhaps"])
def test_any_other_kind_of_keyword_is_no_choice(word: str) -> None:
    assert read({**TWILIO_SMS, "OptOutType": word}).messages[0].asks is None


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"From": "messenger:1234"}, f"From: {SPELLING}"),
        ({"From": "+1555867531012345"}, f"From: {SPELLING}"),
        ({"From": "+15558"}, f"From: {SPELLING}"),
        ({"From": ""}, "expected a message or a status callback"),
        ({"MessageSid": ""}, "expected a message or a status callback"),
        ({"MessageSid": "x" * 513}, "MessageSid: expected an id of 1 to 512 bytes"),
        ({"To": "+15017122699"}, "no route of twilio for sms has this number or account: add it to Routes"),
    ],
)
def test_invalid_message_is_one_error_without_its_address(more: dict[str, str], error: str) -> None:
    assert read({**TWILIO_SMS, **more}) == ParsedCall(errors=[f"$: {error}"])


@pytest.mark.parametrize("sender", ["72975", "32665", "ACME Bank"])
def test_notice_of_a_short_code_is_ignored(sender: str) -> None:
    """A carrier's notices set off the alarm of rejected events each time."""
    assert read({**TWILIO_SMS, "From": sender}) == ParsedCall(ignored=1)


@each_of(
    "sender",
    [
        *("0012025550199", "12025550199", " +12025550199", "+12025550199 ", "+1 202 555 0199", "(+1)2025550199"),
        *("\uff0b12025550199", "+1\u200b2025550199", ":+12025550199", "tel:+12025550199", "sms:+12025550199"),
        *("whatsapp:12025550199", "whatsapp:+1-202-555-0199", "rcs:0012025550199", "WHATSAPP:+12025550199", "+1202\n"),
        *(
            "whatsapp:us.1234",
            "GB.1234",
            "whatsapp:whatsapp:+12025550199",
            "+\u0661\u0662\u0663\u0664\u0665\u0666\u0667",
        ),
    ],
)
@each_of("field", ["From", "To"])
def test_other_spellings_of_an_address_are_rejected(sender: str, field: str) -> None:
    """A signed call could be cut into other fields: a START of someone else, by another spelling of the sender."""
    got = read({**TWILIO_SMS, field: sender})
    assert (got.messages, got.choices, got.links) == ([], [], [])
    assert len(got.errors) == 1


def test_a_call_about_nothing_is_an_error() -> None:
    assert read({}) == ParsedCall(errors=["$: expected a message or a status callback"])


# Statuses


@each_of(
    ("word", "status"),
    [
        ("accepted", "sent"),
        ("scheduled", "sent"),
        ("queued", "sent"),
        ("sending", "sent"),
        ("sent", "sent"),
        ("partially_delivered", "sent"),
        ("delivered", "delivered"),
        ("read", "delivered"),
    ],
)
def test_a_callback_is_a_receipt_of_the_message_in_its_query(word: str, status: Any) -> None:
    assert read({**TWILIO_STATUS, "MessageStatus": word}) == ParsedCall(
        receipts=[RecordDelivery(PERSON, OURS, status, NOW, "SM2xxxxxx")]
    )


@pytest.mark.parametrize(
    ("word", "code", "status", "error"),
    [
        ("undelivered", "30003", "undelivered", "30003"),
        ("failed", "63016", "undelivered", "63016"),
        ("failed", "21610", "opted_out", "21610"),
        ("undelivered", "21610", "opted_out", "21610"),
        ("canceled", "", "undelivered", "canceled"),
        ("failed", "", "undelivered", "failed"),
    ],
)
def test_failure_has_its_code(word: str, code: str, status: Any, error: str) -> None:
    got = read({**TWILIO_STATUS, "MessageStatus": word, "ErrorCode": code})
    assert [(each.status, each.error) for each in got.receipts] == [(status, error)]


def test_a_code_beside_a_success_is_no_opt_out() -> None:
    assert read({**TWILIO_STATUS, "ErrorCode": "21610"}).receipts[0].status == "sent"


@pytest.mark.parametrize("word", ["failed", "undelivered"])
def test_failure_records_a_marketing_opt_out(word: str) -> None:
    params = {"To": "whatsapp:+15558675310", "From": "whatsapp:+14155238886", "ErrorCode": "63050"}
    got = read({**TWILIO_STATUS, **params, "MessageStatus": word})
    person = Contact("acme-clinic", "whatsapp", "+15558675310")
    assert [(each.contact, each.status, each.error) for each in got.receipts] == [(person, "undelivered", "63050")]
    cause = {"receipt_of": OURS, "error": "63050"}
    assert got.choices == [RecordChoice(person, "marketing", Choice(allowed=False, at=NOW, cause=cause))]


@pytest.mark.parametrize("more", [{"MessageStatus": "sent", "ErrorCode": "63050"}, {"MessageStatus": "failed"}])
def test_nothing_else_is_a_choice_about_marketing(more: dict[str, str]) -> None:
    assert read({**TWILIO_STATUS, **more}).choices == []


def test_a_callback_for_whatsapp_finds_the_contact_there() -> None:
    more = {"To": "whatsapp:+15558675310", "From": "whatsapp:+14155238886", "MessageStatus": "read"}
    got = read({**TWILIO_STATUS, **more})
    assert got.receipts[0].contact == Contact("acme-clinic", "whatsapp", "+15558675310")


POOL: Final = {**TWILIO_STATUS, "From": "+15017122699"}
"""The status of a messaging service's message names a number of its pool, and not the service."""


def addressee(query: Mapping[str, str], params: Mapping[str, str] = POOL, routes: Routes = ROUTES) -> Contact:
    (receipt,) = parse_twilio(params, {**TWILIO_QUERY, **query}, routes=routes, arrived_at=NOW).receipts
    return receipt.contact


def test_a_callback_is_of_the_contact_that_its_query_names() -> None:
    """No route has the number of a pool, so a delivery or an opt-out had no contact."""
    assert read(POOL).errors == ["$: no route of twilio for sms has this number or account: add it to Routes"]
    assert addressee({"brand": "acme-garden", "channel": "sms"}) == Contact("acme-garden", "sms", "+15558675310")


@pytest.mark.parametrize(
    ("rows", "is_taken"),
    [
        ("acme-garden/sms/twilio/+15005550009", True),
        ("acme-garden/sms/twilio/MG00000000000000000000000000000001", True),
        ("acme-garden/sms/aws/+12025550100>twilio/+15005550008", True),
        ("acme-garden/sms/eventbridge/own", True),
        ("acme-garden/whatsapp/twilio/+15005550009", True),
        ("acme-garden/sms/aws/+12025550100", True),
        ("acme-garden/sms/aws/+12025550100,other/sms/twilio/+15005550009", False),
        ("acme-garden/sms/aws/+12025550100,other/sms/twilio/MG1|+15005550009", False),
        ("acme-garden/sms/aws/+12025550100,other/sms/twilio/+15005550008", True),
        ("acme-garden/sms/twilio/+15005550008,other/sms/twilio/+15005550009", False),
    ],
)
def test_a_callback_names_no_brand_that_it_cannot_be_from(rows: str, *, is_taken: bool) -> None:
    """One account's key signs for all of its brands: a callback named any brand of the stack."""
    query = {**TWILIO_QUERY, "brand": "acme-garden", "channel": "sms"}
    call = parse_twilio({**POOL, "From": "+15005550009"}, query, routes=parse_routes(rows), arrived_at=NOW)
    assert bool(call.receipts) == is_taken
    assert call.errors == ([] if is_taken else ["$: From: expected a sender of the brand that the URL names"])


@pytest.mark.parametrize("code", [OPTED_OUT, STOPPED_MARKETING, "30003"])
def test_a_receipt_counts_after_a_change_of_the_provider(code: str) -> None:
    """A brand had moved to AWS: the opt-outs and failures of messages still under way were lost."""
    query = {**TWILIO_QUERY, "brand": "acme-garden", "channel": "sms"}
    params = {**POOL, "MessageStatus": "undelivered", "ErrorCode": code}
    call = parse_twilio(params, query, routes=parse_routes("acme-garden/sms/aws/+12025550100"), arrived_at=NOW)
    assert [receipt.status for receipt in call.receipts] == ["opted_out" if code == OPTED_OUT else "undelivered"]
    assert [choice.topic for choice in call.choices] == (["marketing"] if code == STOPPED_MARKETING else [])


@pytest.mark.parametrize(
    ("to", "channel"), [("whatsapp:+15558675310", "whatsapp"), ("rcs:+15558675310", "sms"), ("+15558675310", "sms")]
)
def test_it_is_on_the_channel_that_the_message_was_planned_for(to: str, channel: str) -> None:
    query = {"brand": "acme-garden", "channel": channel}
    got = addressee(query, {**POOL, "To": to}, Routes(()))
    assert got == Contact("acme-garden", channel, "+15558675310")


@pytest.mark.parametrize(
    "query",
    [
        {"brand": "acme-garden"},
        {"channel": "sms"},
        {"brand": "", "channel": "sms"},
        {"brand": "acme garden", "channel": "sms"},
        {"brand": "acme#garden", "channel": "sms"},
        {"brand": "acme-garden", "channel": "fax"},
        {"brand": "acme-garden", "channel": ""},
    ],
)
def test_a_query_that_does_not_name_both_leaves_it_to_the_number(query: dict[str, str]) -> None:
    """The status of a message that was sent before the query had the name."""
    assert addressee(query, TWILIO_STATUS) == PERSON


def test_invalid_address_is_an_error_with_any_query() -> None:
    query = {**TWILIO_QUERY, "brand": "acme-garden", "channel": "sms"}
    assert read({**TWILIO_STATUS, "To": "72975"}, query).errors == [f"$: To: {SPELLING}"]
    assert read({**TWILIO_STATUS, "To": ""}, query).errors == [f"$: To: {SPELLING}"]


@pytest.mark.parametrize("query", [{}, {"scheduled_message_id": ""}, {"scheduled_message_id": "bar"}])
def test_message_of_another_system_is_ignored(query: dict[str, str]) -> None:
    assert read(TWILIO_STATUS, query) == ParsedCall(ignored=1)


def test_status_of_an_inbound_message_is_ignored() -> None:
    assert read({**TWILIO_STATUS, "MessageStatus": "received"}) == ParsedCall(ignored=1)
    assert read({**TWILIO_STATUS, "MessageStatus": "dreamt"}).errors == ["$: MessageStatus: expected a known one"]


# The form


def test_a_form_keeps_order_blanks_repeats_and_white_space() -> None:
    assert form("b=+x%0A&a=&b=2&a=%F0%9F%91%8D") == [("b", " x\n"), ("a", ""), ("b", "2"), ("a", "👍")]


def test_form_with_too_many_fields_is_refused() -> None:
    assert form("&".join(["a=1"] * 500))
    assert form("&".join(["a=1"] * 501)) == []


def test_a_service_that_sends_as_rcs_by_itself_is_the_same_route() -> None:
    """Twilio sent an SMS as RCS, and the STOP that came back had no contact."""
    got = read({**TWILIO_SMS, "From": f"rcs:{TWILIO_SMS['From']}"}, {})
    assert got.messages[0].contact == PERSON


def test_a_button_that_means_stop_is_one_whatever_it_is_called() -> None:
    got = read({**TWILIO_SMS, "Body": "Nein danke", "ButtonPayload": "STOP"}, {}).messages[0]
    assert (got.text, got.asks) == ("Nein danke", Request.STOP)


@pytest.mark.parametrize("name", ["FlowData", "InteractiveData"])
def test_a_filled_in_flow_is_a_message_of_its_own_kind(name: str) -> None:
    assert read({**TWILIO_WHATSAPP, "Body": "", name: '{"day": "Friday"}'}).messages[0].kind == "interactive"
