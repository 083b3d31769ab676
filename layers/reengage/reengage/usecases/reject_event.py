"""Keep an invalid event whole and publish that it was rejected: nothing is lost, and nothing is retried."""

from typing import Any, Final

from reengage.domain.events_out import OutEvent
from reengage.errors import InvalidEvent
from reengage.ports import KeepRejected, Publish

MOST_ERRORS: Final = 100
"""A provider's call may have thousands of entries. Neither the bus nor the queue takes so many errors at once."""

MAX_NAME: Final = 256
"""Characters of an id or a detail-type, which the sender may choose freely."""


def reject_event(event: Any, why: InvalidEvent, *, keep: KeepRejected, publish: Publish) -> dict[str, Any]:
    """Keep the event, then publish ``EventRejected``; return the errors. A failure of either raises and is retried."""
    errors = list(why.errors[:MOST_ERRORS])
    if len(why.errors) > MOST_ERRORS:
        errors.append(f"and {len(why.errors) - MOST_ERRORS} more")
    keep(event, errors)
    envelope = event if isinstance(event, dict) else {}
    detail = {
        "errors": errors,
        "event_id": _name(envelope.get("id")),
        "rejected_detail_type": _name(envelope.get("detail-type")),
    }
    publish([OutEvent("EventRejected", {name: value for name, value in detail.items() if value is not None})])
    return {"rejected": errors}


def _name(value: Any) -> str | None:
    """Return a text cut to ``MAX_NAME``. Half of a surrogate pair, which the bus does not take, is replaced."""
    return value[:MAX_NAME].encode("utf-8", "replace").decode() if isinstance(value, str) else None
