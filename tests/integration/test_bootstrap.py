"""The composition root: adapters are built when they are first asked for, once, and with the right patience."""

import hmac
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from time import sleep
from typing import Any, Final

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError

from reengage.adapters.channels.aws import AwsRcs, AwsSms, AwsWhatsApp
from reengage.adapters.channels.meta import MetaChannel
from reengage.adapters.channels.twilio import TwilioChannel
from reengage.adapters.channels.webhook import WebhookChannel
from reengage.adapters.eventbridge import EventBridgeChannel
from reengage.bootstrap import CLAIM_GRACE_PERIOD, PROVIDERS, App, app
from reengage.domain import routes
from reengage.domain.contact import CHANNELS, Contact
from reengage.domain.message import ScheduledMessage
from reengage.domain.policy import Action, Decision, PolicySettings
from reengage.domain.subject import SubjectRef
from reengage.errors import ConfigurationError
from reengage.ports import OutboundMessage, Retryable, Unknown, Wording
from tests.integration.channels.wire import certified

NEEDS: Final[dict[str, tuple[Callable[[App], Any], str]]] = {
    "store": (lambda app: app.store, "TABLE_NAME"),
    "publish": (lambda app: app.publish, "EVENT_BUS_NAME"),
    "channel": (lambda app: app.channel, "ROUTES"),
    "keep_rejected": (lambda app: app.keep_rejected, "REJECTED_EVENTS_QUEUE_URL"),
    "preferences_key": (lambda app: app.settings.preferences_key_secret, "PREFERENCES_KEY_SECRET"),
    "default_locale": (lambda app: app.settings.default_locale, "DEFAULT_LOCALE"),
    "provider_secrets": (lambda app: app.provider_secrets, "PROVIDER_SECRETS"),
}
VALUES: Final = {
    "ROUTES": "acme-dental/sms/aws/+12025550100,acme-dental/rcs/aws/rcs-0123456789abcdef,"
    "acme-dental/whatsapp/aws/phone-number-id-01234567890123456789012345678901",
    "META_API_VERSION": "v20.0",
    "SMS_CONFIGURATION_SET": "receipts",
    "WEBHOOK_URL": "https://abcdef.lambda-url.example/",
    "EVENTS_OUT": "all",
}
"""What the providers need, and where not any text will do."""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in {variable for _, variable in NEEDS.values()} | set(VALUES):
        monkeypatch.setenv(name, VALUES.get(name, "30"))


@pytest.mark.parametrize("adapter", NEEDS)
def test_each_adapter_names_its_missing_variable(adapter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    build, variable = NEEDS[adapter]
    monkeypatch.delenv(variable)
    built = App()
    with pytest.raises(ConfigurationError, match=f"the environment variable {variable} is not set"):
        build(built)
    for other, (build_other, its_variable) in NEEDS.items():
        if its_variable != variable:
            assert build_other(built) is not None, other


def test_nothing_is_built_before_it_is_used() -> None:
    assert vars(App()) == {}


@pytest.mark.parametrize("adapter", ["settings", "store", "publish", "channel", "keep_rejected", "provider_secrets"])
def test_an_adapter_is_built_once(adapter: str) -> None:
    built = App()
    assert getattr(built, adapter) is getattr(built, adapter)


def test_there_is_one_app() -> None:
    assert app() is app()


def test_now_is_in_utc_and_ids_are_fresh() -> None:
    assert App().clock().tzname() == "UTC"
    assert App().new_id() != App().new_id()


def test_the_threads_of_a_run_read_the_key_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each made a client of its own at the same moment, which botocore's session does not bear."""
    made: list[str] = []

    class Secrets:
        def get_secret_value(self, **_name: str) -> dict[str, str]:
            return {"SecretString": "a-key"}

    def client(_app: App, service: str) -> Secrets:
        made.append(service)
        sleep(0.05)  # as long as the others need to come as far
        return Secrets()

    monkeypatch.setattr(App, "_client", client)
    built = App()
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: built.preferences_key(), range(8)))
    assert keys == ["a-key"] * 8
    assert made == ["secretsmanager"]


# The providers

KINDS: Final[dict[str, Any]] = {
    "aws": (AwsSms, AwsRcs, AwsWhatsApp),
    "meta": MetaChannel,
    "twilio": TwilioChannel,
    "webhook": WebhookChannel,
    "eventbridge": EventBridgeChannel,
}
PROVIDERS_NEED: Final[dict[tuple[str, str], set[str]]] = {
    ("aws", "sms"): {"ROUTES", "SMS_CONFIGURATION_SET"},
    ("aws", "rcs"): {"ROUTES", "SMS_CONFIGURATION_SET"},
    ("aws", "whatsapp"): {"ROUTES", "META_API_VERSION"},
    ("meta", "whatsapp"): {"ROUTES", "META_API_VERSION", "PROVIDER_SECRETS"},
    ("twilio", "sms"): {"ROUTES", "WEBHOOK_URL", "PROVIDER_SECRETS"},
    ("twilio", "whatsapp"): {"ROUTES", "WEBHOOK_URL", "PROVIDER_SECRETS"},
    **{("webhook", channel): {"ROUTES", "PROVIDER_SECRETS"} for channel in CHANNELS},
    **{("eventbridge", channel): {"EVENT_BUS_NAME"} for channel in CHANNELS},
}
SERVED: Final = [(provider, channel) for provider, channels in routes.PROVIDERS.items() for channel in sorted(channels)]


def test_what_a_route_may_name_can_be_made_and_nothing_else() -> None:
    assert set(PROVIDERS) == set(SERVED)


@pytest.mark.parametrize(("provider", "channel"), SERVED)
def test_each_provider_uses_only_its_own_variables(
    provider: str, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = PROVIDERS_NEED[provider, channel]
    for variable in {each for others in PROVIDERS_NEED.values() for each in others} - needed:
        monkeypatch.delenv(variable)
    assert isinstance(App()._provider(provider, channel), KINDS[provider])
    for variable in needed:
        with monkeypatch.context() as without:
            without.delenv(variable)
            with pytest.raises(ConfigurationError, match=f"^the environment variable {variable} is not set$"):
                App()._provider(provider, channel)


@pytest.mark.parametrize(("channel", "kind"), [("sms", AwsSms), ("rcs", AwsRcs), ("whatsapp", AwsWhatsApp)])
def test_aws_has_an_adapter_for_each_channel(channel: str, kind: type) -> None:
    assert isinstance(App()._provider("aws", channel), kind)


def test_every_channel_leads_to_the_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A channel that is registered, but not routed, would be a ``KeyError`` after the claim."""
    requests: list[tuple[str, str]] = []

    def provider_of(_app: App, provider: str, channel: str) -> Silent:
        requests.append((provider, channel))
        return Silent()

    built = App()
    monkeypatch.setenv("ROUTES", "acme-dental/sms/webhook/https://acme.example/out")
    monkeypatch.setattr(App, "_provider", provider_of)
    for channel in CHANNELS:
        built.channel.send(outbound(channel))
    assert requests == [("webhook" if channel == "sms" else "eventbridge", channel) for channel in CHANNELS]


def test_no_provider_is_made_before_a_message_needs_it() -> None:
    built = App()
    assert built.channel is built.channel
    assert built._providers == {}


def test_threads_that_need_a_provider_at_once_share_one(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def make(_app: App) -> Silent:
        made.append("one")
        sleep(0.05)  # as long as the others need to come as far
        return Silent()

    monkeypatch.setattr("reengage.bootstrap.PROVIDERS", {("aws", "sms"): make})
    built = App()
    with ThreadPoolExecutor(8) as pool:
        adapters = list(pool.map(lambda _: built._provider("aws", "sms"), range(8)))
    assert made == ["one"]
    assert len(set(map(id, adapters))) == 1


BY_BOTOCORE: Final = [(provider, channel) for provider, channel in SERVED if provider in {"aws", "eventbridge"}]


@pytest.mark.parametrize(("provider", "channel"), BY_BOTOCORE)
@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_send_is_one_request_whatever_is_answered(provider: str, channel: str, status: int) -> None:
    """The SDK tries again by itself where it is let: after a lost answer the person would be written to twice."""
    built, service = App(), Service(status)
    service.answers(built)
    outcome = built._provider(provider, channel).send(outbound(channel))
    assert isinstance(outcome, Retryable if status == 429 else Unknown)
    assert len(service.requests) == 1


def test_what_is_not_a_send_may_be_tried_again() -> None:
    """So the test above shows what ``sending`` does, and not what the SDK does anyway."""
    built, service = App(), Service(500)
    service.answers(built)
    client = built._client("secretsmanager", total_max_attempts=2)
    with pytest.raises(ClientError):
        client.get_secret_value(SecretId="none")
    assert len(service.requests) == 2


@dataclass(slots=True)
class Service:
    """Replace the SDK's connection, and answer each request with that status."""

    status: int
    requests: list[str] = field(default_factory=list)

    def answers(self, built: App) -> None:
        session: Any = built._aws.session
        session.register("before-send", self.answer)

    def answer(self, request: Any, **_: Any) -> AWSResponse:
        self.requests.append(request.url)
        headers: Any = {}
        return AWSResponse(request.url, self.status, headers, self)

    def stream(self, *_: Any, **__: Any) -> list[bytes]:
        """The answer's body."""
        return [b"{}"]


class Silent:
    """A channel of which nothing is wanted."""

    def send(self, _outbound: OutboundMessage) -> Unknown:
        return Unknown("")


def outbound(channel: str) -> OutboundMessage:
    """A reminder for in two hours, by the clock of the machine."""
    now = App().clock()
    later = now + timedelta(hours=2)
    message = ScheduledMessage(
        contact=Contact("acme-dental", channel, "+447700900187"),
        reason="appointment_reminder",
        subject=SubjectRef("acme-dental", "appointment", "A-1"),
        offset="PT2H",
        anchor_at=later,
        due_at=now,
        valid_until=later,
        version=1,
    )
    wording = Wording("See you at 14:00", "en", "appointment_reminder", ("Acme Dental", "14:00"))
    return OutboundMessage(message, wording, {}, Decision(Action.SEND, None, {}), later, later, later)


def test_provider_is_built_once_before_the_first_send(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTES", "")
    monkeypatch.setenv("EVENT_BUS_NAME", "reengage")
    built, contact = App(), Contact("acme-dental", "sms", "+12025550101")
    built.channel.prepare(contact)
    ready = dict(built._providers)
    assert list(ready) == [("eventbridge", "sms")]
    built.channel.prepare(contact)
    assert built._providers == ready


def test_preparation_failure_is_raised_before_the_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gate's answer went stale while the keys were waited for once more, and the call began six seconds late."""
    monkeypatch.setenv("ROUTES", "acme-dental/sms/twilio/+12025550100")
    monkeypatch.delenv("WEBHOOK_URL", raising=False)
    blocked_by = App().channel.prepare(Contact("acme-dental", "sms", "+12025550101"))
    error_text = "twilio cannot be made ready: the environment variable WEBHOOK_URL is not set"
    assert blocked_by == Retryable(error_text)


@pytest.mark.parametrize(("public", "status"), [("https://hooks.acme.example/", 200), ("", 403)])
def test_providers_may_call_by_way_of_a_proxy(monkeypatch: pytest.MonkeyPatch, public: str, status: int) -> None:
    """Twilio signs the configured URL, but the function receives its own behind a proxy."""
    monkeypatch.setenv("PUBLIC_WEBHOOK_URL", public)
    monkeypatch.setenv("WEBHOOK_PROXY_SECRET_HEADER", "")
    built = App()
    built.__dict__["provider_secrets"] = lambda: {"twilio_auth_token": "12345"}
    signed = b"https://hooks.acme.example/twilio/statusMessageStatussent"
    event = {
        "rawPath": "/twilio/status",
        "requestContext": {"http": {"method": "POST"}, "domainName": "abc.lambda-url.eu-central-1.on.aws"},
        "headers": {
            "content-type": "application/x-www-form-urlencoded",
            "x-twilio-signature": b64encode(hmac.digest(b"12345", signed, "sha1")).decode(),
        },
        "body": "MessageStatus=sent",
    }
    assert built.webhook(event)["statusCode"] == status


def test_every_send_trusts_the_configured_ca_bundle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Behind a company's proxy all other calls of AWS went through, and no message did."""
    certified(tmp_path)
    known = App().http.context.cert_store_stats()["x509"]
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "certificate.pem"))
    assert App().http.context.cert_store_stats()["x509"] == known + 1


@pytest.mark.parametrize("provider", ["meta", "twilio", "webhook"])
def test_a_send_reads_no_keys(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTES", f"acme-dental/whatsapp/{provider}/https://acme.example")
    built, service = App(), Service(500)
    service.answers(built)
    outcome = built._provider(provider, "whatsapp").send(outbound("whatsapp"))
    assert outcome == Retryable("the secrets cannot be read: ConfigurationError")
    assert service.requests == []


def test_a_claim_outlasts_its_run_by_the_grace_period(monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim that ends with its run would be reported as unconfirmed while the run still settles it."""
    for name, value in {"OPT_OUT_SCOPE": "brand", "MESSAGES_PER_SECOND": "", "EVENTS_OUT": "all"}.items():
        monkeypatch.setenv(name, value)
    time_left = timedelta(seconds=60)
    sender = App()._sender("updates", PolicySettings(), time_left)
    assert sender.claim_ttl == time_left + timedelta(seconds=60)
    assert timedelta(seconds=60) == CLAIM_GRACE_PERIOD
