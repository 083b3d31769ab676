"""What the stack's parameters say about inbound messages; apart from their use case, which imports all keywords."""

from dataclasses import dataclass
from datetime import timedelta

from reengage.domain.preferences import OptOutScope


@dataclass(frozen=True, slots=True)
class IngestSettings:
    """What the stack's parameters say. ``welcome_back_after``: the silence that a greeting ends; ``None`` for none.

    ``answers_help``: HELP is answered by us, not by the provider. ``acknowledges_answers``: an answer to a reminder
    gets a short reply.
    """

    contact_retention: timedelta
    opt_out_scope: OptOutScope = "brand"
    welcome_back_after: timedelta | None = None
    answers_help: bool = False
    acknowledges_answers: bool = True
