"""The handler of providers' calls to the function's URL. Until an update is complete, SNS calls it, too."""

from functools import partial
from typing import Any

from reengage.bootstrap.webhook import app
from reengage.observability import lambda_handler


@partial(lambda_handler, logs_answer=False)
def handler(event: Any, _context: Any) -> dict[str, Any]:
    """Return the HTTP response to a call, or the counts of published events for an SNS notification.

    If this function fails, the provider gets an error and retries.
    """
    return app().notified(event) if "Records" in event else app().webhook(event)
