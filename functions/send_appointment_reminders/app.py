"""The scheduled door of appointment reminders."""

from typing import Any

from reengage.bootstrap import app
from reengage.observability import lambda_handler


@lambda_handler
def handler(_event: Any, context: Any) -> dict[str, Any]:
    """Answers with the run's summary. The event is information only: what is due, the clock says."""
    return app().send_due("appointments", milliseconds=context.get_remaining_time_in_millis())
