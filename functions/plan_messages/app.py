"""The handler of events from business systems: events about subjects, brands, consent and erasure."""

from typing import Any

from reengage.adapters.inbound.eventbridge import parse_business_event
from reengage.bootstrap import app
from reengage.errors import InvalidEvent
from reengage.observability import lambda_handler


@lambda_handler
def handler(event: Any, _context: Any) -> dict[str, Any]:
    """Apply the event and return the result, or ``{"rejected": [error, …]}``.

    An event about a subject returns
    ``{"planned": n, "too_late": n, "withdrawn": n, "broadcasts": n, "stale": bool, "erased": bool}``.
    A choice or a brand returns ``{"changed": bool}``, an erasure ``{"erased": n}``.
    """
    try:
        return app().handle(parse_business_event(event))
    except InvalidEvent as error:
        return app().reject(event, error)
