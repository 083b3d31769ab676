"""The handler of business events on the app's bus: about subjects, brands, consent and pauses."""

from typing import Any

from reengage.adapters.inbound.eventbridge import hints, parse_business_event
from reengage.bootstrap.plan import app
from reengage.errors import InvalidEvent
from reengage.observability import lambda_handler, with_hints


@lambda_handler
def handler(event: Any, _context: Any) -> dict[str, Any]:
    """Return the result: for an event about a subject
    ``{"planned": n, "too_late": n, "withdrawn": n, "broadcasts": n, "stale": bool, "erased": bool}``, for a choice or
    a brand ``{"changed": bool}``, for an erasure ``{"erased": n}``; ``hints`` if a field is misspelled, or if the event
    ends something for a contact that no event added.
    An invalid event returns ``{"rejected": [error, …]}``.
    """
    try:
        return with_hints(app().handle(parse_business_event(event)), hints(event))
    except InvalidEvent as error:
        return app().reject(event, error)
