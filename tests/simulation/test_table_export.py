"""A table that was exported goes on in the simulation as the deployed app would."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from reengage.adapters.dynamodb import DynamoDBStore
from reengage.adapters.dynamodb.items.base import Item
from reengage.adapters.memory.restored import RestoredStore
from reengage.domain.brand import Brand
from reengage.domain.breaker import Breaker
from reengage.domain.instants import iso, parse_instant
from reengage.domain.message import ScheduledMessage
from reengage.domain.reasons import Priority, SendGroup
from reengage.simulation import Story, StoryError, parse_story, read_story, simulate
from reengage.simulation.engine import _Engine, history
from tests.contract.stores import HASH_KEY, DynamoDB
from tests.simulation import stories

SECOND = timedelta(seconds=1)


class InspectedStore(DynamoDBStore):
    """DynamoDB's store, with what a simulation needs to play a story on it."""

    harness: DynamoDB

    @property
    def due_changes(self) -> str:
        return json.dumps(self._due(), sort_keys=True)

    def _due(self) -> list[list[str]]:
        return [[each["due_shard"]["S"], each["due_at"]["S"]] for each in self.harness.items() if "due_shard" in each]

    def next_due_at(self, *, after: datetime | None = None) -> datetime | None:
        instants = (parse_instant(due_at) for _, due_at in self._due())
        return min((at for at in instants if after is None or at > after), default=None)

    def due_shards(self, send_group: SendGroup, priority: Priority, now: datetime, *, first: int) -> list[int]:  # noqa: ARG002 - all shards are read
        names = {shard for shard, due_at in self._due() if parse_instant(due_at) <= now}
        stored = {"high": "prompt", "low": "marketing"}[priority]
        return sorted(int(name.rpartition("#")[2]) for name in names if name.startswith(f"{send_group}#{stored}#"))

    def due_messages(self, now: datetime) -> list[ScheduledMessage]:
        return [row for row in self.rows() if row.due_at <= now]

    def rows(self) -> list[ScheduledMessage]:
        store = RestoredStore()
        for item in self.harness.items():
            store.restore(item)
        return store.rows()

    def brands(self) -> list[Brand]:
        return []

    def breakers(self) -> list[Breaker]:
        return []

    def expire(self, now: datetime) -> None:
        self.harness.expire(now)


@pytest.fixture(scope="module")
def connected() -> Iterator[DynamoDB]:
    harness = DynamoDB.connect()
    yield harness
    harness.close()


@pytest.fixture
def store(connected: DynamoDB) -> Iterator[InspectedStore]:
    with mock_aws():
        connected.create_table()
        inspected = InspectedStore(connected.store.table)
        inspected.harness = connected
        yield inspected


def exported(story: Story, cut: datetime, store: InspectedStore) -> list[dict[str, Any]]:
    """Play the story until ``cut`` on DynamoDB's store, and return the table's items."""
    engine = _Engine(replace(story, until=cut), {}, 0, None)
    engine.app.__dict__["store"] = store
    for _ in engine.run():
        pass
    return store.harness.items()


def comparable(lines: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the events out; those of one instant are in any order, as in a table."""
    found = stories.as_expectations(line for line in lines if "summary" not in line)
    return sorted(found, key=lambda line: (parse_instant(line["at"]), json.dumps(line)))


@cache
def cut_of(name: str) -> datetime:
    """Return an instant in the middle of the story, between two minutes."""
    events = read_story(stories.FOLDER / f"{name}.jsonl").events
    return events[len(events) // 2].at.replace(second=0, microsecond=0) + 30 * SECOND


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in stories.names() if name not in stories.OF_ONE_KEY])
def test_an_exported_table_goes_on_as_the_story(name: str, store: InspectedStore) -> None:
    story, cut = read_story(stories.FOLDER / f"{name}.jsonl"), cut_of(name)
    items = exported(story, cut, store)
    rest = replace(story, items=tuple(items)).starting(cut)
    wanted = [line for line in comparable(simulate(story)) if parse_instant(line["at"]) > cut]
    assert comparable(simulate(rest, preferences_key=HASH_KEY)) == wanted


ITEMS = [{"pk": {"S": "CONTACT#acme#sms#+12025550101"}, "sk": {"S": "CONTACT"}, "type": {"S": "fax"}}]
AT = datetime.fromisoformat("2026-11-02T08:00:00+00:00")


def test_names_an_item_that_is_not_known() -> None:
    with pytest.raises(StoryError, match="item 1: an item of type 'fax' that cannot be read"):
        simulate(parse_story({"Item": item} for item in ITEMS).starting(AT))


def test_items_need_the_instant_of_the_export() -> None:
    with pytest.raises(StoryError, match="add --start"):
        simulate(parse_story({"Item": item} for item in ITEMS))


def test_opt_outs_need_the_key_of_their_hashes(store: InspectedStore) -> None:
    story = read_story(stories.FOLDER / "answers_cancel.jsonl")
    items = exported(story, story.events[-1].at, store)
    assert any(item["type"]["S"] == "preferences" for item in items)
    with pytest.raises(StoryError, match="--preferences-key FILE"):
        simulate(Story(items=tuple(items), start=AT))


def test_every_type_of_item_can_be_restored() -> None:
    known = RestoredStore.__dict__["_restore"].dispatcher.registry
    assert set(Item.__subclasses__()) <= known.keys()


def test_reads_a_folder_of_an_export_to_s3(tmp_path: Path) -> None:
    folder = tmp_path / "AWSDynamoDB" / "01700000000000-abc"
    (folder / "data").mkdir(parents=True)
    (folder / "manifest-summary.json").write_text(json.dumps({"exportTime": "2026-11-02T08:00:00.123Z"}))
    with gzip.open(folder / "data" / "part.json.gz", "wt", encoding="utf-8") as file:
        file.write(json.dumps({"Item": ITEMS[0]}) + "\n")
    story = read_story(tmp_path)
    assert (list(story.items), story.start) == (ITEMS, AT + timedelta(milliseconds=123))


def test_reads_what_a_scan_printed(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_text(json.dumps({"Items": ITEMS, "Count": 1}, indent=4))
    assert list(read_story(path).items) == ITEMS


def test_folder_without_an_export_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoryError, match=r"0 files manifest-summary\.json"):
        read_story(tmp_path)


def test_changes_of_an_incremental_export_are_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "manifest-summary.json").write_text(json.dumps({"exportTime": iso(AT)}))
    with gzip.open(tmp_path / "data" / "part.json.gz", "wt", encoding="utf-8") as file:
        file.write(json.dumps({"Keys": {}, "NewImage": {}}) + "\n")
    with pytest.raises(StoryError, match="no full export of a table: 'Item'"):
        read_story(tmp_path)


def test_history_of_a_table_has_what_came_and_what_is_planned(store: InspectedStore) -> None:
    story = read_story(stories.FOLDER / "clinic.jsonl")
    cut = cut_of("clinic")
    items = exported(story, cut, store)
    found = history(Story(items=tuple(items), start=cut), HASH_KEY)
    details = [event.envelope["detail"] for event in story.events if event.at <= cut]
    received = sorted(detail["message_id"] for detail in details if "message_id" in detail)
    inbound = [line["detail"]["message_id"] for line in found if line["detail-type"] == "MessageReceived"]
    assert sorted(inbound) == received
    assert any(line["detail-type"] == "MessagePlanned" for line in found)
