"""The handler of inbound messages: ``MessageReceived`` on the app's bus."""

from typing import Any

from reengage.adapters.inbound.eventbridge import inbound_message
from reengage.bootstrap import app
from reengage.errors import InvalidEvent
from reengage.observability import lambda_handler


@lambda_handler
def handler(event: Any, context: Any) -> dict[str, Any]:
    """Store the message and return ``{"result": …}``, or ``{"rejected": [error, …]}``.

    The result is ``stored``, ``duplicate``, ``window_closed`` or ``erased``.
    """
    try:
        message = inbound_message(event)
    except InvalidEvent as error:
        return app().reject(event, error)
    return {"result": app().ingest(message, milliseconds=context.get_remaining_time_in_millis())}
