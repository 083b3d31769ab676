"""The parsed parts of a call arrive behind the bus unchanged: nothing is lost, added or refused."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reengage.adapters.eventbridge import EventBus
from reengage.adapters.inbound.eventbridge import inbound_message, parse_business_event, receipt
from reengage.adapters.inbound.field_types import MAX_ID
from reengage.adapters.inbound.parsing import MAX_NAME, MAX_TEXT, ParsedCall
from reengage.adapters.inbound.relay import SOURCE, to_bus_events
from reengage.domain.commands import (
    LinkContact,
    MoveContact,
    RecordAgentReply,
    RecordChoice,
    RecordDelivery,
    Status,
)
from reengage.domain.contact import Contact
from reengage.domain.conversation import InboundMessage
from reengage.domain.events_out import OutEvent
from reengage.domain.preferences import Choice
from reengage.domain.requests import Request

AT: Final = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
PERSON: Final = Contact("acme-clinic", "whatsapp", "+447700900161")
MESSAGE: Final = InboundMessage(PERSON, "wamid.1", AT, AT, "Is Friday free?")
RECEIPT: Final = RecordDelivery(PERSON, "f81d4fae-7dec-51d0-a765-00a0c91e6bf6", "delivered", AT)
STOP: Final = RecordChoice(
    PERSON, "contact", Choice(allowed=False, at=AT, cause={"twilio": "STOP", "message_id": "SM1"})
)


def on_the_bus(event: OutEvent, time: datetime = AT) -> dict[str, Any]:
    """Return it as a listener receives it: PutEvents' entry, and the bus's own time in whole seconds."""
    entry = EventBus(Unused(), "reengage", source=SOURCE).entry(event)
    return {
        "id": "1",
        "detail-type": entry["DetailType"],
        "source": entry["Source"],
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "detail": json.loads(entry["Detail"]),
    }


class Unused:
    def put_events(self, **_entries: Any) -> Any:
        raise AssertionError("nothing is put here")


def test_it_does_not_come_from_us() -> None:
    """The rules exclude the app's own events by their source: ``reengage``."""
    assert SOURCE == "reengage.webhook"


def test_choices_come_before_messages_before_receipts() -> None:
    read = ParsedCall(messages=[MESSAGE], receipts=[RECEIPT], choices=[STOP], errors=["$: broken"], ignored=7)
    assert [event.type for event in to_bus_events(read)] == ["ContactOptedOut", "MessageReceived", "DeliveryReported"]


def test_what_is_wrong_or_ignored_is_no_event() -> None:
    assert to_bus_events(ParsedCall(errors=["$: expected JSON"], ignored=3)) == []


def test_message_has_only_known_fields() -> None:
    (event,) = to_bus_events(ParsedCall(messages=[MESSAGE]))
    assert event.detail == {
        "contact": {"brand": "acme-clinic", "channel": "whatsapp", "address": "+447700900161"},
        "message_id": "wamid.1",
        "sent_at": "2031-05-06T07:08:09Z",
        "text": "Is Friday free?",
        "kind": "text",
    }


def test_receipt_has_only_known_fields() -> None:
    (event,) = to_bus_events(ParsedCall(receipts=[RECEIPT]))
    assert event.detail == {
        "contact": {"brand": "acme-clinic", "channel": "whatsapp", "address": "+447700900161"},
        "scheduled_message_id": "f81d4fae-7dec-51d0-a765-00a0c91e6bf6",
        "status": "delivered",
        "occurred_at": "2031-05-06T07:08:09Z",
    }


@pytest.mark.parametrize(
    ("topic", "allowed", "detail_type"),
    [
        ("contact", False, "ContactOptedOut"),
        ("contact", True, "ContactOptedIn"),
        ("marketing", False, "ConsentChanged"),
        ("marketing", True, "ConsentChanged"),
    ],
)
def test_each_choice_is_the_same_choice_behind_the_bus(topic: Any, allowed: bool, detail_type: str) -> None:
    choice = Choice(allowed=allowed, at=AT - timedelta(microseconds=1), cause={"whatsapp": "stop"})
    (event,) = to_bus_events(ParsedCall(choices=[RecordChoice(PERSON, topic, choice)]))
    assert event.type == detail_type
    # Later by as long as the bus may take: a choice counts from when it was made.
    command = parse_business_event(on_the_bus(event, AT + timedelta(hours=23)))
    assert isinstance(command, RecordChoice)
    assert (command.contact, command.topic, command.choice.allowed, command.choice.at) == (
        PERSON,
        topic,
        allowed,
        choice.at,
    )
    assert "stop" in json.dumps(command.choice.cause)


def test_an_opt_out_keeps_its_cause_as_it_was() -> None:
    (event,) = to_bus_events(ParsedCall(choices=[STOP]))
    assert parse_business_event(on_the_bus(event)) == STOP


# Whatever a reader may hand over

TEXT: Final = st.text(st.characters(exclude_categories=["Cs"]))
INSTANTS: Final = st.datetimes(datetime(2000, 1, 1), datetime(2031, 5, 6), timezones=st.just(UTC))  # noqa: DTZ001 - Hypothesis wants its bounds naive
IDS: Final = st.text(st.characters(exclude_categories=["Cs", "Cc"])).filter(
    lambda text: 0 < len(text.encode()) <= MAX_ID
)


MESSAGES: Final = st.builds(
    InboundMessage,
    contact=st.just(PERSON),
    message_id=IDS,
    sent_at=INSTANTS,
    arrived_at=st.just(AT),
    text=TEXT,
    locale=st.sampled_from([None, "de", "pt-BR"]),
    display_name=st.none() | TEXT.map(lambda text: text.strip()[:MAX_NAME]).filter(bool),
    kind=st.sampled_from(["text", "image", "button", "contacts", "unsupported"]),
    asks=st.none() | st.sampled_from(Request),
    quoted_message_id=st.none() | IDS,
    payload=st.none() | TEXT.filter(lambda text: 0 < len(text) <= 2048),
)


@given(MESSAGES)
@pytest.mark.slow
def test_a_message_is_the_same_message_behind_the_bus(message: InboundMessage) -> None:
    (event,) = to_bus_events(ParsedCall(messages=[message]))
    assert inbound_message(on_the_bus(event)) == message


@given(IDS, INSTANTS, st.sampled_from(get_args(Status)), st.none() | IDS, st.none() | TEXT)
def test_a_receipt_is_the_same_receipt_behind_the_bus(
    ours: str, happened_at: datetime, status: Status, theirs: str | None, error: str | None
) -> None:
    report = RecordDelivery(PERSON, ours, status, happened_at, theirs, error)
    (event,) = to_bus_events(ParsedCall(receipts=[report]))
    assert receipt(on_the_bus(event)) == replace(report, event_id="1")


@pytest.mark.parametrize("character", ["x", '"', "\n", "ü", "🦷", "\x00"])
def test_the_longest_message_fits_into_an_event(character: str) -> None:
    """PutEvents accepts 256 KB, counted in bytes as they are sent."""
    (event,) = to_bus_events(
        ParsedCall(messages=[replace(MESSAGE, text=character * MAX_TEXT, display_name="🦷" * MAX_NAME)])
    )
    entry = EventBus(Unused(), "reengage", source=SOURCE).entry(event)
    assert sum(len(entry[name].encode()) for name in ("Source", "DetailType", "Detail")) < 262_144
    assert inbound_message(on_the_bus(event)).text == character * MAX_TEXT


# Addresses of one person, and staff

OTHER: Final = Contact("acme-clinic", "whatsapp", "GB.811")


def test_links_come_before_choices_and_messages() -> None:
    """A STOP at one address must find the other."""
    call = ParsedCall(messages=[MESSAGE], choices=[STOP], links=[LinkContact(PERSON, OTHER, AT)])
    assert [event.type for event in to_bus_events(call)] == ["ContactLinked", "ContactOptedOut", "MessageReceived"]


@pytest.mark.parametrize(
    ("call", "command"),
    [
        (ParsedCall(links=[LinkContact(PERSON, OTHER, AT)]), LinkContact(PERSON, OTHER, AT)),
        (ParsedCall(moves=[MoveContact(PERSON, OTHER, AT)]), MoveContact(PERSON, OTHER, AT)),
        (ParsedCall(agent_replies=[RecordAgentReply(PERSON, AT)]), RecordAgentReply(PERSON, AT)),
    ],
)
def test_links_moves_and_replies_are_the_same_behind_the_bus(call: ParsedCall, command: Any) -> None:
    (event,) = to_bus_events(call)
    assert parse_business_event(on_the_bus(event, AT + timedelta(hours=1))) == command
