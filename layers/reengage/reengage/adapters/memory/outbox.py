"""Lists of messages whose events may not be published yet."""

from reengage.domain.message import MessageKey
from reengage.domain.outbox import UnpublishedList

from .tables import Tables


class Outbox(Tables):
    """Store, read and delete lists."""

    def write_unpublished(self, unpublished: UnpublishedList) -> None:
        with self._lock:
            self._unpublished[unpublished.key] = unpublished
            queue = (unpublished.send_group, unpublished.priority, unpublished.shard)
            self._due.put(unpublished.key, queue, unpublished.due_at)

    def read_unpublished(self, key: MessageKey) -> UnpublishedList | None:
        return self._unpublished.get(key)

    def delete_unpublished(self, key: MessageKey) -> None:
        with self._lock:
            self._unpublished.pop(key, None)
            self._due.remove(key)
