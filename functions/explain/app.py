"""The door for questions, invoked by hand or by another system: it reads, and changes nothing."""

from functools import partial
from typing import Any

from reengage.adapters.inbound.questions import question
from reengage.bootstrap import app
from reengage.errors import InvalidEvent
from reengage.observability import lambda_handler


@partial(lambda_handler, logs_answer=False)
def handler(event: Any, _context: Any) -> dict[str, Any]:
    """``{"contact": …}`` is answered with the contact's ledger, with all that is held of it where ``"export": true``
    stands beside; ``{"preview": <event in>}`` with what that event would plan; ``{"broadcast": {"brand",
    "announcement_id" or "item_id"}}`` with how far it has come; ``{"simulate": [line of a story, …]}`` with what that
    story leads to, by this stack's parameters. Else ``{"rejected": [error, …]}``.
    """
    try:
        return app().answer(question(event))
    except InvalidEvent as error:
        return {"rejected": list(error.errors)}
