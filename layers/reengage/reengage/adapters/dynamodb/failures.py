"""Messages that ended as ``failed``: found by a scan, which no function may do, and put back into the schedule."""

from collections.abc import Iterator
from datetime import datetime

from reengage.domain.message import ScheduledMessage, State, again

from .items.base import Item
from .items.messages import SCHEDULED, Row, due_shard, to_message
from .row_updates import postponement, update_row
from .table import Role


class Failures(Role):
    """For a person who redrives: it reads the whole table."""

    def failed_messages(self) -> Iterator[ScheduledMessage]:
        start = None
        while True:
            failed = Item.sk.startswith(f"{SCHEDULED}#") & (Row.state == State.FAILED)
            items, start = self.table.requests.scan(failed, start=start)
            yield from (to_message(Row.from_raw_data(raw)) for raw in items)
            if not start:
                return

    def requeue(self, message: ScheduledMessage, *, at: datetime) -> bool:
        queued = again(message, at)
        actions = [
            Row.state.set(State.SCHEDULED),
            Row.due_at.set(queued.due_at),
            Row.due_shard.set(due_shard(message.send_group, message.reason_spec.priority, message.contact.shard)),
            Row.attempts.set(queued.attempts),
            Row.expires_at.set(queued.expires_at(at)),
            Row.settled_at.remove(),
            *postponement(queued),
        ]
        unchanged = (Row.state == State.FAILED) & (Row.claim_id == message.claim_id)
        return update_row(self.table, message.key, actions, unchanged) is not None
