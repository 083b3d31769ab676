"""The door for what business systems say: appointments and trials, on the app's bus."""

from dataclasses import asdict
from typing import Any

from reengage.adapters.inbound.eventbridge import business_event
from reengage.bootstrap import app
from reengage.errors import InvalidEvent
from reengage.observability import door
from reengage.usecases.plan_messages import plan_messages


@door
def handler(event: Any, _context: Any) -> dict[str, Any]:
    """Answers ``{"planned": n, "too_late": n, "withdrawn": n, "stale": bool}``, or ``{"rejected": [error, …]}``."""
    try:
        said = business_event(event)
    except InvalidEvent as why:
        return app().reject(event, why)
    return asdict(plan_messages(said, store=app().store, publish=app().publish, clock=app().clock))
