"""Each story of events/stories has the outcome that its file of expectations names."""

from collections import Counter, defaultdict
from random import Random
from typing import Any

import pytest

from reengage.usecases import send_run
from reengage.usecases.send_queue import SendQueue, Share
from tests.simulation import stories

ORDERS = 6
"""Each story is played in so many orders of its contacts."""


@pytest.mark.parametrize("name", stories.names())
def test_a_story_has_its_expected_outcome(name: str) -> None:
    assert stories.differences(name) == []


@pytest.mark.parametrize("seed", range(ORDERS))
@pytest.mark.parametrize("name", stories.names())
def test_a_story_does_not_depend_on_which_contact_comes_first(
    name: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deployed run has several workers, so that of messages due in one minute any contact's may be first."""
    monkeypatch.setattr(send_run, "SendQueue", lambda workers: _Shuffled(workers, Random(seed)))
    wanted = stories.expected(name)
    found = stories.outcome(name, {line["detail-type"] for line in wanted})
    assert Counter(line["detail-type"] for line in found) == Counter(line["detail-type"] for line in wanted)
    assert [line for line in wanted if not any(stories.has(each, line) for each in found)] == []


class _Shuffled[Task](SendQueue[Task]):
    """A queue that takes the contacts in a random order, and each contact's messages by their deadlines."""

    def __init__(self, workers: int, random: Random) -> None:
        super().__init__(workers)
        self._random = random.random
        self._ranks = defaultdict[str, float](random.random)

    def put(self, task: Task, share: Share, contact: str, deadline: Any) -> None:
        is_last, valid_until = deadline
        super().put(task, share, contact, (is_last, self._ranks[contact], valid_until, self._random()))


def test_every_file_of_expectations_belongs_to_a_story() -> None:
    named = {path.name.removesuffix(".expected.jsonl") for path in stories.FOLDER.glob("*.expected.jsonl")}
    assert named == set(stories.names())


@pytest.mark.parametrize("name", stories.names())
def test_an_expectation_is_not_met_by_another_outcome(name: str) -> None:
    """A file of expectations that any outcome would fit proves nothing."""
    wanted = stories.expected(name)
    for line in wanted:
        assert line["at"]
        assert line["detail"]
    assert wanted or stories.outcome(name) == []
