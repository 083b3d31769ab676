"""The helper that runs many cases as one test: it must hide no failure."""

import inspect

import pytest

from tests.cases import each_of


@each_of("one", [1, 2, 3])
@each_of(("two", "three"), [(1, 2), (2, 3)])
def sums(one: int, two: int, three: int, limit: int) -> None:
    """Take one fixture beside the cases."""
    assert one + two + three <= limit


def test_all_cases_run_and_failing_ones_are_shown() -> None:
    sums(limit=8)
    with pytest.raises(ExceptionGroup, match="1 of 3 cases failed") as raised:
        sums(limit=7)
    (group,) = raised.value.exceptions
    assert isinstance(group, ExceptionGroup)
    assert group.__notes__ == ["case: {'one': 3}"]
    assert [error.__notes__ for error in group.exceptions] == [["case: {'two': 2, 'three': 3}"]]


def test_a_missing_error_is_a_failure_of_its_case() -> None:
    @each_of("text", ["x", "1"])
    def refuses(text: str) -> None:
        with pytest.raises(ValueError, match="invalid literal"):
            int(text)

    with pytest.raises(BaseExceptionGroup, match="1 of 2 cases failed") as raised:
        refuses()
    assert [error.__notes__ for error in raised.value.exceptions] == [["case: {'text': '1'}"]]


def test_only_the_fixtures_are_left_to_pytest() -> None:
    assert list(inspect.signature(sums).parameters) == ["limit"]


@pytest.mark.parametrize(
    ("names", "cases", "error"),
    [("limit", [], "no case for limit"), ("other", [1], "does not take other"), ("one, two", [(1,)], "argument 2")],
)
def test_wrong_use_fails_at_collection(names: str, cases: list[object], error: str) -> None:
    def test(limit: int) -> None:
        assert limit

    with pytest.raises((AssertionError, ValueError), match=error):
        each_of(names, cases)(test)
