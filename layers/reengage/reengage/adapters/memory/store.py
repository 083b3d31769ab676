"""The whole store: the sum of its roles, as ``ports.Store`` is the sum of its protocols."""

from .broadcasts import Broadcasts
from .contacts import Contacts
from .erasure import Erasures
from .failures import Failures
from .holdings import ContactHoldings
from .inspection import Inspection
from .messages import Messages
from .openers import Openers
from .outbox import Outbox
from .routes import Routes
from .sending import Sending
from .subjects import Subjects


class MemoryStore(
    Contacts,
    Subjects,
    Messages,
    Sending,
    Outbox,
    Routes,
    Failures,
    Broadcasts,
    ContactHoldings,
    Openers,
    Erasures,
    Inspection,
):
    """A store like DynamoDB's, held to the same contract, for previews, simulations and tests."""
