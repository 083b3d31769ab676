"""The function of business events: it plans messages, and executes every other command."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from ..observability import logger, with_unknown_contact
from ..settings import PlanSettings
from .adapters import EventAdapters
from .opt_outs import OptOutApp
from .planning import PlanningApp

if TYPE_CHECKING:
    from ..domain.commands import Command, ConfigureBrand, LinkContact, MoveContact, RecordAgentReply


class PlanApp(PlanningApp, OptOutApp, EventAdapters):
    """Build what each command needs."""

    @cached_property
    def settings(self) -> PlanSettings:
        return PlanSettings.from_env()

    def handle(self, command: Command) -> dict[str, Any]:
        """Execute the command of a business system's event, and return the result.

        Raises ``ConfigurationError`` for a wrong setting. Opt-outs, erasures and pauses are executed even then.
        """
        from ..domain.commands import EraseContact, LinkContact, MoveContact, PauseSending, RecordChoice, ResumeSending
        from ..domain.subject import BusinessEvent

        match command:
            case RecordChoice() | EraseContact() | PauseSending() | ResumeSending():
                return self._protecting().execute(command)
            case BusinessEvent():
                return with_unknown_contact(asdict(self._plan(command)))
            case LinkContact() | MoveContact():
                return self._link(command)
            case _:
                return self._store(command)

    def _protecting(self) -> OptOutApp:
        try:
            _ = self.settings
        except ConfigurationError as error:
            logger().error("a setting is wrong", error=str(error))
            return OptOutApp()
        return self

    def _link(self, command: LinkContact | MoveContact) -> dict[str, Any]:
        from ..domain.commands import LinkContact
        from ..usecases.link_contact import link_contact, move_contact
        from ..usecases.recheck_window import recheck_closing, recheck_person

        if isinstance(command, LinkContact):
            changed = link_contact(command, store=self.store, publish=self.publish)
        else:
            changed = move_contact(command, store=self.store, publish=self.publish)
        if changed:
            recheck_person(command.contact, settings=self.settings.policy, store=self.store, clock=self.clock)
        recheck_closing(command.contact, settings=self.settings.policy, store=self.store, clock=self.clock)
        return {"changed": changed}

    def _store(self, command: ConfigureBrand | RecordAgentReply) -> dict[str, Any]:
        from ..domain.commands import ConfigureBrand
        from ..usecases.configure_brand import configure_brand
        from ..usecases.record_agent_reply import record_agent_reply

        if isinstance(command, ConfigureBrand):
            return {"changed": configure_brand(command, store=self.store, clock=self.clock)}
        return {"changed": record_agent_reply(command, store=self.store, clock=self.clock)}


@cache
def app() -> PlanApp:
    return PlanApp()
