"""The handler of ``MessageReceived`` on the app's bus."""

from typing import Any

from reengage.adapters.inbound.eventbridge import hints, inbound_message
from reengage.bootstrap.ingest import app
from reengage.errors import InvalidEvent
from reengage.observability import lambda_handler, with_hints


@lambda_handler
def handler(event: Any, context: Any) -> dict[str, Any]:
    """Return ``{"result": "stored" | "duplicate" | "window_closed" | "erased"}``, or ``{"rejected": [error, …]}``."""
    try:
        message = inbound_message(event)
    except InvalidEvent as error:
        return app().reject(event, error)
    result = app().ingest(message, milliseconds=context.get_remaining_time_in_millis())
    return with_hints({"result": result}, hints(event))
