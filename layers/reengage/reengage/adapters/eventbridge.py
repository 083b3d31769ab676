"""The app's own bus: it publishes the events out."""

import json
import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from reengage.domain.events_out import OutEvent, out_event
from reengage.errors import NotPublished
from reengage.ports import OutboundMessage, Publish

SOURCE: Final = "reengage"
ENTRIES_AT_ONCE: Final = 10
BYTES_AT_ONCE: Final = 250_000
"""PutEvents accepts at most 10 entries and 256 KB."""

TRIES: Final = 3
PAUSE: Final = 0.2

_log = logging.getLogger(__name__)


class EventsClient(Protocol):
    """botocore's ``events`` client, as far as it is used here."""

    def put_events(
        self,
        *,
        Entries: Sequence[Mapping[str, Any]],  # noqa: N803 - botocore's name
    ) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class EventBus:
    """Publish events by PutEvents; implements ``ports.Publish``."""

    client: EventsClient
    name: str
    pause: Callable[[float], None] = time.sleep
    source: str = SOURCE

    def __call__(self, events: Sequence[OutEvent]) -> None:
        if failed := sum(self._put(batch) for batch in _batches(self.entry(event) for event in events)):
            raise NotPublished(failed, len(events))

    def entry(self, event: OutEvent) -> dict[str, str]:
        return {
            "EventBusName": self.name,
            "Source": self.source,
            "DetailType": event.type,
            "Detail": json.dumps(event.detail, ensure_ascii=False),
        }

    def _put(self, entries: list[dict[str, str]]) -> int:
        """Put the entries and return how many failed ``TRIES`` times. PutEvents can fail in part."""
        for attempt in range(TRIES):
            if attempt:
                self.pause(PAUSE * 2**attempt)
            try:
                results = self.client.put_events(Entries=entries)["Entries"]
            except (ClientError, BotoCoreError):
                _log.exception("PutEvents failed")
                continue
            entries = [entry for entry, result in zip(entries, results, strict=True) if "ErrorCode" in result]
            if not entries:
                return 0
        return len(entries)


def without(left_out: Collection[str], publish: Publish) -> Publish:
    """Return ``publish`` without events of these types; for ``EventsOut``."""

    def publishing(events: Sequence[OutEvent]) -> None:
        if wanted := [event for event in events if event.type not in left_out]:
            publish(wanted)

    return publishing if left_out else publish


def _batches(entries: Iterable[dict[str, str]]) -> Iterator[list[dict[str, str]]]:
    """Yield batches of the size that PutEvents accepts; an entry that is too large goes alone and is refused."""
    batch: list[dict[str, str]] = []
    size = 0
    for entry in entries:
        length = sum(len(value.encode()) for value in entry.values())
        if batch and (len(batch) == ENTRIES_AT_ONCE or size + length > BYTES_AT_ONCE):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += length
    if batch:
        yield batch


def send_requested(outbound: OutboundMessage) -> OutEvent:
    return out_event(
        "MessageSendRequested",
        outbound.message,
        text=outbound.wording.text,
        locale=outbound.wording.locale,
        template={"name": outbound.wording.template, "parameters": list(outbound.wording.parameters)},
        replies=[{"label": reply.label, "payload": reply.payload} for reply in outbound.wording.replies] or None,
        data=dict(outbound.data),
        free_text_until=outbound.free_text_until,
        deliver_before=outbound.deliver_before,
    )
