"""The handler of receipts: ``DeliveryReported`` on the app's bus, from systems that deliver messages."""

from typing import Any

from reengage.adapters.inbound.eventbridge import receipt
from reengage.bootstrap.record import app
from reengage.errors import InvalidEvent
from reengage.observability import lambda_handler


@lambda_handler
def handler(event: Any, _context: Any) -> dict[str, Any]:
    """Record the receipt and return ``{"result": …}``, or ``{"rejected": [error, …]}``.

    The result is ``recorded``, ``repeated`` or ``ignored``.
    """
    try:
        return {"result": app().record(receipt(event))}
    except InvalidEvent as error:
        return app().reject(event, error)
