"""An event that cannot be understood is kept whole, and said so, so that nothing is lost and nothing retried."""

from typing import Any, Final

from reengage.domain.events_out import OutEvent
from reengage.errors import InvalidEvent
from reengage.ports import KeepRejected, Publish

MOST_ERRORS: Final = 100
"""One call of a provider's may hold thousands of entries, and neither the bus nor the queue takes so much at once."""


def reject_event(event: Any, why: InvalidEvent, *, keep: KeepRejected, publish: Publish) -> dict[str, Any]:
    """Keeps first, then tells; answers with the errors. A failure of either raises, and is retried."""
    errors = list(why.errors[:MOST_ERRORS])
    if len(why.errors) > MOST_ERRORS:
        errors.append(f"and {len(why.errors) - MOST_ERRORS} more")
    keep(event, errors)
    envelope = event if isinstance(event, dict) else {}
    detail = {
        "errors": errors,
        "event_id": envelope.get("id"),
        "rejected_detail_type": envelope.get("detail-type"),
    }
    publish([OutEvent("EventRejected", {name: value for name, value in detail.items() if value is not None})])
    return {"rejected": errors}
