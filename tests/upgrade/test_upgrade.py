"""Data that the first version stored is read, sent and erased by this one; both may run at the same time."""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import pytest

from tests.local import dynamodb_local
from tests.upgrade import versions
from tests.upgrade.versions import DATA, ROOT, STOPPED, TICK, Step, Version, first_version, is_in_history, step

pytestmark = [pytest.mark.dynamodb_local, pytest.mark.allow_hosts(["127.0.0.1"]), pytest.mark.slow]

TICKS: Final = ("send_appointment_reminders", "send_updates", "send_trial_follow_ups")
AFTER: Final = ("2031-03-19T15:05:00Z", "2031-03-20T13:01:00Z", "2031-03-20T15:06:00Z")
"""When the functions run after the update: the second reminder is due at 13:00, and a day later a cap is free again."""

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
