"""Meta's webhooks: messages, statuses and choices."""

import time
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from reengage.adapters.inbound.meta import parse_meta
from reengage.adapters.inbound.parsing import ParsedCall
from reengage.domain.commands import RecordChoice, RecordDelivery
from reengage.domain.contact import Contact
from reengage.domain.conversation import InboundMessage
from reengage.domain.preferences import Choice
from reengage.domain.requests import Request
from reengage.domain.routes import Route, Routes
from tests.cases import each_of
from tests.unit.adapters.inbound.payloads import (
    NOW,
    OURS,
    REENGAGEMENT,
    ROUTES,
    SHEENA,
    TEXT,
    meta_call,
    meta_entry,
    meta_message,
    meta_preference,
    meta_status,
)

PERSON: Final = Contact("acme-dental", "whatsapp", "+16505551234")
USER_ID: Final = "US.13491208655302741918"
FIRST: Final = "$.entry[0].changes[0].value.messages[0]"


def read(payload: Any, routes: Routes = ROUTES) -> ParsedCall:
    return parse_meta(payload, routes=routes, arrived_at=NOW)


def message(payload: Any) -> InboundMessage:
    got = read(payload)
    assert (got.errors, got.ignored, len(got.messages)) == ([], 0, 1)
    return got.messages[0]


def test_a_text_is_read_with_the_senders_own_instant_and_name() -> None:
    assert read(meta_message()) == ParsedCall(
        messages=[
            InboundMessage(
                contact=PERSON,
                message_id="wamid.HBgLMTY1MDM4Nzk0MzkVAgASGBQzQTRBNjU5OUFFRTAzODEwMTQ0RgA=",
                sent_at=datetime(2025, 6, 8, 20, 59, 43, tzinfo=UTC),
                arrived_at=NOW,
                text="Does it come in another color?",
                display_name="Sheena Nelson",
                kind="text",
            )
        ]
    )


KINDS: Final[list[tuple[str, dict[str, Any], str]]] = [
    (
        "image",
        {"image": {"caption": "Is it this one?", "mime_type": "image/jpeg", "sha256": "SfIn", "id": "1"}},
        "Is it this one?",
    ),
    ("image", {"image": {"mime_type": "image/jpeg", "sha256": "SfIn", "id": "1003383421387256"}}, ""),
    (
        "video",
        {"video": {"caption": "caption", "mime_type": "video/mp4", "sha256": "Jh", "id": "765756756"}},
        "caption",
    ),
    (
        "document",
        {"document": {"caption": "My card", "filename": "f.pdf", "mime_type": "application/pdf", "id": "1"}},
        "My card",
    ),
    ("document", {"document": {"filename": "stop.pdf", "mime_type": "application/pdf", "id": "1"}}, ""),
    ("audio", {"audio": {"mime_type": "audio/ogg; codecs=opus", "sha256": "E3", "id": "1908", "voice": True}}, ""),
    ("sticker", {"sticker": {"mime_type": "image/webp", "sha256": "OmT", "id": "1", "animated": False}}, ""),
    (
        "location",
        {"location": {"address": "1 Hacker Way", "latitude": 37.4, "longitude": -122.2, "name": "Facebook HQ"}},
        "Facebook HQ",
    ),
    ("location", {"location": {"address": "1 Hacker Way", "latitude": 37.4, "longitude": -122.2}}, "1 Hacker Way"),
    ("location", {"location": {"latitude": 12.25089, "longitude": 43.90539}}, ""),
    (
        "contacts",
        {"contacts": [{"name": {"formatted_name": "Chandler Bing"}}, {"name": {"formatted_name": "Monica"}}, {}]},
        "Chandler Bing, Monica",
    ),
    ("contacts", {"contacts": None}, ""),
    ("reaction", {"reaction": {"message_id": "wamid.HBg", "emoji": "👍"}}, "👍"),
    (
        "button",
        {"context": {"from": "1", "id": "w"}, "button": {"payload": "stop-promo", "text": "Stop promotions"}},
        "Stop promotions",
    ),
    (
        "interactive",
        {"interactive": {"type": "button_reply", "button_reply": {"id": "b", "title": "Cancel"}}},
        "Cancel",
    ),
    (
        "interactive",
        {"interactive": {"type": "list_reply", "list_reply": {"id": "p", "title": "Priority", "description": "1 day"}}},
        "Priority",
    ),
    (
        "interactive",
        {"interactive": {"type": "nfm_reply", "nfm_reply": {"response_json": "{}", "body": "Sent", "name": "flow"}}},
        "",
    ),
    ("order", {"order": {"catalog_id": "1943", "text": "Love these!", "product_items": []}}, "Love these!"),
    (
        "unsupported",
        {"errors": [{"code": 131051, "title": "Message type unknown"}], "unsupported": {"type": "poll_creation"}},
        "",
    ),
    (
        "edit",
        {"edit": {"original_message_id": "wamid.HBgL", "message": {"type": "text", "text": {"body": "STOP"}}}},
        "STOP",
    ),
    (
        "edit",
        {"edit": {"original_message_id": "w", "message": {"type": "image", "image": {"caption": "Updated"}}}},
        "Updated",
    ),
]


@each_of(("kind", "content", "text"), KINDS)
def test_every_kind_of_message_is_read_with_its_readable_part(kind: str, content: dict[str, Any], text: str) -> None:
    got = message(meta_message({"type": kind, **content}))
    assert (got.kind, got.text, got.contact) == (kind, text, PERSON)


@pytest.mark.parametrize(
    "more",
    [
        {"type": "system", "system": {"body": "changed", "type": "customer_identity_changed"}},
        {"type": "revoke", "revoke": {"original_message_id": "wamid.1"}},
        {"type": "request_welcome"},
        {"type": "reaction", "reaction": {"message_id": "wamid.1"}},
        {"type": "reaction", "reaction": {"message_id": "wamid.1", "emoji": ""}},
        {"group_id": "HBgLMTY0NjcwNDM1OTUVAgARGBI1RjQyNTBGMkRGMTJFQkVDMkEA"},
    ],
    ids=[
        "another identity",
        "deleted",
        "opened the chat",
        "reaction gone",
        "reaction empty",
        "in a group",
    ],
)
def test_notices_and_group_messages_are_ignored(more: dict[str, Any]) -> None:
    assert read(meta_message(more)) == ParsedCall(ignored=1)


@pytest.mark.parametrize(
    "field",
    [
        "message_template_status_update",
        "history",
        "smb_app_state_sync",
        "calls",
        "user_id_update",
    ],
)
def test_other_fields_are_ignored(field: str) -> None:
    entry = meta_entry({"contacts": [dict(SHEENA)], "messages": [dict(TEXT)]}, field)
    assert read(meta_call(entry)) == ParsedCall(ignored=1)


def test_invalid_message_does_not_block_the_others() -> None:
    messages = [
        {**TEXT, "id": "1"},
        {**TEXT, "id": "2", "timestamp": "yesterday"},
        "no object",
        {**TEXT, "id": ""},
        {**TEXT, "id": "4"},
    ]
    got = read(meta_call(meta_entry({"messages": messages}), {"id": "x"}, meta_entry({"messages": 7})))
    assert [each.message_id for each in got.messages] == ["1", "4"]
    assert got.errors == [
        "$.entry[0].changes[0].value.messages[1]: expected an instant in epoch seconds or milliseconds",
        "$.entry[0].changes[0].value.messages[2]: type: expected text",
        "$.entry[0].changes[0].value.messages[3]: id: expected an id of 1 to 512 bytes",
        "$.entry[1].changes: expected a list",
        "$.entry[2].changes[0].value.messages: expected a list",
    ]


@each_of("payload", [None, [], "x", 7, {}, {"entry": None}, {"entry": {}}, {"object": "page"}])
def test_what_is_no_call_of_metas_is_one_error(payload: Any) -> None:
    assert read(payload) == ParsedCall(errors=["$.entry: expected a list"])


@pytest.mark.parametrize(
    ("entry", "error"),
    [
        ({"changes": [{"field": "messages"}]}, "$.entry[0].changes[0].value: expected an object"),
        ({"changes": [{"value": {}}]}, "$.entry[0].changes[0].field: expected text"),
        ({"changes": [7]}, "$.entry[0].changes[0].field: expected text"),
    ],
)
def test_invalid_change_is_named(entry: Any, error: str) -> None:
    assert read(meta_call(entry)) == ParsedCall(errors=[error])


def test_account_error_without_message_is_reported() -> None:
    errors = [{"code": 131000, "title": "Something went wrong", "error_data": {"details": "+1 650 555 1234"}}, {}]
    assert read(meta_call(meta_entry({"errors": errors}))).errors == [
        "$.entry[0].changes[0].value.errors[0]: error 131000",
        "$.entry[0].changes[0].value.errors[1]: an error without a code",
    ]


# Who it was, and of which brand


def test_a_person_who_shows_no_number_is_known_by_the_user_id() -> None:
    sender = {"profile": {"name": "Sheena Nelson", "username": "@realsheenanelson"}, "user_id": USER_ID}
    payload = meta_message({"from_user_id": USER_ID, "from": None}, sender=sender)
    got = message(payload)
    assert got.contact == Contact("acme-dental", "whatsapp", USER_ID)
    assert got.display_name == "Sheena Nelson"


def test_phone_number_is_preferred_to_the_user_id() -> None:
    got = message(meta_message({"from_user_id": USER_ID}, sender={**SHEENA, "user_id": USER_ID}))
    assert got.contact == PERSON


@pytest.mark.parametrize("sender", [{"wa_id": "16505551234"}, {"user_id": USER_ID}])
def test_sender_is_found_in_the_contacts_list(sender: dict[str, str]) -> None:
    got = message(meta_message({"from": None}, sender=sender))
    assert got.contact.address in ("+16505551234", USER_ID)


def test_of_several_senders_each_message_gets_its_own_name() -> None:
    people = [
        {"profile": {"name": "Ana"}, "wa_id": "16505550001"},
        {"profile": {"name": "Ben"}, "user_id": "US.2"},
        {"profile": {"name": "Cem"}, "wa_id": "16505550003"},
    ]
    messages = [
        {**TEXT, "from": "16505550003"},
        {**TEXT, "from": None, "from_user_id": "US.2"},
        {**TEXT, "from": "16505550009"},
    ]
    got = read(meta_call(meta_entry({"contacts": people, "messages": messages})))
    assert [each.display_name for each in got.messages] == ["Cem", "Ben", None]


@pytest.mark.parametrize(
    ("value", "address"),
    [("5215512345678", "+525512345678"), ("5491112345678", "+5491112345678"), ("4915112345678", "+4915112345678")],
    ids=["Mexico's 1", "Argentina's 9", "Germany"],
)
def test_number_without_plus_gets_the_normal_form(value: str, address: str) -> None:
    assert message(meta_message({"from": value}, sender={})).contact.address == address


@pytest.mark.parametrize("value", ["12", "+", 16505551234, {}, "US.\ud800", "", None])
def test_missing_sender_is_an_error_without_its_value(value: Any) -> None:
    got = read(meta_message({"from": value}, sender={}))
    assert got.messages == []
    assert len(got.errors) == 1
    assert "12" not in got.errors[0].replace("+4915112345678", "")


def test_brand_comes_from_the_phone_number_id() -> None:
    assert message(meta_message(number="206540352242922")).contact.brand == "acme-optics"


def test_the_number_itself_will_do_for_a_route() -> None:
    routes = Routes([Route("a", "whatsapp", "meta", "15550783881"), Route("b", "whatsapp", "meta", "15550783882")])
    assert read(meta_message(), routes).messages[0].contact.brand == "a"


def test_a_number_that_is_on_no_route_is_an_error() -> None:
    assert read(meta_message(number="9")) == ParsedCall(
        errors=[f"{FIRST}: no route of meta for whatsapp has this number or account: add it to Routes"]
    )


# What a database does not take


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("STOP \ud83d", "STOP \ufffd"),
        ("\ude00 STOP", "\ufffd STOP"),
        ("\ud83d\ude00", "😀"),
        ("x" * 70_000, "x" * 16_384),
        (None, ""),
        (7, ""),
    ],
    ids=["half a pair at the end", "half a pair first", "a pair in halves", "very long", "nothing", "a number"],
)
def test_text_of_each_message_type_is_kept(body: Any, text: str) -> None:
    assert message(meta_message({"text": {"body": body}})).text == text


@pytest.mark.parametrize(("name", "kept"), [("  ", None), (" Ana ", "Ana"), ("x" * 600, "x" * 500), (7, None)])
def test_a_name_is_kept_within_bounds(name: Any, kept: str | None) -> None:
    assert message(meta_message(sender={**SHEENA, "profile": {"name": name}})).display_name == kept


@each_of("wrong", ["", "-5", "2.5", "1e9", "١٢٣٤٥٦٧٨٩٠", "9" * 30, True, 1.5, -1, 10**400, None, "0"])
def test_invalid_instant_is_an_error(wrong: Any) -> None:
    assert read(meta_message({"timestamp": wrong})).errors


@pytest.mark.parametrize("wrong", ["", "x" * 513, "\ud800", None, 7, "ü" * 257])
def test_an_id_that_cannot_be_part_of_a_key_is_an_error(wrong: Any) -> None:
    assert read(meta_message({"id": wrong})).errors


# Statuses


@pytest.mark.parametrize(
    ("word", "status"), [("sent", "sent"), ("delivered", "delivered"), ("read", "delivered"), ("played", "delivered")]
)
def test_a_status_is_a_receipt_of_the_message_that_it_names(word: str, status: Any) -> None:
    assert read(meta_status({"status": word})) == ParsedCall(
        receipts=[
            RecordDelivery(
                contact=PERSON,
                scheduled_message_id=OURS,
                status=status,
                at=datetime(2025, 6, 18, 16, 22, 53, tzinfo=UTC),
                provider_message_id="wamid.HBgLMTY1MDM4Nzk0MzkVAgARGBI3MTE5MjVBOTE3MDk5QUVFM0YA",
            )
        ]
    )


def test_failure_has_only_code_and_title() -> None:
    got = read(meta_status({"status": "failed", "errors": [dict(REENGAGEMENT)]}))
    assert (got.receipts[0].status, got.receipts[0].error) == ("undelivered", "131047 Re-engagement message")
    assert got.choices == []


@pytest.mark.parametrize("errors", [None, [], {}, [7], [{}], [{"code": None, "title": 5 * 10**20}]])
def test_failure_without_an_error_is_still_a_failure(errors: Any) -> None:
    got = read(meta_status({"status": "failed", "errors": errors}))
    assert (got.receipts[0].status, got.receipts[0].error) == ("undelivered", "failed")


def test_a_title_of_any_kind_comes_to_one_short_line() -> None:
    errors = [{"code": 1, "title": "two\nlines\x1b[31m \ud800 " + "x" * 1000}]
    error = read(meta_status({"status": "failed", "errors": errors})).receipts[0].error
    assert error
    assert error.startswith("1 two lines 31m x")
    assert len(error) <= 120


def test_failure_code_records_a_marketing_opt_out() -> None:
    errors = [{"code": 131050, "title": "User has stopped marketing messages"}]
    got = read(meta_status({"status": "failed", "errors": errors}))
    at = got.receipts[0].at
    assert got.receipts[0].status == "undelivered"
    assert got.choices == [
        RecordChoice(PERSON, "marketing", Choice(False, at, {"receipt_of": OURS, "error": 131050})),
    ]


@pytest.mark.parametrize("theirs", [None, "", "some data", 7, OURS.upper(), OURS + "1"])
def test_message_of_another_system_is_ignored(theirs: Any) -> None:
    assert read(meta_status({"biz_opaque_callback_data": theirs})) == ParsedCall(ignored=1)


def test_a_message_that_was_deleted_stays_what_it_was() -> None:
    assert read(meta_status({"status": "deleted"})) == ParsedCall(ignored=1)


def test_a_status_that_is_not_known_is_an_error() -> None:
    assert read(meta_status({"status": "dreamt"})).errors == [
        "$.entry[0].changes[0].value.statuses[0]: status: expected a known one"
    ]


def test_a_receipt_of_a_message_to_a_user_id_finds_that_contact() -> None:
    got = read(meta_status({"recipient_id": None, "recipient_user_id": USER_ID}))
    assert got.receipts[0].contact == Contact("acme-dental", "whatsapp", USER_ID)


def test_receipt_finds_the_contact_by_its_own_data() -> None:
    """A message went to a user's id, the status named their number, and the receipt found no such message."""
    (value,) = read(meta_status({"biz_opaque_callback_data": f"{OURS} {USER_ID}"})).receipts
    assert (value.contact.address, value.scheduled_message_id) == (USER_ID, OURS)


# Choices


@pytest.mark.parametrize(("word", "allowed"), [("stop", False), ("resume", True), ("signup", True)])
def test_a_choice_about_marketing_is_the_persons_own(word: str, allowed: bool) -> None:
    at = datetime(2024, 11, 15, 21, 22, 1, tzinfo=UTC)
    assert read(meta_preference({"value": word})) == ParsedCall(
        choices=[RecordChoice(PERSON, "marketing", Choice(allowed, at, {"whatsapp": word}))]
    )


def test_other_category_is_ignored_and_unknown_value_an_error() -> None:
    assert read(meta_preference({"category": "calls"})) == ParsedCall(ignored=1)
    assert read(meta_preference({"value": "perhaps"})).errors == [
        "$.entry[0].changes[0].value.user_preferences[0]: value: expected stop, resume or signup"
    ]


def test_preference_counts_by_user_id_without_a_number() -> None:
    got = read(meta_preference({"wa_id": None, "user_id": USER_ID}))
    assert got.choices[0].contact == Contact("acme-dental", "whatsapp", USER_ID)


@pytest.mark.parametrize(
    "content",
    [
        {"type": "button", "button": {"payload": "STOP", "text": "Nein danke"}},
        {
            "type": "interactive",
            "interactive": {"type": "button_reply", "button_reply": {"id": "stop", "title": "No more"}},
        },
        {
            "type": "interactive",
            "interactive": {"type": "list_reply", "list_reply": {"id": "STOP", "title": "No more"}},
        },
    ],
)
def test_a_button_that_means_stop_is_one_whatever_it_is_called(content: dict[str, Any]) -> None:
    """A business named the button in its own words, and a person who pressed it still got messages."""
    assert message(meta_message(content)).asks is Request.STOP


@pytest.mark.parametrize("payload", ["CANCEL", "cancel-button", "START", "END", "remove", "", "appointment-17"])
def test_a_button_that_is_about_something_else_is_no_stop(payload: str) -> None:
    """Under a reminder, "Cancel" is about the appointment."""
    content = {"type": "button", "button": {"payload": payload, "text": "Cancel"}}
    assert message(meta_message(content)).asks is None
    assert message(meta_message(content)).text == "Cancel"


def test_a_button_may_stop_marketing_alone() -> None:
    content = {"type": "button", "button": {"payload": "STOP_PROMOTIONS", "text": "Stop promotions"}}
    assert message(meta_message(content)).asks is Request.STOP_MARKETING


# While Meta's own agent answers


def test_messages_in_another_apps_thread_are_read_too() -> None:
    """Meta Business Agent held the conversation, and a STOP to it was never stored."""
    call = meta_call(meta_entry({"standby": {"messages": [dict(TEXT)], "contacts": [dict(SHEENA)]}}, field="standby"))
    plain = meta_call(meta_entry({"messages": [dict(TEXT)], "contacts": [dict(SHEENA)]}))
    assert read(call) == read(plain)
    assert len(read(call).messages) == 1


def test_messages_of_another_app_are_ignored() -> None:
    call = meta_call(meta_entry({"standby": {"message_echoes": [dict(TEXT)]}}, field="standby"))
    assert read(call) == ParsedCall()


# Ids of one person

NUMBER: Final = Contact("acme-dental", "whatsapp", "+16505551234")
USER: Final = Contact("acme-dental", "whatsapp", "US.811")


def _links(parsed: ParsedCall) -> list[tuple[Contact, Contact]]:
    return [(link.contact, link.same_as) for link in parsed.links]


def test_links_the_number_and_the_user_id_of_a_message() -> None:
    """A STOP came later by the user id alone, and the reminder went to the number."""
    parsed = read(meta_message({"from_user_id": "US.811"}))
    assert parsed.messages[0].contact == NUMBER
    assert _links(parsed) == [(NUMBER, USER)]


def test_links_by_the_profile_that_has_one_of_the_ids() -> None:
    sender = {**SHEENA, "user_id": "US.811", "parent_user_id": "US.ENT.9"}
    parent = Contact("acme-dental", "whatsapp", "US.ENT.9")
    assert _links(read(meta_message(sender=sender))) == [(NUMBER, USER), (NUMBER, parent)]


def test_never_links_by_the_profile_of_another_person() -> None:
    other = {"profile": {"name": "Other"}, "wa_id": "16505559999", "user_id": "US.9"}
    assert _links(read(meta_message(sender=other))) == []


def test_stop_with_a_parent_user_id_alone_is_a_message() -> None:
    parsed = read(meta_message({"from": None, "from_parent_user_id": "US.ENT.9"}, sender={"profile": {"name": "R"}}))
    assert parsed.messages[0].contact.address == "US.ENT.9"


@each_of("sender", ["bla", "STOP", "us.1", "US.", "+1 650 555 1234", "12", "US.1\n", "1650555123456789"])
def test_other_senders_are_errors(sender: str) -> None:
    """A call with ``from: "bla"`` made a contact of that name."""
    parsed = read(meta_message({"from": sender}))
    assert (parsed.messages, len(parsed.errors)) == ([], 1)


def test_delivered_status_links_the_two_ids_of_its_recipient() -> None:
    for status, links in (("delivered", 1), ("read", 0), ("sent", 0)):
        parsed = read(meta_status({"status": status, "recipient_user_id": "US.811"}))
        assert len(parsed.links) == links


# Staff

ECHO: Final = {"from": "15550783881", "to": "16505551234", "id": "wamid.E", "timestamp": "1749416383", "type": "text"}


@pytest.mark.parametrize(
    ("more", "addresses"),
    [
        ({"text": {"body": "We are on our way"}}, ["+16505551234"]),
        ({"to": None, "to_user_id": "US.811"}, ["US.811"]),
        ({"type": "image"}, ["+16505551234"]),
        ({"type": "revoke"}, []),
        ({"group_id": "g"}, []),
    ],
)
def test_message_of_staff_is_an_agent_reply(more: dict[str, Any], addresses: list[str]) -> None:
    entry = meta_entry({"message_echoes": [{**ECHO, **more}]}, "smb_message_echoes")
    parsed = read(meta_call(entry))
    assert [reply.contact.address for reply in parsed.agent_replies] == addresses
    assert (parsed.messages, parsed.errors) == ([], [])


# Quoted messages and buttons


def test_message_has_the_quoted_message_and_the_payload() -> None:
    button = {"type": "button", "button": {"payload": "confirm:a-17", "text": "Yes"}, "context": {"id": "wamid.OURS"}}
    (message,) = read(meta_message(button)).messages
    assert (message.quoted_message_id, message.payload, message.text) == ("wamid.OURS", "confirm:a-17", "Yes")


@pytest.mark.parametrize("context", [None, {}, {"id": ""}, {"id": 5}, {"id": "x" * 513}, {"id": "a\nb"}, "wamid"])
def test_invalid_quoted_message_is_left_out(context: Any) -> None:
    (message,) = read(meta_message({"context": context})).messages
    assert message.quoted_message_id is None


@pytest.mark.parametrize(
    ("context", "quoted"), [({"id": "wamid.OURS"}, "wamid.OURS"), ({"id": "M0"}, None), ({}, None), (None, None)]
)
def test_an_edit_quotes_what_its_message_quotes(context: Any, quoted: str | None) -> None:
    """The documentation's example has ``M0``, which is no message of ours or of theirs."""
    edited = {"type": "text", "text": {"body": "2"}, "context": context}
    got = message(meta_message({"type": "edit", "edit": {"original_message_id": "wamid.HBgL", "message": edited}}))
    assert (got.text, got.quoted_message_id) == ("2", quoted)


@pytest.mark.slow
def test_profiles_are_found_in_linear_time() -> None:
    """A call with thousands of messages and contacts took 182 seconds."""
    numbers = [str(16505550000 + each) for each in range(4000)]
    messages = [{**TEXT, "from": number, "id": number} for number in numbers]
    contacts = [{"profile": {"name": number}, "wa_id": number} for number in numbers]
    started = time.process_time()
    parsed = read(meta_call(meta_entry({"contacts": contacts, "messages": messages})))
    assert [message.display_name for message in parsed.messages] == numbers
    assert time.process_time() - started < 10
