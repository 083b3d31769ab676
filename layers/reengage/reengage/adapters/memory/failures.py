"""Messages that ended as ``failed``, and the way back into the schedule."""

from collections.abc import Iterator
from datetime import datetime

from reengage.domain.message import ScheduledMessage, State, again

from .tables import Row, Tables


class Failures(Tables):
    """For a person who redrives."""

    def failed_messages(self) -> Iterator[ScheduledMessage]:
        with self._lock:
            rows = [row.message for row in self._rows.values() if row.message.state is State.FAILED]
        yield from rows

    def requeue(self, message: ScheduledMessage, *, at: datetime) -> bool:
        with self._lock:
            row = self._rows.get(message.key)
            if row is None or row.message.state is not State.FAILED or row.message.claim_id != message.claim_id:
                return False
            queued = again(row.message, at)
            self._put(message.key, Row(queued, queued.expires_at(at), indexed=True))
            return True
