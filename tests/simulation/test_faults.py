"""No guarantee breaks under faults; and the judge finds each fence that is removed."""

import json
import random
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest

from reengage.simulation import StoryError, parse_story, simulate
from reengage.simulation.faults import INVOKE, KINDS, Fault, Place, parse_fault
from tests.simulation.builders import books, of_type, run, writes
from tests.simulation.faults.__main__ import main
from tests.simulation.faults.case import Case
from tests.simulation.faults.events import address_of, number_of
from tests.simulation.faults.fences import FENCES, RARE
from tests.simulation.faults.judge import judge
from tests.simulation.faults.reactions import ANSWERED
from tests.simulation.faults.search import Draw, first_failure, play, shrunk, trial
from tests.simulation.faults.settings import CONFIGURED, settings_of
from tests.simulation.faults.stories import story_of

SEEDS: Final = 8
FRESH: Final = 10**9
WROTE: Final = writes("2026-03-02T12:00:00Z")
BOOKED: Final = books("2026-03-02T12:01:00Z", "2026-03-05T10:00:00Z", remind_before=["PT2H"])
MESSAGE: Final = "+4915112345678 appointment_reminder#A-1#PT2H#2026-03-05T10:00:00Z"


def fault(where: str, call: str, kind: str, seconds: float = 0.0, nth: int = 1) -> dict[str, Any]:
    return Fault(Place(where, call, nth), kind, seconds).as_line()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_guarantee_breaks_under_a_seeds_faults(seed: int) -> None:
    assert trial(seed).failure is None


def test_no_guarantee_breaks_under_fresh_seeds() -> None:
    """Each run of the tests tries other stories; a failure names its seed."""
    first = random.SystemRandom().randrange(FRESH)
    failure, _ = first_failure(range(first, first + SEEDS))
    assert failure is None, shrunk(failure)


def test_each_kind_of_fault_is_drawn() -> None:
    calls = ("claim", "send", "publish", "due", "audience_page", INVOKE, "read_snapshot")
    places = [Place("event-1", call, nth) for call in calls for nth in range(400)]
    drawn = Counter(fault.kind for place in places if (fault := Draw(1, 1).get(place)))
    assert drawn.keys() == KINDS.keys()


def test_the_same_seed_gives_the_same_history() -> None:
    draw = Draw(3, 60)
    lines = story_of(3)
    faults = [fault for place in play(lines).places if (fault := draw.get(place))]
    first, second = play(lines, faults), play(lines, faults)
    assert faults
    assert (first.rows, first.handovers, first.events) == (second.rows, second.handovers, second.events)


def test_stories_reach_the_provider() -> None:
    """A story in which nothing is sent would break no guarantee."""
    verdicts = [trial(seed).verdict for seed in range(SEEDS)]
    assert sum(verdict.handovers for verdict in verdicts) > 20 * SEEDS
    assert sum(verdict.unhindered for verdict in verdicts) > 10 * SEEDS


def test_stories_reach_each_part_of_the_model() -> None:
    """Addresses, channels, WhatsApp, a second address after a failed one, early sends, what two people share.

    Also answers to reminders, codes that bind someone else, and codes that bind no one.
    """
    reached: Counter[str] = Counter()
    for seed in range(SEEDS * 2):
        lines = story_of(seed)
        history = play(lines)
        case = Case(lines, history)
        for line in case.events:
            answered = line["id"].startswith(ANSWERED)
            reached["button"] += answered and "payload" in line["detail"]
            reached["quote"] += answered and "quoted_message_id" in line["detail"]
        for name, opener in history.openers.items():
            use = case.uses.get(opener.subject_id)
            reached["bound"] += use is not None and number_of(address_of(use) or "") != opener.owner.address
            reached["not bound"] += use is None or use["id"] != name
        for handover in case.history.handovers:
            message, people = handover.message, case.people_of(handover.message.subject.id)
            is_elsewhere = message.recipient != message.contact
            reached["elsewhere"] += is_elsewhere
            reached["channel"] += is_elsewhere and message.recipient.address == message.contact.address
            reached["order"] += message.subject.kind == "order" and len(people) > 1
            reached["chat"] += message.recipient.channel == "whatsapp"
            reached["early"] += message.planned_due_at is not None and handover.call.at < message.planned_due_at
            reached["several"] += message.reason == "appointment_reminder" and len(people) > 1
            reached["trial"] += message.reason == "trial_follow_up" and len(people) > 1
            reached["again"] += bool(message.undelivered_to)
    parts = ("elsewhere", "channel", "chat", "early", "several", "trial", "order", "again")
    assert all(reached[name] > 0 for name in (*parts, "button", "quote", "bound", "not bound")), reached


@pytest.mark.parametrize(
    ("at", "is_quiet", "allowed"),
    [
        ("2026-03-06T20:59", False, "2026-03-06T20:59"),  # a Friday
        ("2026-03-06T21:00", True, "2026-03-07T08:00"),
        ("2026-03-07T07:59", True, "2026-03-07T08:00"),
        ("2026-03-07T18:00", True, "2026-03-08T11:00"),
        ("2026-03-08T10:59", True, "2026-03-08T11:00"),
        ("2026-03-09T10:59", True, "2026-03-09T11:00"),
        ("2026-03-10T08:00", False, "2026-03-10T08:00"),
    ],
)
def test_the_model_knows_quiet_hours_by_weekday(at: str, allowed: str, *, is_quiet: bool) -> None:
    hours = "Mon-Fri 21:00-08:00, Sat-Sun 18:00-11:00"
    settings, zone = settings_of([{"set": {"UtilityQuietHours": hours}}]), ZoneInfo("Europe/Berlin")
    then = datetime.fromisoformat(at).replace(tzinfo=zone)
    assert settings.is_quiet("utility", then, zone) is is_quiet
    assert settings.allowed_from("utility", then, zone) == datetime.fromisoformat(allowed).replace(tzinfo=zone)


def is_later_change(line: dict[str, Any]) -> bool:
    return line.get("detail-type") == "BrandConfigured" and line["id"] != CONFIGURED


def test_a_brands_settings_count_before_the_stacks() -> None:
    """Some stories have a brand with settings of its own, and a stack with others."""
    found = [[line for line in story_of(seed) if not is_later_change(line)] for seed in range(40)]
    branded = [lines for lines in found if any(line.get("id") == CONFIGURED for line in lines)]
    plain = [settings_of([line for line in lines if line.get("id") != CONFIGURED]) for lines in branded]
    assert 5 <= len(branded) <= 30
    assert all(settings_of(lines) != settings for lines, settings in zip(branded, plain, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("fence", sorted(FENCES.keys() - RARE))
def test_the_judge_finds_a_removed_fence(fence: str) -> None:
    remove, code = FENCES[fence]
    with remove():
        failure, _ = first_failure(range(600), code)
    assert failure is not None


def test_a_failure_shrinks_to_few_events_and_faults() -> None:
    remove, code = FENCES["opt-out"]
    with remove():
        failure, _ = first_failure(range(100), code)
        assert failure is not None
        small = shrunk(failure, code)
        assert [violation.code for violation in small.found][:1] == [code]
    assert len([line for line in small.lines if "detail-type" in line]) <= 4
    assert small.faults == []


def test_a_shrunk_failure_is_replayed_by_simulate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    remove, code = FENCES["abandoned claim"]
    with remove():
        failure, _ = first_failure(range(100), code)
        assert failure is not None
        small = shrunk(failure, code)
        lines = [*small.lines, *(each.as_line() for each in small.faults)]
        out = list(simulate(lines))
        requested = [line["detail"]["scheduled_message_id"] for line in of_type(out, "MessageSendRequested")]
        assert max(Counter(requested).values()) == 2
        path = tmp_path / "story.jsonl"
        path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", ["faults", "--replay", str(path)])
            assert main() == 1
    assert code in capsys.readouterr().out
    assert judge(small.lines, play(small.lines, small.faults)).violations == []


def test_all_seeds_are_played_after_a_violation(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    remove, code = FENCES["opt-out"]
    monkeypatch.setattr("sys.argv", ["faults", "--all", "--first", "0", "--seeds", "3"])
    with remove():
        assert main() == 1
    *found, last = capsys.readouterr().out.splitlines()[1:]
    assert all(line.startswith("seed ") for line in found)
    assert sum(f"{code}: " in line for line in found) > 1
    assert last.startswith(f"seeds 0 to 2: {len(found)} with a violation; 3 stories, ")


def test_a_crash_after_the_send_leaves_it_unconfirmed() -> None:
    out = run(WROTE, BOOKED, fault(MESSAGE, "settle", "crash"))
    assert len(of_type(out, "MessageSendRequested")) == 1
    (unconfirmed,) = of_type(out, "MessageUnconfirmed")
    assert unconfirmed["at"] == "2026-03-05T08:02:00Z"
    assert out[-1]["summary"]["outcomes"] == {"unconfirmed": 1}


def test_an_error_before_the_send_is_retried() -> None:
    out = run(WROTE, BOOKED, fault(MESSAGE, "read_snapshot", "error"))
    assert [line["at"] for line in of_type(out, "MessageSendRequested")] == ["2026-03-05T08:01:00Z"]
    # The first run left its list of messages behind, so their events are published once more.
    assert {line["detail"]["sent_at"] for line in of_type(out, "MessageSent")} == {"2026-03-05T08:01:00Z"}


def test_a_receipt_before_the_answer_keeps_the_message_sent_once() -> None:
    out = run(WROTE, BOOKED, fault(MESSAGE, "send", "receipt_lost"))
    assert len(of_type(out, "MessageSendRequested")) == 1
    assert out[-1]["summary"]["outcomes"] == {"delivered": 1}


@pytest.mark.parametrize("kind", ["receipt", "receipt_lost", "unknown"])
def test_a_reply_is_bound_though_the_answer_was_lost(kind: str) -> None:
    """The receipt came before the sender stored that the text asks for an answer: a reply of "1" had no effect."""
    out = run(WROTE, BOOKED, writes("2026-03-05T08:10:00Z", text="1"), fault(MESSAGE, "send", kind))
    assert [line["detail"]["answer"] for line in of_type(out, "AppointmentAnswered")] == ["confirmed"]


def paused_at_eight() -> list[dict[str, Any]]:
    """Hold what is due at 8:00 for five minutes: the rows have the facts of the hold as they are sent."""
    of = {"brand": WROTE["detail"]["contact"]["brand"], "scope": "all"}
    pause = {"time": "2026-03-05T07:50:00Z", "detail-type": "SendingPaused", "detail": {**of, "why": "a check"}}
    return [pause, {"time": "2026-03-05T08:05:00Z", "detail-type": "SendingResumed", "detail": of}]


@pytest.mark.parametrize("kind", ["receipt", "receipt_lost", "unknown"])
def test_a_reply_is_bound_although_the_reminder_was_held(kind: str) -> None:
    """The facts of the hold counted as those of the send."""
    answer = writes("2026-03-05T08:30:00Z", text="1")
    out = run(WROTE, BOOKED, answer, *paused_at_eight(), fault(MESSAGE, "send", kind))
    assert len(of_type(out, "MessageHeld")) == 1
    assert [line["detail"]["answer"] for line in of_type(out, "AppointmentAnswered")] == ["confirmed"]


@pytest.mark.parametrize("kind", ["receipt", "receipt_lost"])
@pytest.mark.parametrize("held", [False, True])
def test_a_receipt_counts_for_all_that_one_text_names(kind: str, *, held: bool) -> None:
    """The facts of the hold name no other message, so the second appointment's reminder ended unconfirmed."""
    first = books("2026-03-02T12:01:00Z", "2026-03-05T10:00:00Z", remind_before=["PT2H"])
    second = first | {"detail": first["detail"] | {"appointment_id": "A-2"}}
    faults = [fault(message, "send", kind) for message in (MESSAGE, MESSAGE.replace("A-1", "A-2"))]
    out = run(WROTE, first, second, *(paused_at_eight() if held else []), *faults)
    assert len(of_type(out, "MessageSendRequested")) == 1
    assert [line["detail"]["subject_id"] for line in of_type(out, "MessageDelivered")] == ["A-1", "A-2"]
    assert of_type(out, "MessageUnconfirmed") == []


def test_an_event_may_arrive_late_and_twice() -> None:
    stop = writes("2026-03-05T07:59:00Z", text="STOP") | {"id": "stop"}
    late = run(WROTE, BOOKED, stop, fault("stop", INVOKE, "late", 120.0))
    assert len(of_type(late, "MessageSent")) == 1
    again = run(WROTE, BOOKED, stop, fault("stop", INVOKE, "again", 120.0))
    assert of_type(again, "MessageSent") == []
    assert len(of_type(again, "ContactOptedOut")) == 1


def test_ticks_may_fail_to_come_for_hours() -> None:
    """Messages that were due meanwhile are sent if they are still valid, else skipped."""
    short = run(WROTE, BOOKED, fault("2026-03-05T08:00:00Z", INVOKE, "late", 3_600.0))
    assert [line["at"] for line in of_type(short, "MessageSent")] == ["2026-03-05T09:01:00Z"]
    long = run(WROTE, BOOKED, fault("2026-03-05T08:00:00Z", INVOKE, "late", 90_000.0))
    assert [line["detail"]["rule"] for line in of_type(long, "MessageSkipped")] == ["too_late"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([], "expected an object"),
        ({"in": "x", "call": "send"}, "kind is missing"),
        ({"in": "x", "call": "send", "kind": "boom"}, "use one of error"),
        ({"in": "x", "call": "send", "kind": "lost", "nth": "1"}, "nth"),
        ({"in": "x", "call": "send", "kind": "lost", "at": 1}, 'unknown field "at"'),
    ],
)
def test_a_wrong_fault_is_named(value: Any, text: str) -> None:
    with pytest.raises(StoryError, match=text):
        parse_story([{"fault": value}])


def test_a_fault_is_read_as_it_is_written() -> None:
    given = Fault(Place("event-1", "publish", 2), "slow", 2.5)
    assert parse_fault(given.as_line()["fault"]) == given
