"""Each message is sent by the provider of its brand's route."""

from dataclasses import dataclass, field
from typing import Final

import pytest
from botocore.exceptions import UnknownServiceError

from reengage.adapters.channels.routed import RoutedChannel
from reengage.domain.routes import Route, Routes
from reengage.errors import ConfigurationError
from reengage.ports import Accepted, OptedOut, OutboundMessage, Outcome, ProviderChannel, Refused, Retryable, Unknown
from tests.unit.adapters.channels.test_aws import outbound

ROUTES: Final = Routes(
    [
        Route("acme-dental", "sms", "aws", "+12025550100"),
        Route("acme-dental", "whatsapp", "twilio", "+12025550101"),
        Route("other-brand", "sms", "twilio", "+12025550199"),
    ]
)


@dataclass(slots=True)
class Provider:
    outcome: Outcome
    handed: list[OutboundMessage] = field(default_factory=list)

    def send(self, outbound: OutboundMessage) -> Outcome:
        self.handed.append(outbound)
        return self.outcome


@dataclass(slots=True)
class Providers:
    """Return an adapter, and record which one was requested."""

    outcome: Outcome = field(default_factory=lambda: Accepted("some", "m-1"))
    made: dict[tuple[str, str], Provider] = field(default_factory=dict)

    def __call__(self, provider: str, channel: str) -> ProviderChannel:
        return self.made.setdefault((provider, channel), Provider(self.outcome))


@pytest.mark.parametrize(
    ("brand", "channel", "provider"),
    [
        ("acme-dental", "sms", "aws"),
        ("acme-dental", "whatsapp", "twilio"),
        ("other-brand", "sms", "twilio"),
        ("acme-dental", "rcs", "eventbridge"),
        ("third-brand", "sms", "eventbridge"),
    ],
)
def test_a_message_goes_to_its_own_provider_and_to_no_other(brand: str, channel: str, provider: str) -> None:
    providers, sent = Providers(), outbound(channel, brand=brand)
    RoutedChannel(ROUTES, providers).send(sent)
    assert {made: adapter.handed for made, adapter in providers.made.items()} == {(provider, channel): [sent]}


def test_no_provider_is_built_before_the_first_message() -> None:
    providers = Providers()
    RoutedChannel(ROUTES, providers)
    assert providers.made == {}


@pytest.mark.parametrize(
    "outcome",
    [Accepted("aws", "m-1"), Refused("no"), OptedOut("stop"), Retryable("later"), Unknown("?")],
    ids=lambda outcome: type(outcome).__name__,
)
def test_what_the_provider_answers_is_the_answer(outcome: Outcome) -> None:
    assert RoutedChannel(ROUTES, Providers(outcome)).send(outbound()) is outcome


@pytest.mark.parametrize(
    "why",
    [
        ConfigurationError("the environment variable WEBHOOK_URL is not set"),
        UnknownServiceError(service_name="socialmessaging", known_service_names="s3"),
    ],
    ids=lambda why: type(why).__name__,
)
def test_prepare_returns_why_a_provider_cannot_be_built(why: Exception) -> None:
    """Raised by ``send``, it would make the message unconfirmed, although it was never sent."""

    def unmade(_provider: str, _channel: str) -> ProviderChannel:
        raise why

    assert isinstance(RoutedChannel(ROUTES, unmade).prepare(outbound().message.contact), Retryable)


def test_prepare_reads_the_keys_of_the_contacts_provider() -> None:
    read: list[str] = []
    assert RoutedChannel(ROUTES, Providers(), read.append).prepare(outbound().message.contact) is None
    assert read == ["aws"]


def test_prepare_returns_why_the_keys_cannot_be_read() -> None:
    def unreadable(_provider: str) -> None:
        raise ConfigurationError("no keys")

    blocked_by = RoutedChannel(ROUTES, Providers(), unreadable).prepare(outbound().message.contact)
    assert blocked_by == Retryable("aws cannot be made ready: no keys")
