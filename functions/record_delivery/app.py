"""The door for receipts: ``DeliveryReported`` on the app's bus, from the systems that deliver for us."""

from typing import Any

from reengage.adapters.inbound.eventbridge import receipt
from reengage.bootstrap import app
from reengage.errors import InvalidEvent
from reengage.observability import lambda_handler


@lambda_handler
def handler(event: Any, _context: Any) -> dict[str, Any]:
    """Answers ``{"result": "recorded" | "repeated" | "ignored"}``, or ``{"rejected": [error, …]}``."""
    try:
        return {"result": app().record(receipt(event))}
    except InvalidEvent as error:
        return app().reject(event, error)
