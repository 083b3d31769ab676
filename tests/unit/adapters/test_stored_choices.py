"""Rows of opt-outs and opt-ins: those of former versions are read, and the present ones by former versions, too."""

from dataclasses import replace
from datetime import timedelta

import pytest

from reengage.adapters.dynamodb.items.contacts import preferences_item, to_preferences
from reengage.domain.preferences import Choice, Preferences
from tests.fakes import NOON

FIRST = Choice(allowed=False, at=NOON)
AGAIN = Choice(allowed=False, at=NOON + timedelta(hours=1), changed=False)


@pytest.mark.parametrize("choice", [FIRST, AGAIN, replace(AGAIN, since=NOON)])
def test_a_choice_is_four_values_and_comes_back(choice: Choice) -> None:
    item = preferences_item("hash", Preferences(contact={"*": choice}))
    assert len(item.contact["*"]) == 4
    assert to_preferences(item).contact == {"*": choice}


@pytest.mark.parametrize("changed", [True, False])
def test_reads_a_choice_of_a_former_version(*, changed: bool) -> None:
    item = preferences_item("hash", Preferences())
    item.contact = {"*": [False, "2026-03-02T12:00:00+00:00", None, changed]}
    assert to_preferences(item).contact == {"*": replace(FIRST, changed=changed)}
