"""The scheduled handler that sends due appointment messages."""

from typing import Any

from reengage.bootstrap.sending import app
from reengage.observability import lambda_handler


@lambda_handler
def handler(event: Any, context: Any) -> dict[str, Any]:
    """Send what is due by the clock and return the run's summary. The event may name ``shards``."""
    return app().run("appointments", event, context)
