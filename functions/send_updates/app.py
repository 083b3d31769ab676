"""The scheduled handler that sends due updates: orders, products, carts and announcements."""

from functools import partial
from typing import Any

from reengage.bootstrap.sending import app
from reengage.errors import InvalidEvent
from reengage.observability import lambda_handler


@partial(lambda_handler, logs_answer=lambda answer: "due" in answer)
def handler(event: Any, context: Any) -> dict[str, Any]:
    """Send what is due by the clock and return the run's summary.

    A person may invoke it with ``{"send_test": …}``: one test message, and its outcome. No event of the bus comes here.
    """
    if not isinstance(event, dict) or "send_test" not in event:
        return app().run("updates", event, context)
    from reengage.adapters.inbound.test_messages import parse_test_message  # noqa: PLC0415 - no run needs it

    try:
        return app().send_test(
            parse_test_message(event["send_test"]), milliseconds=context.get_remaining_time_in_millis()
        )
    except InvalidEvent as error:
        return {"rejected": list(error.errors)}
