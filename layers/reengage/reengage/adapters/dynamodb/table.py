"""The requests to the table, and the conditions of its writes.

pynamodb's models turn items into attributes and back, and write its expressions. One ``TableConnection`` makes the
calls: no class holds the table's name, and no call describes the table first.

If the answer to a write is lost, botocore sends the write again. The second try then fails on the condition that the
first one met. A caller that this could mislead reads the stored item.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Any, Final

from pynamodb.connection import TableConnection
from pynamodb.connection.base import MetaTable
from pynamodb.exceptions import DeleteError, PutError, PynamoDBException, UpdateError
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from reengage.adapters.aws_clients import AwsClients
from reengage.domain.contact import Contact
from reengage.domain.preferences import preferences_of

from .items.base import Item
from .items.contacts import PREFERENCES, CapUsageItem, PreferencesItem, keyed_hash
from .items.subjects import BrandItem, SubjectItem

DUE: Final = "due"
AUDIENCE: Final = "audience"

_SCHEMA: Final = {
    "KeySchema": [
        {"AttributeName": "pk", "KeyType": "HASH"},
        {"AttributeName": "sk", "KeyType": "RANGE"},
    ],
    "AttributeDefinitions": [
        {"AttributeName": name, "AttributeType": "S"}
        for name in ("pk", "sk", "due_shard", "due_at", "audience_shard", "audience_day")
    ],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": index,
            "KeySchema": [
                {"AttributeName": shard, "KeyType": "HASH"},
                {"AttributeName": order, "KeyType": "RANGE"},
            ],
        }
        for index, shard, order in ((DUE, "due_shard", "due_at"), (AUDIENCE, "audience_shard", "audience_day"))
    ],
}

READS: Final = 3
"""Requests for the keys of one batch, before those that are still unprocessed raise."""

BATCH: Final = 100
"""BatchGetItem takes no more keys."""

Key = tuple[str, str]
"""An item's ``pk`` and ``sk``."""

RawItem = dict[str, Any]
"""An item in DynamoDB's own JSON."""


@dataclass(frozen=True, slots=True)
class Table:
    """The table's requests.

    ``hash_key`` returns the secret by which the addresses of preferences are hashed; it is called when first needed.
    """

    connection: TableConnection
    hash_key: Callable[[], str]

    @classmethod
    def connect(
        cls, name: str, *, workers: int, hash_key: Callable[[], str], make_client: Callable[[], Any] | None
    ) -> "Table":
        connection = TableConnection(name, meta_table=MetaTable({"TableName": name, **_SCHEMA}))
        client = (make_client or AwsClients(max_connections=workers).table)()
        connection.connection._client = client  # noqa: SLF001 - pynamodb would make a botocore session of its own
        return cls(connection, hash_key)

    @property
    def name(self) -> str:
        name: str = self.connection.table_name
        return name

    @property
    def client(self) -> Any:
        """Return the botocore client that makes the requests."""
        return self.connection.connection.client

    def preferences_key(self, contact: Contact) -> str:
        """Return a keyed hash: the table alone does not show whose preferences they are."""
        return self.keyed_hash(preferences_of(contact))

    def keyed_hash(self, text: str) -> str:
        return keyed_hash(self.hash_key(), text)

    def preferences_pk(self, contact: Contact) -> str:
        return f"{PREFERENCES}#{self.preferences_key(contact)}"

    def read(self, keys: Iterable[Key]) -> dict[Key, Item]:
        """Make one strongly consistent BatchGetItem; another for keys that DynamoDB left unprocessed."""
        wanted: Any = [{"pk": pk, "sk": sk} for pk, sk in keys]  # pynamodb says Sequence[str], and takes keys
        items: dict[Key, Item] = {}
        for _ in range(READS):
            answer = self.connection.batch_get_item(wanted, consistent_read=True)
            for raw in answer["Responses"].get(self.name, ()):
                items[raw["pk"]["S"], raw["sk"]["S"]] = Item.from_raw_data(raw)
            unread = answer["UnprocessedKeys"].get(self.name, {}).get("Keys")
            if not unread:
                return items
            wanted = [{name: value["S"] for name, value in key.items()} for key in unread]
        raise TimeoutError(f"{len(wanted)} keys were left unprocessed in {READS} reads")

    def read_one(self, key: Key) -> Item | None:
        """Read one item, strongly consistent."""
        return self.read([key]).get(key)

    def read_all(self, keys: Iterable[Key]) -> dict[Key, Item]:
        """Read any number of items, strongly consistent; one request for 100 keys."""
        items: dict[Key, Item] = {}
        for some in batched(keys, BATCH, strict=False):
            items |= self.read(some)
        return items

    def page(self, pk: str, *, start: RawItem | None = None, **query: Any) -> tuple[Sequence[RawItem], RawItem | None]:
        """Query one page. Return its items and the key to go on from; ``None`` after the last page."""
        answer = self.connection.query(pk, exclusive_start_key=start, **query)
        return answer["Items"], answer.get("LastEvaluatedKey")

    def pages(self, pk: str, **query: Any) -> Iterator[Sequence[RawItem]]:
        """Yield the pages of a query; each request is made when its page is needed."""
        items, last = self.page(pk, **query)
        yield items
        while last:
            items, last = self.page(pk, start=last, **query)
            yield items

    def items(self, pk: str) -> Iterator[Item]:
        """Yield every item under the key, strongly consistent."""
        for page in self.pages(pk, consistent_read=True):
            yield from map(Item.from_raw_data, page)

    def put(self, item: Item, condition: Condition | None = None) -> bool:
        """Write the item if the condition is met; return whether it was."""
        raw = item.serialize()
        pk, sk = raw.pop("pk")["S"], raw.pop("sk")["S"]
        try:
            self.connection.put_item(pk, range_key=sk, attributes=raw, condition=condition)
        except PutError as error:
            return _unmet(error)
        return True

    def change(self, key: Key, actions: Sequence[Action], condition: Condition) -> RawItem | None:
        """Update the item and return it; ``None`` if the condition is not met. Never creates an item."""
        return self.set(key, actions, Item.pk.exists() & condition)

    def change_unread(self, key: Key, actions: Sequence[Action], condition: Condition) -> bool:
        """Do the same, and return only whether the condition was met: the item is neither sent nor parsed."""
        pk, sk = key
        try:
            self.connection.update_item(pk, range_key=sk, actions=list(actions), condition=Item.pk.exists() & condition)
        except UpdateError as error:
            return _unmet(error)
        return True

    def set(self, key: Key, actions: Sequence[Action], condition: Condition) -> RawItem | None:
        """Do the same; it creates the item if the condition allows that."""
        pk, sk = key
        try:
            answer = self.connection.update_item(
                pk, range_key=sk, actions=list(actions), condition=condition, return_values="ALL_NEW"
            )
        except UpdateError as error:
            _unmet(error)
            return None
        changed: RawItem = answer["Attributes"]
        return changed

    def delete(self, key: Key, condition: Condition) -> bool:
        """Delete the item if the condition is met; return whether it was."""
        pk, sk = key
        try:
            self.connection.delete_item(pk, range_key=sk, condition=condition)
        except DeleteError as error:
            return _unmet(error)
        return True


@dataclass(frozen=True)
class Role:
    """One role of the store. All roles share the table, and have nothing else."""

    table: Table


def _unmet(error: PynamoDBException) -> bool:
    """Return ``False`` for a condition that was not met; raise any other error again."""
    if error.cause_response_code == "ConditionalCheckFailedException":
        return False
    raise error


def unchanged(model: type[Item], item: Item | None) -> Condition:
    """Return the condition that the stored item is still equal to this one, or still absent."""
    if item is None:
        return Item.pk.does_not_exist()
    condition = Item.pk.exists()
    for name, attribute in model.get_attributes().items():
        # What puts it into an index is made from the rest.
        if name in ("pk", "sk", "type", "audience_shard", "audience_day"):
            continue
        value = getattr(item, name)
        condition &= attribute.does_not_exist() if value is None else attribute == value
    return condition


def at_revision(model: type[PreferencesItem | BrandItem | SubjectItem | CapUsageItem], revision: int) -> Condition:
    """Return the condition that the stored item has the revision that was read; 0: it is absent."""
    return model.revision == revision if revision else Item.pk.does_not_exist()
