"""The door for providers: they call the function's URL, or publish to the app's topic."""

from functools import partial
from typing import Any

from reengage.bootstrap import app
from reengage.observability import lambda_handler


@partial(lambda_handler, logs_answer=False)
def handler(event: Any, _context: Any) -> dict[str, Any]:
    """Answers a call over HTTP with a status and what its protocol asks for; and a notification of SNS with how much it
    told of what. An error of ours is one for the caller too, who then tries again.
    """
    return app().notified(event) if "Records" in event else app().webhook(event)
