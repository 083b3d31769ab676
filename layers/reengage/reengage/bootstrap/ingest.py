"""The function that stores inbound messages."""

from __future__ import annotations

from datetime import timedelta
from functools import cache, cached_property
from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from ..settings import InboundSettings
from .adapters import EventAdapters
from .planning import PlanningApp
from .sending import SendingApp

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..domain.contact import Contact
    from ..domain.conversation import InboundMessage
    from ..domain.message import ScheduledMessage
    from ..usecases.store_thread import Ingested


class IngestApp(SendingApp, PlanningApp, EventAdapters):
    """Build what an inbound message needs, and what its reply needs when there is one."""

    @cached_property
    def settings(self) -> InboundSettings:
        return InboundSettings.from_env()

    def ingest(self, message: InboundMessage, *, milliseconds: int) -> Ingested:
        """Store an inbound message, and send the reply that is due.

        Raises ``ConfigurationError`` for a wrong setting. An opt-out is stored even then.
        """
        from ..usecases.ingest_message import ingest_message

        try:
            settings = self.settings
        except ConfigurationError:
            self._record_opt_out(message)
            raise
        time_left = timedelta(milliseconds=milliseconds)
        return ingest_message(
            message,
            settings=settings.ingest,
            store=self.store,
            publish=self.publish,
            clock=self.clock,
            send_now=lambda message: self._send_now(message, time_left),
            recheck_contacts=self._recheck,
            bind=self._plan,
        )

    def _record_opt_out(self, message: InboundMessage) -> None:
        from .opt_outs import OptOutApp

        OptOutApp().record_opt_out(message)

    def _send_now(self, message: ScheduledMessage, time_left: timedelta) -> None:
        self._sender("updates", time_left).send_now(message)

    def _recheck(self, contacts: Iterable[Contact]) -> None:
        from ..usecases.recheck_window import recheck_contacts

        recheck_contacts(contacts, settings=self.settings.policy, store=self.store, clock=self.clock)


@cache
def app() -> IngestApp:
    return IngestApp()
