"""The handler of receipts: ``DeliveryReported`` on the app's bus, and what AWS publishes to the app's SNS topic."""

from typing import Any

from reengage.adapters.inbound.eventbridge import hints, receipt
from reengage.bootstrap.record import app
from reengage.errors import InvalidEvent
from reengage.observability import lambda_handler, with_hints


@lambda_handler
def handler(event: Any, _context: Any) -> dict[str, Any]:
    """Record the receipt and return ``{"result": …}``, or ``{"rejected": [error, …]}``.

    The result is ``recorded``, ``repeated`` or ``ignored``. For an SNS notification, return how often each came out.
    """
    if isinstance(event, dict) and "Records" in event:
        return app().record_notification(event, _record)
    return _record(event)


def _record(event: Any) -> dict[str, Any]:
    try:
        return with_hints({"result": app().record(receipt(event))}, hints(event))
    except InvalidEvent as error:
        return app().reject(event, error)
