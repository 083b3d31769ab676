"""What a person needs to open the conversation: the text with the code, and a link that writes it to the business."""

from dataclasses import dataclass
from typing import Final

from reengage.adapters.wording import FluentWording
from reengage.domain.brand import Brand
from reengage.domain.openers import Invitation, Opener, link_to, shown
from reengage.domain.routes import Routes

CHANNELS: Final = ("whatsapp", "sms")
"""The channels that a link can open, the cheaper one first: the next 24 hours on WhatsApp are free of charge."""


@dataclass(frozen=True, slots=True)
class OpenerLinks:
    """``routes`` and the brand's ``numbers`` name the number of each channel."""

    routes: Routes
    wording: FluentWording

    def __call__(self, opener: Opener, channel: str | None, *, brand: Brand | None, locale: str | None) -> Invitation:
        """Return the invitation. The link opens ``channel``; if that has no number, another one of the brand."""
        text = self.wording.opener(
            opener.brand, opener.subject.kind, shown(opener.token), locale, brand.locale if brand else None
        )
        wanted = [each for each in (channel, *CHANNELS) if each in CHANNELS]
        numbers = ((each, self._number(opener.brand, each, brand)) for each in wanted)
        link = next((link_to(each, number, text) for each, number in numbers if number), None)
        return Invitation(text, link, opener.expires_at)

    def _number(self, brand_id: str, channel: str, brand: Brand | None) -> str | None:
        own = (brand.numbers or {}).get(channel) if brand else None
        return own or self.routes.number_of(brand_id, channel)
