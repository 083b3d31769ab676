"""Each story of events/stories has the outcome that its file of expectations names."""

import pytest

from tests.simulation import stories


@pytest.mark.parametrize("name", stories.names())
def test_a_story_has_its_expected_outcome(name: str) -> None:
    assert stories.differences(name) == []


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
