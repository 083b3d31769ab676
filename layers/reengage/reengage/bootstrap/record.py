"""The function of receipts."""

from __future__ import annotations

from functools import cache, cached_property
from typing import TYPE_CHECKING

from ..settings import RecordSettings
from .adapters import EventAdapters, StoreAdapters

if TYPE_CHECKING:
    from ..domain.commands import RecordDelivery
    from ..usecases.record_delivery import Recorded


class RecordApp(StoreAdapters, EventAdapters):
    """Build what a receipt needs."""

    @cached_property
    def settings(self) -> RecordSettings:
        return RecordSettings.from_env()

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


@cache
def app() -> RecordApp:
    return RecordApp()
