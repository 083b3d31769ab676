"""The model of the faults has the right values: small stories that it once judged wrongly, or that once failed."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from reengage.simulation.fault_app import History
from reengage.simulation.faults import parse_fault
from reengage.usecases import record_choice, still_needed
from tests.simulation.faults.case import Case
from tests.simulation.faults.events import named
from tests.simulation.faults.fences import FENCES
from tests.simulation.faults.judge import judge
from tests.simulation.faults.liveness import unhindered
from tests.simulation.faults.model import View
from tests.simulation.faults.search import play
from tests.simulation.faults.settings import Line, settings_of

SMS: Final = {"brand": "north", "channel": "sms", "address": "+12025550103"}
CHAT: Final = {"brand": "north", "channel": "whatsapp", "address": "+12025560103"}
NAME: Final = named("sms", SMS["address"])
NEW_YORK: Final = {"timezone": "America/New_York"}
PULLED: Final = {"set": {"WhenWindowWillClose": "pull_forward", "UtilityCaps": "", "WhatsAppTemplates": ""}}


def story(*lines: tuple[str, str, Line], settings: Line | None = None) -> list[Line]:
    events = (
        {"time": at, "detail-type": name, "detail": detail, "id": f"event-{number}", "source": "test.app"}
        for number, (at, name, detail) in enumerate(lines)
    )
    return [*([settings] if settings else []), *events]


def writes(at: str, contact: Line = SMS, sent_at: str = "") -> tuple[str, str, Line]:
    detail = {"contact": contact, "message_id": f"m-{at}", "sent_at": sent_at or at, "text": "Hello"}
    return at, "MessageReceived", detail


def books(at: str, starts_at: str, name: str = "AppointmentBooked", contact: Line = SMS) -> tuple[str, str, Line]:
    return at, name, {"contact": contact, "appointment_id": "a-1", "starts_at": starts_at, **NEW_YORK}


def appointment(appointment_id: str, starts_at: str) -> Line:
    return {"contact": SMS, "appointment_id": appointment_id, "starts_at": starts_at, **NEW_YORK}


def answers(at: str, text: str) -> tuple[str, str, Line]:
    _, name, detail = writes(at)
    return at, name, detail | {"text": text}


def answered(history: History) -> list[Mapping[str, Any]]:
    return [event.detail for _, event in history.events if event.type == "AppointmentAnswered"]


def consents(at: str, when: str = "", *, allowed: bool = True) -> tuple[str, str, Line]:
    evidence = {"evidence": {"when": when, "where": "form"}} if when else {}
    return at, "ConsentChanged", {"contact": SMS, "marketing": allowed, **evidence}


def codes(lines: Sequence[Line]) -> list[str]:
    return [violation.code for violation in judge(lines, play(lines)).violations]


@pytest.mark.parametrize(
    ("when", "is_allowed"),
    [
        ("2026-04-02T12:24:46Z", False),
        ("2026-04-02T12:24:47Z", False),  # at a tie the refusal counts
        ("2026-04-02T12:24:48Z", True),
    ],
)
def test_the_model_dates_a_consent_by_its_evidence(when: str, *, is_allowed: bool) -> None:
    lines = story(consents("2026-04-02T12:24:47Z", allowed=False), consents("2026-04-02T12:25:00Z", when))
    view = View(lines, NAME, settings_of(lines), frozenset({NAME}))
    assert view.consents() == {is_allowed}


@pytest.mark.parametrize(("when", "outcome"), [("12:24:47", "skipped"), ("12:24:48", "sent")])
def test_app_and_model_agree_on_a_consent(when: str, outcome: str) -> None:
    viewed = {"contact": SMS, "product_id": "w-1", "name": "Tea"}
    lines = story(
        writes("2026-04-01T13:28:59Z"),
        consents("2026-04-02T12:24:47Z", allowed=False),
        consents("2026-04-02T12:25:00Z", f"2026-04-02T{when}Z"),
        ("2026-04-06T15:05:44Z", "ProductViewed", viewed),
    )
    assert [row.state.value for row in play(lines).rows] == [outcome]
    assert codes(lines) == []


def test_only_the_first_reminder_goes_before_the_window_closes() -> None:
    """The model expected the second one, too, because the appointment moved after the first one was sent."""
    lines = story(
        writes("2026-03-02T15:00:07Z"),
        books("2026-03-16T12:59:00Z", "2026-04-04T14:30:00-04:00", "AppointmentRescheduled"),
        books("2026-04-01T14:51:00Z", "2026-04-11T11:00:00-04:00"),
        settings=PULLED,
    )
    expected = [(each.offset, each.due_at) for each in unhindered(Case(lines, play(lines)))]
    assert expected == [("P1D", datetime(2026, 4, 1, 14, 0, 7, tzinfo=UTC))]
    assert codes(lines) == []


def test_a_fault_in_a_warning_may_cost_another_message() -> None:
    """A run warned of the closing window and died while it read the person's other appointment; the row was erased."""
    other = {"contact": SMS, "appointment_id": "a-2", "starts_at": "2026-04-07T11:00:00-04:00", **NEW_YORK}
    lines = story(
        writes("2026-03-02T15:00:34Z", sent_at="2026-02-06T15:00:34Z"),
        ("2026-03-02T17:07:00Z", "AppointmentBooked", other),
        books("2026-03-03T16:01:00Z", "2026-03-18T11:30:00-04:00"),
        writes("2026-03-17T08:21:14Z"),
        ("2026-03-18T14:05:01Z", "ContactErased", {"contact": SMS}),
        settings={"set": {"WhenWindowWillClose": "warn"}},
    )
    fault = {"in": f"{SMS['address']} appointment_reminder#a-2#P1D#2026-04-07T15:00:00Z", "call": "read_snapshot"}
    history = play([*lines, {"fault": fault | {"nth": 1, "kind": "crash"}}])
    assert [event.detail["subject_id"] for _, event in history.events if event.type == "MessageUnconfirmed"] == ["a-1"]
    assert judge(lines, history).violations == []


LINKED_LATE: Final = story(
    writes("2026-03-04T08:29:29Z"),
    books("2026-03-06T10:58:00Z", "2026-04-08T14:00:00-04:00", contact=CHAT),
    books("2026-03-31T09:22:45Z", "2026-04-08T10:00:00-04:00", "AppointmentRescheduled"),
    writes("2026-04-03T08:00:32Z"),
    (
        "2026-04-03T08:12:38Z",
        "ContactLinked",
        {"contact": CHAT, "same_as": {"channel": "sms", "address": SMS["address"]}},
    ),
    settings=PULLED,
)
"""The reminder goes to one address before the window closes; only then are the two addresses linked."""


ANNOUNCED: Final = story(
    writes("2026-03-04T15:29:29Z"),
    writes("2026-03-10T23:30:00Z", CHAT),
    (
        "2026-03-10T23:45:00Z",
        "HolidayHoursAnnounced",
        {
            "brand": "north",
            "announcement_id": "n-1",
            "send_at": "2026-03-11T01:00:00Z",
            "date": "2026-03-13",
            "closed": True,
            **NEW_YORK,
        },
    ),
    (
        "2026-03-11T03:00:00Z",
        "ContactLinked",
        {"contact": CHAT, "same_as": {"channel": "sms", "address": SMS["address"]}},
    ),
)
"""The addresses are linked while quiet hours hold an announcement to both."""


def test_a_late_link_repeats_no_reminder() -> None:
    history = play(LINKED_LATE)
    assert [each.message.offset for each in history.handovers if each.message.reason == "appointment_reminder"] == [
        "P1D",
        "PT2H",
    ]
    assert judge(LINKED_LATE, history).violations == []


def test_a_late_link_repeats_no_announcement() -> None:
    history = play(ANNOUNCED)
    assert [each.message.reason for each in history.handovers] == ["holiday_hours"]
    assert judge(ANNOUNCED, history).violations == []


@pytest.mark.parametrize(("lines", "fence"), [(LINKED_LATE, "_at_other_addresses"), (ANNOUNCED, "_of_audience")])
def test_the_judge_finds_a_message_at_both_addresses(
    lines: list[Line], fence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: Any) -> list[Any]:
        return []

    monkeypatch.setattr(still_needed, fence, none)
    assert set(codes(lines)) == {"at_most_once"}


def starts(at: str, contact: Line, name: str = "TrialStarted") -> tuple[str, str, Line]:
    detail = {"contact": contact, "trial_id": "t-1", "product": "Plan", "ends_at": "2026-04-07T10:30:00-04:00"}
    return at, name, detail | NEW_YORK


def links(at: str) -> tuple[str, str, Line]:
    return at, "ContactLinked", {"contact": SMS, "same_as": {"channel": "whatsapp", "address": CHAT["address"]}}


def test_a_trial_is_planned_for_the_address_named_first() -> None:
    """A conversion named the other address first. It was added later, and then the messages were planned for it."""
    lines = story(
        links("2026-03-02T18:48:46Z"),
        ("2026-03-04T05:57:08Z", "TrialConverted", {"contact": CHAT, "trial_id": "t-1"}),
        starts("2026-03-06T19:44:33Z", SMS),
        writes("2026-03-20T17:16:04Z"),
        starts("2026-03-22T06:50:24Z", CHAT),
    )
    history = play(lines)
    sent = {(each.message.contact.address, each.message.offset) for each in history.handovers}
    assert sent == {(CHAT["address"], "-P3D"), (CHAT["address"], "P1D")}
    assert judge(lines, history).violations == []


UNCONFIRMED: Final = story(
    starts("2026-03-05T00:29:15Z", CHAT),
    starts("2026-03-12T03:15:44Z", SMS),
    links("2026-03-22T19:50:41Z"),
    writes("2026-03-26T17:33:29Z"),
)
"""A trial is planned for two addresses, which are linked later."""


@pytest.mark.parametrize("has_cause", [True, False])
def test_an_unknown_outcome_is_not_repeated_elsewhere(*, has_cause: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run died while it settled one address's message, and the other's was skipped: perhaps the person has it."""
    place = f"{SMS['address']} trial_follow_up#t-1#P1D#2026-04-07T14:30:00Z"
    history = play([*UNCONFIRMED, {"fault": {"in": place, "call": "settle", "nth": 1, "kind": "crash"}}])
    states = {(row.contact.address, row.state.value) for row in history.rows if row.offset == "P1D"}
    assert states == {(SMS["address"], "unconfirmed"), (CHAT["address"], "skipped")}
    if not has_cause:
        monkeypatch.setattr(history, "rows", [row for row in history.rows if row.state != "unconfirmed"])
    texts = [violation.text for violation in judge(UNCONFIRMED, history).violations]
    assert any(text.endswith("the model knows no cause") for text in texts) is not has_cause
    assert has_cause is (not texts)


def test_the_judge_finds_an_opt_out_without_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """STOP came twice within a second, and the first one's publish failed."""
    stop = {"contact": SMS, "text": "STOP"}
    lines = story(
        writes("2026-03-02T15:00:00Z"),
        *((at, "MessageReceived", stop | {"message_id": at, "sent_at": at}) for at in (FIRST, SECOND)),
    )
    faults = [parse_fault({"in": "event-1", "call": "publish", "nth": 1, "kind": "error"})]
    assert [each.code for each in judge(lines, play(lines, faults)).violations] == []
    monkeypatch.setattr(record_choice, "_is_news", lambda choice, stored: choice.at == stored.at and stored.changed)
    assert [each.code for each in judge(lines, play(lines, faults)).violations] == ["events_out"]


FIRST: Final = "2026-03-02T16:00:00Z"
SECOND: Final = "2026-03-02T16:00:01Z"


def test_a_booking_named_again_may_have_been_sent_for_a_closing() -> None:
    """The window closed 19 seconds after the earliest instant of the reminder, and the same start was named again."""
    lines = story(
        writes("2026-03-02T15:00:20Z", sent_at="2026-03-02T15:00:19Z"),
        books("2026-03-11T05:58:00Z", "2026-04-08T11:00:00-04:00"),
        books("2026-04-04T15:02:00Z", "2026-04-08T11:00:00-04:00", "AppointmentRescheduled"),
        writes("2026-04-06T15:00:26Z"),
        settings=PULLED,
    )
    assert codes(lines) == []


def test_the_window_of_an_address_that_was_left_does_not_count() -> None:
    """The person moved to WhatsApp, which has no template; the window of SMS closes before the reminder is due."""
    lines = story(
        writes("2026-03-09T14:31:14Z"),
        (
            "2026-03-11T00:34:28Z",
            "ContactMoved",
            {"contact": SMS, "to": {"channel": "whatsapp", "address": "+12025560103"}},
        ),
        books("2026-04-08T02:11:05Z", "2026-04-10T08:00:00-04:00", contact=CHAT),
        writes("2026-04-08T11:30:59Z", CHAT),
        settings=PULLED,
    )
    assert codes(lines) == []


def test_a_correction_of_what_was_not_sent_is_superseded() -> None:
    """The cancellation came while the reminder was in hand. It did not go out, so nothing is to be corrected."""
    lines = story(
        books("2026-03-09T12:11:00Z", "2026-03-28T17:30:00+01:00"),
        writes("2026-03-12T19:11:39Z"),
        ("2026-03-27T16:30:02Z", "AppointmentCancelled", {"brand": "north", "appointment_id": "a-1"}),
    )
    booked = f"{SMS['address']} appointment_reminder#a-1#P1D#2026-03-28T16:30:00Z"
    faults = [
        parse_fault({"in": booked, "call": "claim", "nth": 1, "kind": "event_after"}),
        parse_fault({"in": "2026-03-27T16:31:00Z", "call": "due", "nth": 1, "kind": "lost"}),
    ]
    history = play(lines, faults)
    assert [row.rule for row in history.rows if row.reason == "appointment_cancelled"] == ["superseded"]
    assert [each.code for each in judge(lines, history).violations] == []


def test_an_event_that_fails_for_a_day_is_delivered_again() -> None:
    """A sender was killed, and no run came for 25 hours: until then, the cart's message is in its hands."""
    cart = {"contact": SMS, "cart_id": "c-1", "items": ["Tea"], "cart_url": "https://example.com/c"}
    lines = story(
        writes("2026-04-10T13:00:30Z"),
        ("2026-04-12T13:25:59Z", "CartAbandoned", cart),
        ("2026-04-12T17:27:05Z", "CartAbandoned", cart),
    )
    place = f"{SMS['address']} cart_reminder#c-1#PT4H#once"
    faults = [
        parse_fault({"in": place, "call": "reserve_cap", "nth": 1, "kind": "crash_after"}),
        parse_fault({"in": "2026-04-12T17:27:00Z", "call": "invoke", "nth": 1, "kind": "late", "seconds": 90_000.0}),
    ]
    history = play(lines, faults)
    assert [row.state.value for row in history.rows] == ["unconfirmed"]
    assert "event-2" in history.done
    assert [each.code for each in judge(lines, history).violations] == []


def test_a_second_person_of_an_order_delays_no_review() -> None:
    """Who was added had returned the order before. The other one's request for a review came a minute late."""
    one, other = {"contact": SMS, "order_id": "o-1"}, {"contact": CHAT, "order_id": "o-1"}
    lines = story(
        writes("2026-03-05T12:14:28Z"),
        ("2026-03-08T12:04:58Z", "OrderShipped", one),
        ("2026-03-08T12:54:58Z", "OrderReturned", other),
        ("2026-03-08T13:04:58Z", "OrderDelivered", {"brand": "north", "order_id": "o-1"}),
        ("2026-03-09T13:04:58Z", "OrderShipped", other),
    )
    assert codes(lines) == []


def merged() -> list[Line]:
    """Two appointments of one number, each booked on another channel, in one text on WhatsApp."""
    other = {"contact": SMS, "appointment_id": "a-2", "starts_at": "2026-03-23T14:30:00-04:00", **NEW_YORK}
    chat = SMS | {"channel": "whatsapp"}
    return story(
        books("2026-03-03T02:55:00Z", "2026-03-23T14:00:00-04:00"),
        ("2026-03-18T16:31:00Z", "AppointmentBooked", other | {"contact": chat}),
        writes("2026-03-22T05:02:34Z", chat),
    )


def test_a_merged_message_on_another_channel_is_published_again() -> None:
    """A text named a reminder of another channel, too. The bus did not take its outcome, and no retry published it."""
    fault = {"in": "2026-03-22T18:00:00Z", "call": "publish", "nth": 1, "kind": "partial"}
    history = play(merged(), [parse_fault(fault)])
    assert [each.is_merged for each in history.handovers] == [False, True]
    assert judge(merged(), history).violations == []


def test_a_receipt_counts_for_what_was_merged_elsewhere() -> None:
    """A text named a reminder of another channel, too, which stayed ``sent`` although the text was delivered."""
    lines = [*merged(), {"provider": {"receipts": [{"status": "delivered", "after": "PT4S"}]}}]
    rows = [row for row in play(lines).rows if row.offset == "P1D"]
    assert [row.state.value for row in rows] == ["delivered", "delivered"]


def test_a_run_while_an_event_is_processed_delays_nothing() -> None:
    """A run found nothing to do while an order was processed, and the simulation did not look at the order for days."""
    lines = story(
        writes("2026-03-13T05:29:59Z"),
        ("2026-03-23T02:54:48Z", "OrderShipped", {"contact": SMS, "order_id": "o-1"}),
    )
    faults = [parse_fault({"in": "event-1", "call": "read_brand", "nth": 1, "kind": "tick"})]
    history = play(lines, faults)
    assert [row.state.value for row in history.rows] == ["sent"]
    assert judge(lines, history).violations == []


def test_a_run_whose_clock_is_behind_is_followed_by_another() -> None:
    """A run looked half a second before a reminder was due at night. The simulation did not look again for hours."""
    lines = story(writes("2026-03-02T15:00:05Z"), books("2026-03-03T18:01:00Z", "2026-03-09T08:30:00-04:00"))
    faults = [parse_fault({"in": "2026-03-09T10:30:00Z", "call": "invoke", "nth": 1, "kind": "skew", "seconds": -0.5})]
    history = play(lines, faults)
    assert history.handovers[-1].call.at == datetime(2026, 3, 9, 12, tzinfo=UTC)
    assert judge(lines, history).violations == []


def test_new_settings_of_the_brand_end_a_hold() -> None:
    """The model expects the message as soon as its quiet hours are gone; the judge finds one that waits."""
    lines = story(
        writes("2026-03-13T05:29:59Z"),
        ("2026-03-23T04:54:48Z", "OrderShipped", {"contact": SMS, "order_id": "o-1"}),
        ("2026-03-23T06:10:00Z", "BrandConfigured", {"brand": "north", "name": "North", "utility_quiet_hours": ""}),
    )
    history = play(lines)
    assert [each.call.at for each in history.handovers] == [datetime(2026, 3, 23, 6, 10, tzinfo=UTC)]
    assert judge(lines, history).violations == []
    remove, code = FENCES["recheck of holds"]
    with remove():
        assert codes(lines) == [code]


def test_former_quiet_hours_count_whatever_follows() -> None:
    """A night would have cost the reminder, so it was sent before; other quiet hours came later that evening."""
    quiet = {"brand": "north", "name": "North"}
    lines = story(
        writes("2026-03-13T05:29:59Z"),
        books("2026-03-14T00:00:00Z", "2026-04-07T08:00:00-04:00"),
        ("2026-04-07T01:30:00Z", "BrandConfigured", quiet | {"utility_quiet_hours": "22:30-07:15"}),
        ("2026-04-11T01:30:00Z", "BrandConfigured", quiet | {"utility_quiet_hours": ""}),
    )
    assert codes(lines) == []


def test_one_text_asks_about_two_appointments() -> None:
    """A "1" confirms both: the judge took the other one for an open question."""
    lines = story(
        writes("2026-03-13T05:29:59Z"),
        books("2026-03-14T00:00:00Z", "2026-03-20T14:00:00-04:00"),
        ("2026-03-14T00:01:00Z", "AppointmentBooked", appointment("a-2", "2026-03-21T12:00:00-04:00")),
        answers("2026-03-20T16:00:20Z", "1"),
    )
    history = play(lines)
    assert [each["subject_id"] for each in answered(history)] == ["a-1", "a-2"]
    assert judge(lines, history).violations == []


def test_a_reminder_whose_call_failed_may_be_answered() -> None:
    """Its outcome is not known: the person may have received it."""
    lines = story(
        writes("2026-03-13T05:29:59Z"),
        books("2026-03-14T00:00:00Z", "2026-03-20T14:00:00-04:00"),
        answers("2026-03-19T18:05:00Z", "1"),
    )
    place = f"{SMS['address']} appointment_reminder#a-1#P1D#2026-03-20T18:00:00Z"
    history = play(lines, [parse_fault({"in": place, "call": "send", "nth": 1, "kind": "error"})])
    assert [each["subject_id"] for each in answered(history)] == ["a-1"]
    assert judge(lines, history).violations == []


def test_who_sends_the_code_gets_the_reminders() -> None:
    """The person never wrote, and someone else sends the code: the reminders go there, and the answer counts."""
    reacts = {"by": "text", "text": "2", "after": 130}
    wish: Line = {"opens": {"after": 20, "by": [SMS | {"address": "+12025550199"}]}, "reacts": reacts}
    at, name, booked = books("2026-03-14T00:00:00Z", "2026-03-20T14:00:00-04:00")
    lines = story((at, name, booked | wish))
    history = play(lines)
    reminders = [each.message for each in history.handovers if each.message.reason == "appointment_reminder"]
    assert [(each.contact.address, each.offset) for each in reminders] == [
        ("+12025550199", "P1D"),
        ("+12025550199", "PT2H"),
    ]
    assert [each["answer"] for each in answered(history)] == ["cancel_requested"]
    assert judge(lines, history).violations == []


def test_who_was_reminded_before_a_code_was_used_may_answer() -> None:
    """The appointment was moved, and the person knew the new time when someone else sent the code."""
    opens: Line = {"opens": {"after": 400_000, "by": [SMS | {"address": "+12025550199"}]}}
    at, name, booked = books("2026-03-02T16:00:00Z", "2026-03-11T10:00:00-04:00")
    lines = story(
        writes("2026-03-02T15:00:00Z"),
        (at, name, booked | opens),
        books("2026-03-10T20:00:00Z", "2026-04-11T14:30:00-04:00", "AppointmentRescheduled"),
        answers("2026-03-30T17:49:21Z", "1"),
    )
    history = play(lines)
    assert [line["binds"]["subject_id"] for line in history.reactions] == ["a-1"]
    assert [each["reason"] for each in answered(history)] == ["appointment_moved"]
    assert judge(lines, history).violations == []


def test_the_judge_counts_days_in_the_zone_of_the_brand() -> None:
    """A review is due three days later at the same time of day, and clocks change on 29 March in Madrid."""
    lines = story(
        writes("2026-03-13T05:29:59Z"),
        ("2026-03-14T00:00:00Z", "BrandConfigured", {"brand": "north", "name": "North", "timezone": "Europe/Madrid"}),
        ("2026-03-27T16:00:00Z", "OrderDelivered", {"contact": SMS, "order_id": "o-1"}),
    )
    history = play(lines)
    assert [each.call.at for each in history.handovers] == [datetime(2026, 3, 30, 15, tzinfo=UTC)]
    assert judge(lines, history).violations == []
