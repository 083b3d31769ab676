"""Questions put by hand: which there are, and how each error names its field."""

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reengage.adapters.inbound.eventbridge import said
from reengage.adapters.inbound.questions import AboutContact, AboutEvent, question
from reengage.domain.contact import Contact
from reengage.domain.subject import BusinessEvent
from reengage.errors import InvalidEvent

CONTACT: Final = {"brand": "acme-dental", "channel": "sms", "address": "+44 7700 900142"}
READ: Final = Contact("acme-dental", "sms", "+447700900142")
EVENT: Final = {
    "detail-type": "AppointmentBooked",
    "time": "2031-03-04T11:05:20Z",
    "detail": {"contact": CONTACT, "appointment_id": "A-1", "starts_at": "2031-03-20T15:00:00+01:00"},
}


def errors_of(asked: Any) -> list[str]:
    with pytest.raises(InvalidEvent) as raised:
        question(asked)
    return list(raised.value.errors)


@pytest.mark.parametrize(
    ("more", "asks"), [({}, "explain"), ({"export": False}, "explain"), ({"export": True}, "export")]
)
def test_about_a_contact_whose_address_is_brought_to_its_one_form(more: dict[str, Any], asks: str) -> None:
    assert question({"contact": CONTACT, **more}) == AboutContact("export" if asks == "export" else "explain", READ)


def test_about_an_event_that_nobody_has_sent_yet() -> None:
    event = said(EVENT)
    assert isinstance(event, BusinessEvent)
    assert question({"preview": EVENT}) == AboutEvent(event)


@pytest.mark.parametrize("asked", [None, 5, "?", [], {}, {"export": True}, {"contact": CONTACT, "preview": EVENT}])
def test_anything_else_is_told_what_there_is(asked: Any) -> None:
    (error,) = errors_of(asked)
    assert error.startswith('$: expected {"contact": {"brand", "channel", "address"}} or {"preview": event}')


@pytest.mark.parametrize("export", ["true", 1, 0, [], {}])
def test_an_export_is_asked_for_by_true(export: Any) -> None:
    assert errors_of({"contact": CONTACT, "export": export}) == ["$.export: expected true or false"]


@pytest.mark.parametrize("contact", [None, 5, [], "+447700900142"])
def test_a_contact_is_an_object(contact: Any) -> None:
    assert errors_of({"contact": contact}) == ["$.contact: expected an object"]


def test_every_part_of_a_contact_that_is_wrong_is_named_at_once() -> None:
    paths = [error.partition(": ")[0] for error in errors_of({"contact": {"brand": 5, "channel": "fax"}})]
    assert paths == ["$.contact.brand", "$.contact.channel", "$.contact.address"]
    (error,) = errors_of({"contact": CONTACT | {"address": "call me"}})
    assert error.startswith("$.contact.address: ")


def test_every_field_of_an_event_that_is_wrong_is_named_at_once_and_where_it_stands() -> None:
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
    asked = {"preview": {**EVENT, "detail-type": detail_type, "detail": detail}}
    assert errors_of(asked) == ["$.preview.detail-type: expected an event that plans messages, or withdraws them"]


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


@given(asked=_json, name=st.sampled_from(["contact", "preview"]))
def test_any_json_is_read_or_refused(asked: Any, name: str) -> None:
    assert all(error.startswith("$") for error in errors_of(asked))
    assert all(error.startswith(f"$.{name}") for error in errors_of({name: asked}))
