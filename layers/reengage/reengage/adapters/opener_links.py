"""What a person needs to open the conversation: the text with the code, and a link that writes it to the business."""

from dataclasses import dataclass
from typing import Final

from reengage.adapters.wording import FluentWording
from reengage.domain.brand import Brand
from reengage.domain.openers import Invitation, Opener, link_to, link_to_agent, shown
from reengage.domain.routes import Routes

CHANNELS: Final = ("whatsapp", "sms")
"""The channels that a link to a number opens, the cheaper one first: WhatsApp is free for the next 24 hours."""


@dataclass(frozen=True, slots=True)
class OpenerLinks:
    """``routes`` and the brand's ``numbers`` name the number of each channel; ``routes`` name the RCS agent."""

    routes: Routes
    wording: FluentWording

    def __call__(self, opener: Opener, channel: str | None, *, brand: Brand | None, locale: str | None) -> Invitation:
        """Return the invitation. The link opens ``channel``; if that has no number, another one of the brand."""
        text = self.wording.opener(
            opener.brand, opener.subject.kind, shown(opener.token), locale, brand.locale if brand else None
        )
        return Invitation(text, self._link(opener.brand, channel, brand, text), opener.expires_at)

    def _link(self, brand_id: str, channel: str | None, brand: Brand | None, text: str) -> str | None:
        if channel == "rcs" and (agent := self.routes.agent_of(brand_id)):
            return link_to_agent(agent, self._number(brand_id, "sms", brand), text)
        wanted = [each for each in (channel, *CHANNELS) if each in CHANNELS]
        numbers = ((each, self._number(brand_id, each, brand)) for each in wanted)
        return next((link_to(each, number, text) for each, number in numbers if number), None)

    def _number(self, brand_id: str, channel: str, brand: Brand | None) -> str | None:
        own = (brand.numbers or {}).get(channel) if brand else None
        return own or self.routes.number_of(brand_id, channel)
