"""Data that the first version stored is read, sent and erased by this one; both may run at the same time."""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from reengage.adapters.dynamodb import DynamoDBStore
from reengage.domain.message import MessageKey
from reengage.domain.outbox import UnpublishedList
from tests.local import dynamodb_local
from tests.upgrade import versions
from tests.upgrade.versions import DATA, ROOT, STOPPED, TICK, Step, Version, first_version, is_in_history, step

pytestmark = [pytest.mark.dynamodb_local, pytest.mark.allow_hosts(["127.0.0.1"]), pytest.mark.slow]

TICKS: Final = ("send_appointment_reminders", "send_updates", "send_trial_follow_ups")
AFTER: Final = ("2031-03-19T15:05:00Z", "2031-03-20T13:01:00Z", "2031-03-20T15:06:00Z")
"""When the functions run after the update: the second reminder is due at 13:00, and a day later a cap is free again."""

MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)

PATIENT: Final = {"brand": "acme-dental", "channel": "sms", "address": "+447700900142"}
USER: Final = {"brand": "orbit-notes", "channel": "rcs", "address": "+447700900163"}


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    if why := dynamodb_local.why_unavailable():
        if os.environ.get("CI") == "true":
            pytest.fail(f"DynamoDB Local cannot run: {why}. Under CI=true it must.", pytrace=False)
        pytest.skip(f"DynamoDB Local cannot run: {why}")
    with dynamodb_local.running() as url:
        yield url


@pytest.fixture
def stored(endpoint: str) -> Iterator[list[dict[str, Any]]]:
    """The table as the first version left it."""
    items: list[dict[str, Any]] = json.loads(DATA.read_text(encoding="utf-8"))
    versions.fill(endpoint, items)
    yield items
    versions.empty(endpoint)


def ticks(*instants: str) -> list[Step]:
    return [{"case": f"{function}/tick", "at": at} for at in instants for function in TICKS]


def sent(outcomes: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """Count the sends by reason and subject. No message may be sent twice."""
    details = [detail for outcome in outcomes for kind, detail in outcome["published"] if kind == "MessageSent"]
    ids = [detail["scheduled_message_id"] for detail in details]
    assert len(ids) == len(set(ids))
    return Counter(f"{each['reason']} {each['subject_id']}" for each in details)


def states(endpoint: str) -> dict[str, str]:
    rows = [item for item in versions.items(endpoint) if item["sk"]["S"].startswith("SCHEDULED#")]
    return {f"{row['pk']['S']} {row['sk']['S']}": row["state"]["S"] for row in rows}


EXPECTED: Final = {
    "appointment_reminder A-20931": 1,
    "trial_follow_up T-7f3a": 1,
    "product_preview spring-2031": 1,
}
"""What was still to be sent when the version changed."""


def test_stored_messages_are_sent_once_and_none_is_lost(endpoint: str, stored: list[dict[str, Any]]) -> None:
    before = states(endpoint)
    outcomes = Version(ROOT, endpoint).play(*ticks(*AFTER))
    assert sent(outcomes) == EXPECTED
    after = states(endpoint)
    assert before.keys() <= after.keys()
    settled = {key: state for key, state in before.items() if state not in ("scheduled", "sending")}
    assert {key: after[key] for key in settled} == settled
    of_stopped = {key: state for key, state in after.items() if STOPPED["address"] in key}
    assert set(of_stopped.values()) == {"skipped"}
    assert stored


def test_stored_contacts_are_explained_and_erased(endpoint: str, stored: list[dict[str, Any]]) -> None:
    erased = [
        step("plan_messages", "ContactErased", "2031-03-19T16:00:00Z", contact=contact)
        for contact in (PATIENT, USER, STOPPED)
    ]
    explain = {"function": "explain", "event": {"contact": PATIENT}, "at": TICK}
    export = {"function": "explain", "event": {"contact": USER, "export": True}, "at": TICK}
    explained, exported, *_ = Version(ROOT, endpoint).play(explain, export, *erased)
    whats = [entry["what"] for entry in explained["answer"]["entries"]]
    assert {"delivered", "scheduled", "wrote"} <= set(whats)
    assert len(exported["answer"]["scheduled"]) == sum(
        item["pk"]["S"].endswith(USER["address"]) and item["sk"]["S"].startswith("SCHEDULED#") for item in stored
    )
    left = json.dumps(versions.items(endpoint))
    assert not [contact for contact in (PATIENT, USER, STOPPED) if contact["address"] in left]


def test_a_message_in_hand_of_the_first_version_is_not_sent(endpoint: str, stored: list[dict[str, Any]]) -> None:
    """A run of the first version had claimed it, and the update stopped that run."""
    (row,) = [item for item in stored if item["sk"]["S"].startswith("SCHEDULED#trial_follow_up#T-7f3a#-P3D")]
    claim = {"state": {"S": "sending"}, "claim_id": {"S": "of-the-first-version"}}
    claimed = row | claim | {"claimed_at": {"S": "2031-03-19T15:00:00.000000+0000"}}
    versions.empty(endpoint)
    versions.fill(endpoint, [claimed if item is row else item for item in stored])
    soon, late = ticks("2031-03-19T15:01:00Z"), ticks("2031-03-19T15:10:00Z")
    outcomes = Version(ROOT, endpoint).play(*soon, *late)
    assert not [name for name in sent(outcomes) if name.startswith("trial_follow_up")]
    kinds = [
        kind for outcome in outcomes for kind, detail in outcome["published"] if detail.get("subject_id") == "T-7f3a"
    ]
    assert kinds == ["MessageUnconfirmed"]


@pytest.mark.skipif(not is_in_history(), reason="the clone has not the first version's commit: fetch the whole history")
def test_both_versions_alternate_on_one_table(endpoint: str, stored: list[dict[str, Any]]) -> None:
    """During the shift, each reads what the other wrote; nothing is lost, and nothing is sent twice."""
    this = Version(ROOT, endpoint)

    def booked(subject: str, at: str) -> Step:
        fields = {"contact": PATIENT, "timezone": "Europe/London", "remind_before": ["PT2H"]}
        starts_at = "2031-03-21T16:00:00Z"
        return step("plan_messages", "AppointmentBooked", at, appointment_id=subject, starts_at=starts_at, **fields)

    outcomes = []
    with first_version(endpoint) as first:
        outcomes += this.play(booked("A-NEW", "2031-03-19T15:02:00Z"), *ticks(AFTER[0]))
        outcomes += first.play(booked("A-OLD", "2031-03-19T15:06:00Z"), *ticks(*AFTER[1:]))
        outcomes += this.play(*ticks("2031-03-20T15:07:00Z", "2031-03-21T14:00:30Z"))
        outcomes += first.play(*ticks("2031-03-21T14:01:00Z", "2031-03-21T14:02:00Z"))
    found = sent(outcomes)
    assert found == EXPECTED | {"appointment_reminder A-NEW": 1, "appointment_reminder A-OLD": 1}
    assert stored


@pytest.mark.skipif(not is_in_history(), reason="the clone has not the first version's commit: fetch the whole history")
def test_the_stored_data_is_what_the_first_version_writes(endpoint: str) -> None:
    with first_version(endpoint) as first:
        first.play(*versions.STORY)
    written = sorted(versions.items(endpoint), key=lambda item: (item["pk"]["S"], item["sk"]["S"]))
    versions.empty(endpoint)
    assert _without_random(written) == _without_random(json.loads(DATA.read_text(encoding="utf-8")))


def _without_random(items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in item.items() if name != "claim_id"} for item in items]


def person(number: int) -> dict[str, str]:
    return {"brand": "acme-dental", "channel": "sms", "address": f"+4477009001{number}"}


def wrote(number: int, at: str, text: str = "Hello") -> Step:
    fields = {"contact": person(number), "message_id": f"m-{number}-{at}", "sent_at": at, "text": text}
    return step("ingest_message", "MessageReceived", at, **fields)


def about(detail_type: str, number: int, at: str, **fields: Any) -> Step:
    return step("plan_messages", detail_type, at, appointment_id=f"B-{number}", contact=person(number), **fields)


def books(number: int, at: str) -> Step:
    fields = {"timezone": "Europe/London", "remind_before": ["PT2H"], "starts_at": "2031-03-21T16:00:00Z"}
    return about("AppointmentBooked", number, at, **fields)


def moves(number: int, at: str) -> Step:
    return about("AppointmentRescheduled", number, at, starts_at="2031-03-21T17:00:00Z")


BY_THE_FIRST: Final = (50, 52, 54, 56)
"""People whose appointments the first version plans; it plans those of the next number by this version."""


@pytest.mark.skipif(not is_in_history(), reason="the clone has not the first version's commit: fetch the whole history")
def test_changes_by_either_version_count_for_the_other(endpoint: str, stored: list[dict[str, Any]]) -> None:
    """A move, a cancellation, a STOP and a receipt of one version change what the other one planned and sends."""
    this = Version(ROOT, endpoint)
    early, late = "2031-03-19T15:20:00Z", "2031-03-19T15:40:00Z"
    with first_version(endpoint) as first:
        for version, people in ((first, BY_THE_FIRST), (this, [number + 1 for number in BY_THE_FIRST])):
            version.play(*(wrote(number, early) for number in people), *(books(number, early) for number in people))
        for version, (moved, cancelled, stopped, _) in (
            (this, BY_THE_FIRST),
            (first, [number + 1 for number in BY_THE_FIRST]),
        ):
            cancel = about("AppointmentCancelled", cancelled, late)
            version.play(moves(moved, late), cancel, wrote(stopped, late, "STOP"))
        outcomes = first.play(*ticks("2031-03-21T14:00:30Z"))
        outcomes += this.play(*ticks("2031-03-21T14:01:00Z", "2031-03-21T15:00:30Z"))
        outcomes += first.play(*ticks("2031-03-21T15:01:00Z"))
        outcomes += this.play(*ticks("2031-03-21T18:00:00Z"))
    found = {name: count for name, count in sent(outcomes).items() if " B-" in name}
    assert found == {f"appointment_reminder B-{number}": 1 for number in (50, 51, 56, 57)}
    at = {
        detail["subject_id"]: detail["sent_at"][:13]
        for outcome in outcomes
        for kind, detail in outcome["published"]
        if kind == "MessageSent"
    }
    assert [at[f"B-{number}"] for number in (50, 51, 56, 57)] == ["2031-03-21T15"] * 2 + ["2031-03-21T14"] * 2
    left = {state for key, state in states(endpoint).items() if "#B-" in key}
    assert left == {"sent", "skipped"}
    assert stored


@pytest.mark.skipif(not is_in_history(), reason="the clone has not the first version's commit: fetch the whole history")
def test_the_first_version_sends_beside_an_unpublished_list(
    endpoint: str, stored: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of this version was killed, and its list is due in the index that the first version reads, too.

    The first version's run fails at its end, after it has sent what is due; this version publishes the list.
    """
    for name, value in {"AWS_ENDPOINT_URL_DYNAMODB": endpoint, "AWS_DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    at = datetime.fromisoformat(TICK)
    (key,) = [
        MessageKey(item["pk"]["S"], item["sk"]["S"])
        for item in stored
        if item["sk"]["S"].startswith("SCHEDULED#") and item["state"]["S"] in ("sent", "delivered")
    ]
    store = DynamoDBStore.connect(versions.TABLE, workers=1, hash_key=lambda: "key")
    unpublished = UnpublishedList("of-a-killed-run", "appointments", "high", 0, at - HOUR, at + MINUTE, (key,))
    store.write_unpublished(unpublished)
    tick: Step = {"case": "send_appointment_reminders/tick", "at": AFTER[1]}
    with (
        first_version(endpoint) as first,
        pytest.raises(RuntimeError, match="Unknown discriminator value: unpublished"),
    ):
        first.play(tick)
    reminders = [state for name, state in states(endpoint).items() if "#appointment_reminder#A-20931#" in name]
    assert sorted(reminders) == ["delivered", "sent"]
    outcomes = Version(ROOT, endpoint).play(*ticks(*AFTER[1:]))
    again = [detail for outcome in outcomes for kind, detail in outcome["published"] if kind == "MessageSent"]
    of_list = [detail for detail in again if detail["reason"] == "appointment_reminder"]
    assert [detail["subject_id"] for detail in of_list] == ["A-20931"]
    assert store.read_unpublished(unpublished.key) is None
