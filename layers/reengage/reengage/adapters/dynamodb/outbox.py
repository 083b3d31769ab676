"""Lists of messages whose events may not be published yet."""

from reengage.domain.contact import Contact
from reengage.domain.message import MessageKey
from reengage.domain.outbox import PARTITION, UnpublishedList

from .items.base import Item
from .items.outbox import UnpublishedItem, packed_keys, to_unpublished, unpublished_item
from .table import Role, Table


class Outbox(Role):
    """Store, read and delete lists."""

    def write_unpublished(self, unpublished: UnpublishedList) -> None:
        self.table.put(unpublished_item(unpublished), Item.pk.does_not_exist())

    def read_unpublished(self, key: MessageKey) -> UnpublishedList | None:
        return to_unpublished(self.table.read_one(key))

    def delete_unpublished(self, key: MessageKey) -> None:
        self.table.delete(key, Item.pk.exists())


def forget_contact(table: Table, contact: Contact) -> None:
    """Remove the contact's messages from every list: an erased address must not be found anywhere."""
    for item in table.items(PARTITION):
        unpublished = to_unpublished(item)
        left = tuple(key for key in unpublished.keys if key.pk != contact.key) if unpublished else ()
        if unpublished and left != unpublished.keys:
            table.change(unpublished.key, [UnpublishedItem.messages.set(packed_keys(left))], Item.pk.exists())
