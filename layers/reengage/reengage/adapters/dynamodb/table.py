"""The table: its reads, and the conditions of its writes.

pynamodb's attributes turn items into DynamoDB's JSON and back. No class holds the table's name, and no call describes
the table first.

If the answer to a write is lost, the client sends the write again. The second try then fails on the condition that the
first one met. A caller that this could mislead reads the stored item.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import batched
from typing import Any, Final

from pynamodb.exceptions import PynamoDBException
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action

from reengage.adapters.aws_clients import AwsClients
from reengage.domain.contact import Contact
from reengage.domain.preferences import preferences_of

from .items.base import Item
from .items.contacts import PREFERENCES, CapUsageItem, PreferencesItem, keyed_hash
from .items.subjects import BrandItem, SubjectItem
from .requests import AUDIENCE, DUE, Key, RawItem, Requests
from .sealing import seal, unseal

__all__ = ["AUDIENCE", "DUE", "Key", "RawItem", "Role", "Table", "at_revision", "unchanged"]

READS: Final = 3
"""Requests for the keys of one batch, before those that are still unprocessed raise."""

BATCH: Final = 100
"""BatchGetItem takes no more keys."""


@dataclass(frozen=True, slots=True)
class Table:
    """The table's requests.

    ``hash_key`` returns the secret by which the addresses of preferences are hashed; it is called when first needed.
    """

    requests: Requests
    hash_key: Callable[[], str]

    @classmethod
    def connect(
        cls, name: str, *, workers: int, hash_key: Callable[[], str], make_client: Callable[[], Any] | None
    ) -> "Table":
        client = (make_client or AwsClients(max_connections=workers).table)()
        return cls(Requests(client, name), hash_key)

    @property
    def name(self) -> str:
        return self.requests.table_name

    @property
    def client(self) -> Any:
        """Return the client that makes the requests."""
        return self.requests.client

    def preferences_key(self, contact: Contact) -> str:
        """Return a keyed hash: the table alone does not show whose preferences they are."""
        return self.keyed_hash(preferences_of(contact))

    def keyed_hash(self, text: str) -> str:
        return keyed_hash(self.hash_key(), text)

    def seal(self, text: str) -> str:
        """Return a text that names a contact in a form that shows nothing of it."""
        return seal(self.hash_key(), text)

    def unseal(self, sealed: str) -> str:
        """Return the text that was sealed. Raises ``ValueError`` if it was sealed by another key."""
        return unseal(self.hash_key(), sealed)

    def preferences_pk(self, contact: Contact) -> str:
        return f"{PREFERENCES}#{self.preferences_key(contact)}"

    def read(self, keys: Iterable[Key]) -> dict[Key, Item]:
        """Make one strongly consistent BatchGetItem; another for keys that DynamoDB left unprocessed."""
        wanted = list(keys)
        items: dict[Key, Item] = {}
        for _ in range(READS):
            found, wanted = self.requests.batch_get_item(wanted)
            items |= {(raw["pk"]["S"], raw["sk"]["S"]): Item.from_raw_data(raw) for raw in found}
            if not wanted:
                return items
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

    def read_range(self, pk: str, first: str, last: str) -> dict[Key, Item]:
        """Read one key's items whose sort keys are in the range, ends included, strongly consistent.

        A query costs by the size of all that it reads, one unit for 4 KB; BatchGetItem one unit or more for each key.
        """
        items: dict[Key, Item] = {}
        for page in self.pages(pk, range_key_condition=Item.sk.between(first, last), consistent_read=True):
            items |= {(raw["pk"]["S"], raw["sk"]["S"]): Item.from_raw_data(raw) for raw in page}
        return items

    def page(self, pk: str, *, start: RawItem | None = None, **query: Any) -> tuple[Sequence[RawItem], RawItem | None]:
        """Query one page. Return its items and the key to go on from; ``None`` after the last page."""
        return self.requests.query(pk, start=start, **query)

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
        try:
            self.requests.put_item(item.serialize(), condition)
        except PynamoDBException as error:
            return _unmet(error)
        return True

    def change(self, key: Key, actions: Sequence[Action], condition: Condition) -> RawItem | None:
        """Update the item and return it; ``None`` if the condition is not met. Never creates an item."""
        return self.set(key, actions, Item.pk.exists() & condition)

    def change_unread(self, key: Key, actions: Sequence[Action], condition: Condition) -> bool:
        """Do the same, and return only whether the condition was met: the item is neither sent nor parsed."""
        try:
            self.requests.update_item(key, actions, Item.pk.exists() & condition)
        except PynamoDBException as error:
            return _unmet(error)
        return True

    def set(self, key: Key, actions: Sequence[Action], condition: Condition) -> RawItem | None:
        """Do the same; it creates the item if the condition allows that."""
        try:
            return self.requests.update_item(key, actions, condition, return_values="ALL_NEW")
        except PynamoDBException as error:
            _unmet(error)
            return None

    def delete(self, key: Key, condition: Condition) -> bool:
        """Delete the item if the condition is met; return whether it was."""
        try:
            self.requests.delete_item(key, condition)
        except PynamoDBException as error:
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
