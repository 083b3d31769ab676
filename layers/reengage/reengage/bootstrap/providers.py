"""The adapter of each provider for each channel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from ..domain import routes

if TYPE_CHECKING:
    from ..ports import ProviderChannel
    from .sending import SendingApp

SMS_VOICE: Final = "pinpoint-sms-voice-v2"


def _eventbridge(app: SendingApp) -> ProviderChannel:
    from ..adapters.channels.eventbridge import EventBridgeChannel
    from ..adapters.eventbridge import EventBus

    return EventBridgeChannel(EventBus(app.sending("events"), app.settings.event_bus_name), app.clock)


def _aws_sms(app: SendingApp) -> ProviderChannel:
    from ..adapters.channels.aws import AwsSms

    settings = app.settings
    return AwsSms(app.sending(SMS_VOICE), settings.routes, app.clock, settings.sms_configuration_set)


def _aws_rcs(app: SendingApp) -> ProviderChannel:
    from ..adapters.channels.aws import AwsRcs

    settings = app.settings
    return AwsRcs(app.sending(SMS_VOICE), settings.routes, app.clock, settings.sms_configuration_set)


def _aws_whatsapp(app: SendingApp) -> ProviderChannel:
    from ..adapters.channels.aws import AwsWhatsApp

    settings = app.settings
    return AwsWhatsApp(app.sending("socialmessaging"), settings.routes, app.clock, settings.meta_api_version)


def _meta(app: SendingApp) -> ProviderChannel:
    from ..adapters.channels.meta import MetaChannel

    settings = app.settings
    return MetaChannel(
        app.http, app.provider_secrets.in_hand, settings.routes, app.clock, version=settings.meta_api_version
    )


def _twilio(app: SendingApp) -> ProviderChannel:
    from ..adapters.channels.twilio import TwilioChannel

    settings = app.settings
    return TwilioChannel(app.http, app.provider_secrets.in_hand, settings.routes, app.clock, settings.webhook_url)


def _webhook(app: SendingApp) -> ProviderChannel:
    from ..adapters.channels.webhook import WebhookChannel

    return WebhookChannel(app.http, app.provider_secrets.in_hand, app.settings.routes, app.clock)


PROVIDERS: Final[Mapping[tuple[str, str], Callable[[SendingApp], ProviderChannel]]] = {
    ("aws", "sms"): _aws_sms,
    ("aws", "rcs"): _aws_rcs,
    ("aws", "whatsapp"): _aws_whatsapp,
    ("meta", "whatsapp"): _meta,
    ("twilio", "sms"): _twilio,
    ("twilio", "whatsapp"): _twilio,
    **{("webhook", channel): _webhook for channel in routes.PROVIDERS["webhook"]},
    **{("eventbridge", channel): _eventbridge for channel in routes.PROVIDERS["eventbridge"]},
}
"""How each provider of ``routes.PROVIDERS`` is made for a channel."""
