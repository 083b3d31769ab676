"""The handler for questions, invoked by hand or by another system. It only reads."""

from functools import partial
from typing import Any

from reengage.adapters.inbound.questions import question
from reengage.bootstrap.explain import app
from reengage.errors import InvalidEvent
from reengage.observability import lambda_handler


@partial(lambda_handler, logs_answer=False)
def handler(event: Any, _context: Any) -> dict[str, Any] | str:
    """Return the answer to one question, or ``{"rejected": [error, …]}``.

    | question | answer |
    |---|---|
    | ``{"contact": …}`` | the contact's ledger |
    | ``{"contact": …, "export": true}`` | all stored data of the contact |
    | ``{"preview": <event in>}`` | what that event would plan |
    | ``{"broadcast": {"brand", "announcement_id" or "item_id"}}`` | the progress of the broadcast |
    | ``{"texts": {"brand"}}`` | the brand's texts with sample data |
    | ``{"simulate": [line of a story, …]}`` | the outcome of the story, with this stack's parameters |
    | ``{"pauses": true}`` | what is paused, since when and why; HTML for a dashboard |
    """
    try:
        return app().respond(question(event))
    except InvalidEvent as error:
        return {"rejected": list(error.errors)}
