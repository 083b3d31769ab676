"""Planning, for the function of business events and for a person's message that binds an address."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from ..settings import PlanningSettings
from .adapters import StoreAdapters

if TYPE_CHECKING:
    from ..domain.brand import Brand
    from ..domain.openers import Invitation, Opener
    from ..domain.subject import BusinessEvent
    from ..usecases.openers import OpenerDesk
    from ..usecases.plan_messages import Planned


class InvitingApp(StoreAdapters):
    """Build what an opener needs when there is one."""

    @cached_property
    def settings(self) -> PlanningSettings:
        return PlanningSettings.from_env()

    @property
    def _desk(self) -> OpenerDesk:
        from ..usecases.openers import OpenerDesk

        return OpenerDesk(self.store, self._invite)

    def _invite(self, opener: Opener, channel: str | None, *, brand: Brand | None, locale: str | None) -> Invitation:
        from ..adapters.opener_links import OpenerLinks
        from ..adapters.wording import FluentWording

        links = OpenerLinks(self.settings.routes, FluentWording(self.settings.default_locale))
        return links(opener, channel, brand=brand, locale=locale)


class PlanningApp(InvitingApp):
    """Build what planning needs."""

    def _plan(self, event: BusinessEvent) -> Planned:
        from ..usecases.plan_messages import plan_messages

        return plan_messages(
            event,
            store=self.store,
            publish=self.publish,
            clock=self.clock,
            settings=self.settings.policy,
            invite=self._invite,
        )
