"""The door for what business systems say, on the app's bus: of what they do for people, of brands and of consent."""

from typing import Any

from reengage.adapters.inbound.eventbridge import parse_business_event
from reengage.bootstrap import app
from reengage.errors import InvalidEvent
from reengage.observability import lambda_handler


@lambda_handler
def handler(event: Any, _context: Any) -> dict[str, Any]:
    """Answers with what came of the event: of one about a subject
    ``{"planned": n, "too_late": n, "withdrawn": n, "broadcasts": n, "stale": bool, "erased": bool}``, of a choice or
    a brand ``{"changed": bool}``, of an erasure ``{"erased": n}``. Else ``{"rejected": [error, …]}``.
    """
    try:
        return app().handle(parse_business_event(event))
    except InvalidEvent as error:
        return app().reject(event, error)
