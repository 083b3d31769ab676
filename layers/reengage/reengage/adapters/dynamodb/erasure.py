"""Erase a contact: its own items, and its part of each subject that names it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import batched
from time import sleep
from typing import Final

from reengage.domain.contact import Contact
from reengage.domain.erasure import without_contact
from reengage.domain.subject import Subject

from .items.base import Item
from .items.contacts import CapUsageItem, ConversationItem, InboundMessageItem, ProfileItem, message_sk, to_cap_usage
from .items.messages import ScheduledMessageItem
from .items.openers import ConsentItem
from .items.subjects import SUBJECT, SubjectItem, SubjectLinkItem, subject_sk
from .outbox import forget_contact
from .sending import same_cap_usage
from .subjects import Subjects, linked_subjects
from .table import RawItem, Role

STORED_AT: Final[Mapping[type[Item], str]] = {
    ProfileItem: "last_seen_at",
    ConversationItem: "last_inbound_at",
    InboundMessageItem: "sent_at",
    ScheduledMessageItem: "planned_at",
    SubjectLinkItem: "named_at",
    ConsentItem: "at",
}
"""For each kind of item under a contact's key, the attribute that an erasure compares with its own instant."""

BATCH_WRITE: Final = 25
"""BatchWriteItem takes no more items."""

ERASE_THREADS: Final = 4
"""Batches at once: the function waits for its own CPU, not for DynamoDB."""

WRITES: Final = 5
"""Requests for one batch, before the items that are still unprocessed raise."""

UNPROCESSED_PAUSE: Final = 0.05
"""Seconds, doubled before each further request."""


class Erasures(Role):
    """Delete what was stored of a contact until an instant."""

    def erase(self, contact: Contact, *, until: datetime) -> int:
        found = 0
        for page in self.table.pages(contact.key, consistent_read=True):
            messages, items = _split_page(page)
            found += self._erase_messages(contact, messages, until)
            changed = self._erase_subjects(contact, items, until)
            kept = {subject_sk(subject.ref) for subject in changed}
            found += len(changed) + sum(self._erase_item(item, until) for item in items if item.sk not in kept)
        forget_contact(self.table, contact)
        return found

    def _erase_subjects(self, contact: Contact, items: Sequence[Item], until: datetime) -> list[Subject]:
        """Erase the contact's part of its subjects. Return those that another writer changed: to be erased again."""
        changed = []
        for subject in linked_subjects(self.table, contact, items):
            rest = without_contact(subject, contact, until)
            if rest is not subject and not self._replace_subject(subject, rest):
                changed.append(subject)
        return changed

    def _replace_subject(self, subject: Subject, rest: Subject | None) -> bool:
        """Return ``False`` if another writer changed the stored subject."""
        if rest:
            return Subjects(self.table).write_subject(rest)
        key = (subject.ref.key, SUBJECT)
        unchanged = SubjectItem.revision == subject.revision
        return self.table.delete(key, unchanged) or self.table.read_one(key) is None

    def _erase_messages(self, contact: Contact, raw: Sequence[RawItem], until: datetime) -> int:
        """Delete inbound messages 25 at a time: a message never changes, so no condition is needed."""
        latest: str = InboundMessageItem.sent_at.serialize(until)  # type: ignore[no-untyped-call]  # pynamodb's own gap
        old = [item["sk"]["S"] for item in raw if item["sent_at"]["S"] <= latest]
        batches = list(batched(old, BATCH_WRITE, strict=False))
        if len(batches) > 1:
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - 2 ms that only a long chat needs

            with ThreadPoolExecutor(ERASE_THREADS) as pool:
                list(pool.map(partial(self._delete_all, contact.key), batches))
        else:
            for keys in batches:
                self._delete_all(contact.key, keys)
        return len(old)

    def _delete_all(self, pk: str, keys: Sequence[str]) -> None:
        """Make one BatchWriteItem; others for keys that DynamoDB left unprocessed."""
        wanted = [(pk, sk) for sk in keys]
        for tries in range(WRITES):
            if tries:
                sleep(UNPROCESSED_PAUSE * 2**tries)  # DynamoDB throttles, and no client retries a part of a batch
            wanted = self.table.requests.batch_delete_item(wanted)
            if not wanted:
                return
        raise TimeoutError(f"{len(wanted)} items were left unprocessed in {WRITES} writes")

    def _erase_item(self, item: Item, until: datetime) -> bool:
        """Delete one item under the contact's key if it was stored at or before ``until``."""
        if isinstance(item, CapUsageItem):
            cap_usage = to_cap_usage(item)
            old, unchanged = all(at <= until for at in cap_usage.instants()), same_cap_usage(cap_usage)
        else:
            stored_at = STORED_AT[type(item)]
            old, unchanged = getattr(item, stored_at) <= until, getattr(type(item), stored_at) <= until
        if old:
            self.table.delete((item.pk, item.sk), unchanged)
        return old


def _split_page(page: Sequence[RawItem]) -> tuple[list[RawItem], list[Item]]:
    """Split a page of a contact's items into inbound messages, in DynamoDB's own JSON, and all others.

    A long chat has thousands of messages: parsing each one would take longer than deleting it.
    """
    messages = [raw for raw in page if raw["sk"]["S"].startswith(message_sk(""))]
    others = [Item.from_raw_data(raw) for raw in page if not raw["sk"]["S"].startswith(message_sk(""))]
    return messages, others
