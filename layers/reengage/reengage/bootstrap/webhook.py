"""The function that providers call."""

from __future__ import annotations

from functools import cache, cached_property
from typing import Any

from ..observability import count_refused_webhook
from ..settings import WebhookSettings
from .adapters import EventAdapters, ProviderKeys, read_tolerantly


class WebhookApp(ProviderKeys, EventAdapters):
    """Build what a provider's call needs."""

    @cached_property
    def settings(self) -> WebhookSettings:
        """Use the rows of ``Routes`` that are right: not every provider retries a STOP."""
        return read_tolerantly(WebhookSettings)

    def webhook(self, event: Any) -> dict[str, Any]:
        """Answer a provider's call. Its content is on the bus by then; if that fails, the provider calls again."""
        from ..adapters.inbound.webhook import handle_call

        settings = self.settings
        return handle_call(
            event,
            secrets=self.provider_secrets(),
            routes=settings.routes,
            arrived_at=self.clock(),
            public_url=settings.public_webhook_url,
            proxy_header=settings.webhook_proxy_secret_header,
            count_refused=self.count_refused,
            relay=self.relay,
        )

    def count_refused(self, endpoint: str, status: int) -> None:
        """Log and count a call that the endpoint refused."""
        count_refused_webhook(endpoint, status)

    def notified(self, event: Any) -> dict[str, Any]:
        """Handle a notification of AWS End User Messaging."""
        from ..adapters.inbound.aws import handle_sns

        return handle_sns(event, routes=self.settings.routes, arrived_at=self.clock(), relay=self.relay)


@cache
def app() -> WebhookApp:
    return WebhookApp()
