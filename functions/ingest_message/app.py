"""The door for what people write: ``MessageReceived`` on the app's bus."""

from typing import Any

from reengage.adapters.inbound.eventbridge import inbound_message
from reengage.bootstrap import app
from reengage.errors import InvalidEvent
from reengage.observability import door
from reengage.usecases.ingest_message import ingest_message


@door
def handler(event: Any, _context: Any) -> dict[str, Any]:
    """Answers ``{"result": "stored" | "duplicate" | "window_closed"}``, or ``{"rejected": [error, …]}``."""
    try:
        message = inbound_message(event)
    except InvalidEvent as why:
        return app().reject(event, why)
    result = ingest_message(
        message,
        store=app().store,
        publish=app().publish,
        clock=app().clock,
        contact_retention=app().settings.contact_retention,
    )
    return {"result": result}
