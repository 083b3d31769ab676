"""The whole store: the sum of its roles, as ``ports.Store`` is the sum of its protocols."""

from collections.abc import Callable
from typing import Any

from .broadcasts import Broadcasts
from .contacts import Contacts
from .erasure import Erasures
from .failures import Failures
from .holdings import ContactHoldings
from .messages import Messages
from .openers import Openers
from .outbox import Outbox
from .routes import Routes
from .sending import Sending
from .subjects import Subjects
from .table import Table


class DynamoDBStore(
    Contacts, Subjects, Messages, Sending, Outbox, Routes, Failures, Broadcasts, ContactHoldings, Openers, Erasures
):
    """The table behind ``ports.Store``; make one with ``connect``."""

    @classmethod
    def connect(
        cls,
        table_name: str,
        *,
        workers: int,
        hash_key: Callable[[], str],
        make_client: Callable[[], Any] | None = None,
    ) -> "DynamoDBStore":
        """Connect to the table with as many connections as ``workers``, or with the client of ``make_client``."""
        return cls(Table.connect(table_name, workers=workers, hash_key=hash_key, make_client=make_client))
