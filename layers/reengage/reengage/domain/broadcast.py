"""A broadcast: one announcement to everyone in an audience, shard by shard.

The audience is spread over the shards of the contacts. Each shard is due and processed separately, page by page, with a
cursor. Planning a page twice plans each recipient once, so a shard needs no claim: the next run continues it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from .contact import SHARDS, Contact
from .conversation import expiry
from .instants import Duration
from .message import MessageKey, ScheduledMessage
from .reasons import REASONS, Reason
from .subject import RETENTION, SubjectRef

SORT_KEY: Final = "BROADCAST"


class ShardState(StrEnum):
    WAITING = "waiting"
    DONE = "done"
    WITHDRAWN = "withdrawn"
    TOO_LATE = "too_late"


class Recipient(NamedTuple):
    """A contact of the audience. ``since`` is when they showed their interest, if the reason is about one."""

    contact: Contact
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class BroadcastShard:
    """One shard of a broadcast, and its progress.

    ``version`` is the revision of the subject that asks for it. ``planned`` counts the recipients with a planned
    message. ``outcomes`` counts their outcomes: ``sent``, ``failed``, ``unconfirmed``, or ``skipped`` with the rule,
    such as ``skipped:opted_out``.
    """

    reason: str
    subject: SubjectRef
    shard: int
    due_at: datetime
    valid_until: datetime
    version: int
    state: ShardState = ShardState.WAITING
    cursor: str | None = None
    planned: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)

    def merged_with(self, former: "BroadcastShard | None") -> "BroadcastShard":
        """Return the shard with the outcomes of the former version.

        Messages without an outcome are planned again, unless the broadcast is withdrawn.
        """
        if former is None:
            return self
        ended = sum(former.outcomes.values())
        planned = former.planned if self.state is ShardState.WITHDRAWN else ended
        return replace(self, planned=planned, outcomes=former.outcomes)

    @property
    def key(self) -> MessageKey:
        return shard_key(self.subject, self.reason, self.shard)

    @property
    def reason_spec(self) -> Reason:
        return REASONS[self.reason]

    @property
    def expires_at(self) -> int:
        """Return epoch seconds: the shard is kept for as long as its subject."""
        return expiry(self.valid_until + RETENTION)


def shard_key(subject: SubjectRef, reason: str, shard: int) -> MessageKey:
    return MessageKey(subject.key, f"{SORT_KEY}#{reason}#{shard:02}")


def is_shard_key(key: MessageKey) -> bool:
    return key.sk.startswith(f"{SORT_KEY}#")


@dataclass(frozen=True, slots=True)
class Broadcast:
    """The message that a subject's version asks for, to the audience of its reason."""

    reason: str
    subject: SubjectRef
    due_at: datetime
    valid_until: datetime
    version: int

    def shards(
        self, state: ShardState = ShardState.WAITING, *, version: int | None = None
    ) -> tuple[BroadcastShard, ...]:
        return tuple(
            BroadcastShard(
                self.reason,
                self.subject,
                shard,
                self.due_at,
                self.valid_until,
                self.version if version is None else version,
                state,
            )
            for shard in range(SHARDS)
        )

    def message_for(self, contact: Contact, since: datetime | None, *, at: datetime) -> ScheduledMessage:
        """Return the message to a recipient: the same one each time that the recipient is found."""
        return ScheduledMessage(
            contact=contact,
            reason=self.reason,
            subject=self.subject,
            offset=str(Duration()),
            anchor_at=since,
            due_at=self.due_at,
            valid_until=self.valid_until,
            version=self.version,
            planned_at=at,
        )
