"""An event that cannot be understood is kept whole, and said so, so that nothing is lost and nothing retried."""

from typing import Any

from reengage.domain.events_out import OutEvent
from reengage.errors import InvalidEvent, NotPublished
from reengage.ports import KeepRejected, Publish


def reject_event(event: Any, why: InvalidEvent, *, keep: KeepRejected, publish: Publish) -> dict[str, Any]:
    """Keeps first, then tells; answers with the errors. A failure of either raises, and is retried."""
    errors = list(why.errors)
    keep(event, errors)
    envelope = event if isinstance(event, dict) else {}
    detail = {
        "errors": errors,
        "event_id": envelope.get("id"),
        "rejected_detail_type": envelope.get("detail-type"),
    }
    if publish([OutEvent("EventRejected", {name: value for name, value in detail.items() if value is not None})]):
        raise NotPublished("EventRejected")
    return {"rejected": errors}
