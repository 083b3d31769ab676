"""The scheduled handler that sends due updates: orders, products, carts and announcements."""

from typing import Any

from reengage.bootstrap.sending import app
from reengage.observability import lambda_handler


@lambda_handler
def handler(_event: Any, context: Any) -> dict[str, Any]:
    """Send what is due by the clock and return the run's summary. The event is not used."""
    return app().send_due("updates", milliseconds=context.get_remaining_time_in_millis())
