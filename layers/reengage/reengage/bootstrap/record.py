"""The function of receipts."""

from __future__ import annotations

from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from ..settings import RecordSettings
from .adapters import EventAdapters, StoreAdapters, read_tolerantly

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..domain.commands import RecordDelivery
    from ..usecases.record_delivery import Recorded


class RecordApp(StoreAdapters, EventAdapters):
    """Build what a receipt needs."""

    @cached_property
    def settings(self) -> RecordSettings:
        """Use the rows of ``Routes`` that are right: a notification of AWS may be a STOP."""
        return read_tolerantly(RecordSettings)

    def record(self, receipt: RecordDelivery) -> Recorded:
        """Record the outcome of a message."""
        from ..usecases.record_delivery import record_delivery

        return record_delivery(
            receipt,
            store=self.store,
            publish=self.publish,
            clock=self.clock,
            opt_out_scope=self.settings.opt_out_scope,
        )

    def record_notification(self, event: Any, record: Callable[[Any], dict[str, Any]]) -> dict[str, int]:
        """Handle a notification of AWS End User Messaging; ``record`` handles a ``DeliveryReported`` event."""
        # Only a notification needs the parsers of AWS and Meta.
        from ..adapters.inbound.aws import record_sns
        from ..observability import RECEIPTS_BEYOND_RUNS, count

        counts = record_sns(
            event, routes=self.settings.routes, arrived_at=self.clock(), relay=self.relay, record=record
        )
        if beyond := counts["receipts"] - 1:
            count(RECEIPTS_BEYOND_RUNS, beyond)
        return counts


@cache
def app() -> RecordApp:
    return RecordApp()
