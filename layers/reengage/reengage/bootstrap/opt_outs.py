"""What still works while a function's settings are wrong: opt-outs, erasures and pauses."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..settings import StackSettings
from .adapters import StoreAdapters

if TYPE_CHECKING:
    from ..domain.commands import EraseContact, PauseSending, RecordChoice, ResumeSending
    from ..domain.conversation import InboundMessage


class OptOutApp(StoreAdapters):
    """Build what protects a person, from the table's settings alone; a wrong value counts as its safest one."""

    @cached_property
    def settings(self) -> StackSettings:
        return StackSettings.from_env(tolerant=True)

    def record_opt_out(self, message: InboundMessage) -> bool:
        """Store the opt-out that a message makes, and nothing else of it."""
        from ..usecases.ingest_message import record_opt_out

        return record_opt_out(
            message,
            store=self.store,
            publish=self.publish,
            clock=self.clock,
            opt_out_scope=self.settings.opt_out_scope,
        )

    def execute(self, command: RecordChoice | EraseContact | PauseSending | ResumeSending) -> dict[str, Any]:
        """Execute a command that needs no other setting, and return its result."""
        from ..domain.commands import EraseContact, RecordChoice

        match command:
            case RecordChoice():
                return self._choose(command)
            case EraseContact():
                return self._erase(command)
            case _:
                return self._pause(command)

    def _choose(self, command: RecordChoice) -> dict[str, Any]:
        from ..usecases.record_choice import record_choice

        scope = self.settings.opt_out_scope
        return {"changed": record_choice(command, store=self.store, publish=self.publish, opt_out_scope=scope)}

    def _erase(self, command: EraseContact) -> dict[str, Any]:
        from ..usecases.erase_contact import erase_contact

        return {"erased": erase_contact(command, store=self.store, publish=self.publish, clock=self.clock)}

    def _pause(self, command: PauseSending | ResumeSending) -> dict[str, Any]:
        from ..usecases.pause_sending import pause_sending

        return {"changed": pause_sending(command, store=self.store, publish=self.publish)}
