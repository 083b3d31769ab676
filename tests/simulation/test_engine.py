"""The simulation's clock: the instants and the order of what happens."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reengage.domain.contact import Contact
from reengage.simulation import StoryError, parse_story, read_story
from reengage.simulation.app import SimulatedApp
from reengage.simulation.engine import _Engine
from tests.simulation.builders import ANNA, books, event, instants, of_type, run, summary, writes

WROTE = writes("2026-03-02T12:00:00Z")


def test_a_message_is_sent_at_the_minute_it_is_due() -> None:
    out = run(WROTE, books("2026-03-02T12:01:00Z", "2026-03-05T10:00:00Z"))
    assert instants(out, "MessageSent") == ["2026-03-04T10:00:00Z", "2026-03-05T08:00:00Z"]


def test_a_message_due_within_a_minute_waits_for_its_end() -> None:
    out = run(WROTE, books("2026-03-02T12:01:00Z", "2026-03-05T10:00:01Z", remind_before=["PT2H"]))
    assert instants(out, "MessageSent") == ["2026-03-05T08:01:00Z"]


def test_events_of_one_instant_come_before_the_tick() -> None:
    cancelled = event("2026-03-05T08:00:00Z", "AppointmentCancelled", contact=ANNA, appointment_id="A-1")
    out = run(WROTE, books("2026-03-02T12:01:00Z", "2026-03-05T10:00:00Z", remind_before=["PT2H"]), cancelled)
    assert instants(out, "MessageSent") == []
    assert [line["detail"]["rule"] for line in of_type(out, "MessageSkipped")] == ["cancelled"]


def test_lines_are_delivered_in_order_of_time() -> None:
    lines = [WROTE, books("2026-03-02T12:01:00Z", "2026-03-05T10:00:00Z")]
    assert run(*reversed(lines)) == run(*lines)


def test_output_is_in_order_of_time() -> None:
    out = run(WROTE, books("2026-03-02T12:01:00Z", "2026-03-05T10:00:00Z"), writes("2026-03-04T18:00:00Z"))
    assert [line["at"] for line in out[:-1]] == sorted(line["at"] for line in out[:-1])


def test_a_sent_message_has_its_text() -> None:
    out = run(WROTE, books("2026-03-02T12:01:00Z", "2026-03-05T10:00:00Z", service="Check-up"))
    texts = [line["detail"]["text"] for line in of_type(out, "MessageSent")]
    assert len(texts) == 2
    assert all("Thursday, March 5, 2026 at 11:00" in text for text in texts)


def test_until_ends_the_story_and_is_included() -> None:
    lines = [WROTE, books("2026-03-02T12:01:00Z", "2026-03-05T10:00:00Z")]
    until = {"until": "2026-03-04T10:00:00Z"}
    assert instants(run(*lines, until), "MessageSent") == ["2026-03-04T10:00:00Z"]
    earlier = datetime(2026, 3, 4, 9, 59, tzinfo=UTC)
    assert instants(run(*lines, until, until=earlier), "MessageSent") == []
    early = run(*lines, until, until=datetime(2026, 3, 2, 12, 0, 30, tzinfo=UTC))
    assert early[-1]["summary"]["events_in"] == 1


def test_the_same_story_gives_the_same_bytes() -> None:
    lines = [WROTE, books("2026-03-02T12:01:00Z", "2026-03-05T10:00:00Z"), writes("2026-03-02T12:02:00Z", text="STOP")]
    assert json.dumps(run(*lines)) == json.dumps(run(*lines))


def test_an_invalid_event_is_rejected_as_when_deployed() -> None:
    out = run(event("2026-03-02T12:00:00Z", "AppointmentBocked", contact=ANNA), WROTE)
    (rejected,) = of_type(out, "EventRejected")
    assert rejected["detail"]["rejected_detail_type"] == "AppointmentBocked"
    assert instants(out, "ConversationStarted") == ["2026-03-02T12:00:00Z"]


def test_events_of_the_app_itself_are_left_out() -> None:
    out = run({**WROTE, "source": "reengage"})
    assert summary(out)["events"] == {}


def test_settings_hold_from_their_own_time_on() -> None:
    booked = books("2026-03-02T12:01:00Z", "2026-03-05T06:00:00Z")
    change = {"time": "2026-03-04T12:00:00Z", "set": {"UtilityQuietHours": ""}}
    held = "2026-03-04T07:00:00Z"
    # The second one would be held until the appointment is over, so it goes out the evening before.
    assert instants(run(WROTE, booked), "MessageSent") == [held, "2026-03-04T18:45:00Z"]
    assert instants(run(WROTE, booked, change), "MessageSent") == [held, "2026-03-05T04:00:00Z"]
    always = {"UtilityQuietHours": ""}
    sent = ["2026-03-04T06:00:00Z", "2026-03-05T04:00:00Z"]
    assert instants(run(WROTE, booked, settings=always), "MessageSent") == sent
    assert instants(run(WROTE, booked, {"set": always}), "MessageSent") == sent


def test_a_wrong_value_of_a_parameter_is_named() -> None:
    with pytest.raises(StoryError, match=r"(?i)marketing_?caps"):
        run(WROTE, {"set": {"MarketingCaps": "many"}})
    with pytest.raises(StoryError, match="did you mean MarketingCaps"):
        run(WROTE, settings={"MarketingCap": "1/P1D"})


def test_a_rate_limit_lets_the_story_go_on() -> None:
    """Sixty messages at one a second take a minute; a person who writes STOP meanwhile gets nothing after that."""
    contacts = [{**ANNA, "address": f"+49151123456{n:02}"} for n in range(30)]
    people = [writes("2026-03-02T12:00:00Z", contact=contact) for contact in contacts]
    booked = [
        books("2026-03-02T12:01:00Z", "2026-03-05T10:00:00Z", contact=each, appointment_id=each["address"])
        for each in contacts
    ]
    limit = {"set": {"MessagesPerSecond": "sms=1"}}
    calm = run(*people, *booked, limit, {"until": "2026-03-04T11:00:00Z"})
    order = [line["detail"]["contact"]["address"] for line in of_type(calm, "MessageSent")]
    sent_at = [line["detail"]["sent_at"] for line in of_type(calm, "MessageSent")]
    assert sorted(order) == sorted(contact["address"] for contact in contacts)
    assert sorted(sent_at) == [f"2026-03-04T10:00:{n:02}Z" for n in range(30)]
    last = {**ANNA, "address": order[-1]}
    stop = writes("2026-03-04T10:00:05Z", contact=last, text="STOP")
    out = run(*people, *booked, limit, stop, {"until": "2026-03-04T11:00:00Z"})
    assert [line["detail"]["contact"]["address"] for line in of_type(out, "MessageSent")] == order[:-1]


def test_progress_counts_the_storys_events() -> None:
    seen: list[tuple[int, int]] = []
    run(WROTE, writes("2026-03-02T12:02:00Z"), on_progress=lambda done, of: seen.append((done, of)))
    assert seen == [(1, 2), (2, 2)]


def test_the_summary_counts_each_message_once() -> None:
    out = run(
        WROTE,
        books("2026-03-02T12:01:00Z", "2026-03-05T10:00:00Z"),
        books("2026-03-02T12:02:00Z", "2026-03-06T10:00:00Z"),
        {"provider": {"receipts": [{"status": "delivered", "after": "PT5S"}]}},
    )
    counted = summary(out)
    assert counted["outcomes"] == {"delivered": 2, "skipped": 2}
    assert counted["reasons"] == {"appointment_reminder": {"delivered": 2, "skipped": 2}}
    assert counted["skipped"] == {"superseded": 2}
    assert counted["contacts"] == 1
    assert counted["events"]["MessagePlanned"] == 4


PAUSE = event("2026-03-03T12:00:00Z", "SendingPaused", brand="acme-dental")
BOOKED = books("2026-03-02T12:01:00Z", "2026-03-05T10:00:00Z")


def test_a_resume_sends_what_a_pause_held() -> None:
    resume = event("2026-03-04T12:00:30Z", "SendingResumed", brand="acme-dental")
    out = run(WROTE, BOOKED, PAUSE, resume)
    assert instants(out, "MessageSent") == ["2026-03-04T12:01:00Z", "2026-03-05T08:00:00Z"]
    assert [line["detail"]["rule"] for line in of_type(out, "MessageHeld")] == ["paused"]


def test_a_pause_with_an_end_ends_by_itself() -> None:
    ending = event("2026-03-03T12:00:00Z", "SendingPaused", brand="acme-dental", until="2026-03-04T15:30:00Z")
    out = run(WROTE, BOOKED, ending)
    assert instants(out, "MessageSent") == ["2026-03-04T15:30:00Z", "2026-03-05T08:00:00Z"]


def test_what_a_pause_holds_for_too_long_is_skipped() -> None:
    out = run(WROTE, BOOKED, PAUSE)
    assert instants(out, "MessageSent") == []
    assert {line["detail"]["rule"] for line in of_type(out, "MessageSkipped")} == {"too_late"}


def test_a_minute_of_a_pause_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks: list[datetime] = []
    tick = SimulatedApp.tick

    def counted(app: SimulatedApp) -> bool:
        ticks.append(app.now)
        return tick(app)

    monkeypatch.setattr(SimulatedApp, "tick", counted)
    run(WROTE, BOOKED, PAUSE)
    assert len(ticks) < 20


def test_a_dry_run_shows_the_text_and_sends_nothing() -> None:
    out = run(WROTE, BOOKED, settings={"DryRun": "true"})
    assert instants(out, "MessageSent") == []
    assert instants(out, "MessageSendRequested") == []
    skipped = [line["detail"] for line in of_type(out, "MessageSkipped")]
    assert [detail["rule"] for detail in skipped] == ["dry_run", "dry_run"]
    assert all("Thursday, March 5, 2026" in detail["text"] for detail in skipped)


def test_events_out_can_be_outcomes_alone() -> None:
    out = run(WROTE, BOOKED, settings={"EventsOut": "outcomes"})
    assert instants(out, "MessagePlanned") == []
    assert len(instants(out, "MessageSent")) == 2


def test_events_out_can_be_exceptions_alone() -> None:
    """The second reminder is skipped: the person opts out between the two."""
    stop = writes("2026-03-05T06:30:00Z", text="STOP")
    published = {
        choice: [line["detail-type"] for line in run(WROTE, BOOKED, stop, settings={"EventsOut": choice})[:-1]]
        for choice in ("all", "exceptions")
    }
    assert "MessageSent" in published["all"]
    assert published["exceptions"] == ["MessageSendRequested", "ContactOptedOut", "MessageSkipped"]


def test_ttl_deletes_what_has_expired() -> None:
    """A table that only grows would need memory for every day of a story."""
    engine = _Engine(parse_story([WROTE, writes("2026-06-02T12:00:00Z")]), {}, 0, None)
    for _ in engine.run():
        pass
    stored = engine.app.store.read_thread(Contact("acme-dental", "sms", "+4915112345678"), "m-2026-03-02T12:00:00Z")
    assert stored.conversation is not None
    assert not stored.known


def test_a_line_separator_in_a_text_splits_no_line(tmp_path: Path) -> None:
    contact = {"brand": "acme", "channel": "sms", "address": "+12025550101"}
    detail = {"contact": contact, "message_id": "m-1", "sent_at": "2026-11-02T08:00:00Z", "text": "Hi\u2028there\x85!"}
    event = {"time": "2026-11-02T08:00:00Z", "detail-type": "MessageReceived", "detail": detail}
    story = tmp_path / "story.jsonl"
    story.write_bytes(json.dumps(event, ensure_ascii=False).encode() + b"\r\n")
    assert len(read_story(story).events) == 1
