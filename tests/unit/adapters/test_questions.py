"""Questions to ExplainFunction: which exist, and the field that each error names."""

from datetime import date
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reengage.adapters.inbound.eventbridge import parse_business_event
from reengage.adapters.inbound.questions import (
    AboutBroadcast,
    AboutContact,
    AboutDay,
    AboutEvent,
    AboutPauses,
    AboutStory,
    question,
)
from reengage.domain.contact import Contact
from reengage.domain.reasons import REASONS
from reengage.domain.subject import EVENT_TYPES, BusinessEvent, SubjectRef
from reengage.errors import InvalidEvent
from tests.cases import each_of

CONTACT: Final = {"brand": "acme-dental", "channel": "sms", "address": "+44 7700 900142"}
READ: Final = Contact("acme-dental", "sms", "+447700900142")
EVENT: Final = {
    "detail-type": "AppointmentBooked",
    "time": "2031-03-04T11:05:20Z",
    "detail": {"contact": CONTACT, "appointment_id": "A-1", "starts_at": "2031-03-20T15:00:00+01:00"},
}


def errors_of(query: Any) -> list[str]:
    with pytest.raises(InvalidEvent) as raised:
        question(query)
    return list(raised.value.errors)


@pytest.mark.parametrize(
    ("more", "asks"), [({}, "explain"), ({"export": False}, "explain"), ({"export": True}, "export")]
)
def test_question_normalises_the_contacts_address(more: dict[str, Any], asks: str) -> None:
    assert question({"contact": CONTACT, **more}) == AboutContact("export" if asks == "export" else "explain", READ)


def test_question_about_an_unsent_event() -> None:
    event = parse_business_event(EVENT)
    assert isinstance(event, BusinessEvent)
    assert question({"preview": EVENT}) == AboutEvent(event)


@pytest.mark.parametrize(
    ("named", "kind"),
    [
        ({"announcement_id": "P-2031-12 #ü"}, "announcement"),
        ({"item_id": "P-2031-12 #ü"}, "item"),
        ({"item_id": "P-2031-12 #ü", "announcement_id": None, "announcement": "X"}, "item"),
    ],
)
def test_about_a_broadcast_by_what_it_is_about(named: dict[str, Any], kind: str) -> None:
    query = {"broadcast": {"brand": "acme-dental", **named}}
    assert question(query) == AboutBroadcast(SubjectRef("acme-dental", kind, "P-2031-12 #ü"))


def test_each_broadcast_is_queried_by_its_events_id_field() -> None:
    kinds = {terms.kind for terms in REASONS.values() if terms.audience}
    names = {(terms.kind, terms.id_field) for terms in EVENT_TYPES.values() if terms.kind in kinds}
    assert {kind for kind, _ in names} == kinds
    for kind, name in names:
        query = question({"broadcast": {"brand": "acme-dental", name: "X-1"}})
        assert query == AboutBroadcast(SubjectRef("acme-dental", kind, "X-1"))


@each_of(
    "query",
    [
        *(None, 5, "?", [], {}, {"export": True}, {"announcement_id": "X-1"}),
        {"contact": CONTACT, "preview": EVENT},
        {"contact": CONTACT, "broadcast": {"brand": "acme-dental", "item_id": "X-1"}},
        {"preview": EVENT, "broadcast": None},
    ],
)
def test_unknown_question_lists_the_valid_ones(query: Any) -> None:
    (error,) = errors_of(query)
    assert error.startswith("$: expected ")
    for asks in ('{"contact": {"brand", "channel", "address"}}', '{"preview": event}', '{"broadcast": {"brand", '):
        assert asks in error


@each_of("brand", [None, 5, True, "", "acme dental", "a#b", [], {}, ["acme-dental"], "x" * 65])
def test_a_broadcast_is_one_brands(brand: Any) -> None:
    """Its key begins with the brand: a typing error there would read another brand's data."""
    for query in ({"brand": brand, "item_id": "X-1"}, {"item_id": "X-1"}):
        (error,) = errors_of({"broadcast": query})
        assert error.startswith("$.broadcast.brand: ")


@each_of(
    "named",
    [
        *({}, {"id": "X-1"}, {"item_id": ""}, {"announcement_id": ""}, {"announcement_id": "X-1", "item_id": "X-1"}),
        *({"item_id": of} for of in (None, 5, True, 1.5, [], ["X-1"], {}, {"en": "X-1"})),
        *({"announcement_id": of} for of in (None, 5, True, 1.5, [], ["X-1"], {}, {"en": "X-1"})),
        # No event can have had such an id, and no key can hold it.
        *({"item_id": of} for of in ("x" * 513, "é" * 257, "\ud800")),
    ],
)
def test_a_broadcast_is_named_by_one_id(named: dict[str, Any]) -> None:
    (error,) = errors_of({"broadcast": {"brand": "acme-dental", **named}})
    assert error.startswith("$.broadcast")
    assert "item_id" in error or "announcement_id" in error


@pytest.mark.parametrize("named", [None, 5, "acme-dental/X-1", [], [{"brand": "acme-dental", "item_id": "X-1"}], True])
def test_a_broadcast_is_an_object(named: Any) -> None:
    assert errors_of({"broadcast": named}) == ["$.broadcast: expected an object"]


def test_all_wrong_fields_of_a_broadcast_are_reported_at_once() -> None:
    paths = [error.partition(": ")[0] for error in errors_of({"broadcast": {"brand": 5, "item_id": 5}})]
    assert paths == ["$.broadcast.brand", "$.broadcast.item_id"]


def test_error_repeats_no_value_of_the_question() -> None:
    """Errors are logged, and a wrong field may contain personal data."""
    personal = "Ada Beispiel +447700900142"
    for query in (
        {"contact": dict.fromkeys(("brand", "channel", "address"), personal)},
        {"contact": {**CONTACT, "address": personal}, "export": personal},
        {"preview": personal},
        {"broadcast": {"brand": personal, "item_id": "X-1"}},
        {"broadcast": {"brand": "acme-dental", "item_id": [personal]}},
        {"broadcast": {"brand": "acme-dental", personal: personal}},
        {personal: personal},
    ):
        error_text = " ".join(errors_of(query))
        assert "Ada" not in error_text
        assert "7700" not in error_text


@pytest.mark.parametrize("export", ["true", 1, 0, [], {}])
def test_export_is_requested_by_true(export: Any) -> None:
    assert errors_of({"contact": CONTACT, "export": export}) == ["$.export: expected true or false"]


@pytest.mark.parametrize("contact", [None, 5, [], "+447700900142"])
def test_a_contact_is_an_object(contact: Any) -> None:
    assert errors_of({"contact": contact}) == ["$.contact: expected an object"]


def test_all_wrong_fields_of_a_contact_are_named() -> None:
    paths = [error.partition(": ")[0] for error in errors_of({"contact": {"brand": 5, "channel": "fax"}})]
    assert paths == ["$.contact.brand", "$.contact.channel", "$.contact.address"]
    (error,) = errors_of({"contact": CONTACT | {"address": "call me"}})
    assert error.startswith("$.contact.address: ")


def test_all_wrong_fields_of_an_event_are_reported_with_paths() -> None:
    wrong = {"detail-type": "AppointmentBooked", "time": "now", "detail": {"contact": CONTACT, "starts_at": "soon"}}
    paths = [error.partition(": ")[0] for error in errors_of({"preview": wrong})]
    assert paths == ["$.preview.time", "$.preview.detail.appointment_id", "$.preview.detail.starts_at"]
    assert errors_of({"preview": 5}) == ["$.preview: expected an EventBridge event, a JSON object"]


@pytest.mark.parametrize(
    ("detail_type", "detail"),
    [
        ("ContactErased", {"contact": CONTACT}),
        ("ContactOptedOut", {"contact": CONTACT}),
        ("BrandConfigured", {"brand": "acme-dental", "name": "Acme"}),
    ],
)
def test_only_what_plans_or_withdraws_messages_can_be_previewed(detail_type: str, detail: dict[str, Any]) -> None:
    query = {"preview": {**EVENT, "detail-type": detail_type, "detail": detail}}
    assert errors_of(query) == ["$.preview.detail-type: expected an event that plans or cancels messages"]


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


@given(query=_json, name=st.sampled_from(["contact", "preview", "broadcast"]))
def test_any_json_is_read_or_refused(query: Any, name: str) -> None:
    assert all(error.startswith("$") for error in errors_of(query))
    assert all(error.startswith(f"$.{name}") for error in errors_of({name: query}))


def test_a_story_to_simulate_is_a_list_of_lines() -> None:
    assert question({"simulate": [EVENT]}) == AboutStory([EVENT])
    assert errors_of({"simulate": EVENT}) == ["$.simulate: expected a list of a story's lines"]
    assert len(errors_of({"simulate": [EVENT], "contact": CONTACT})) == 1


def test_a_question_about_a_day_names_the_brand_and_the_date() -> None:
    query = {"day": {"brand": "acme-dental", "date": "2031-03-20"}}
    assert question(query) == AboutDay("acme-dental", date(2031, 3, 20))
    query = {"day": {"brand": "acme-dental", "date": "tomorrow"}}
    assert question(query) == AboutDay("acme-dental", "tomorrow")
    assert errors_of({"day": {"date": "soon"}}) == [
        "$.day.brand: is required",
        "$.day.date: expected a day, such as 2026-12-24",
    ]


def test_parses_a_query_for_the_next_export_page() -> None:
    assert question({"contact": CONTACT, "export": True, "after": "MESSAGE#7"}) == AboutContact(
        "export", READ, "MESSAGE#7"
    )
    for wrong in ({"after": "MESSAGE#7"}, {"export": True, "after": 7}, {"export": True, "after": ""}):
        assert errors_of({"contact": CONTACT, **wrong}) == [
            '$.after: expected the text of "next" in the part of an export before'
        ]


@pytest.mark.parametrize(("more", "is_widget"), [({}, False), ({"widgetContext": {"theme": "dark"}}, True)])
def test_question_about_pauses_of_a_dashboard(more: dict[str, Any], *, is_widget: bool) -> None:
    """CloudWatch adds the context of the widget, and shows HTML."""
    assert question({"pauses": True, **more}) == AboutPauses(is_widget)


@pytest.mark.parametrize("value", [False, {}, "acme", 1])
def test_question_about_pauses_names_its_value(value: Any) -> None:
    assert errors_of({"pauses": value}) == ["$.pauses: expected true"]
