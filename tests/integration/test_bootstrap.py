"""The composition root: adapters are built when they are first needed, once, and with the right timeouts."""

import hmac
import os
from base64 import b64encode
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
from reengage.adapters.channels.connections import KeptConnections
from reengage.adapters.channels.eventbridge import EventBridgeChannel
from reengage.adapters.channels.http import Http, HttpResponse
from reengage.adapters.channels.meta import MetaChannel
from reengage.adapters.channels.twilio import TwilioChannel
from reengage.adapters.channels.webhook import WebhookChannel
from reengage.bootstrap.adapters import CONNECTIONS, Adapters
from reengage.bootstrap.explain import ExplainApp
from reengage.bootstrap.ingest import IngestApp
from reengage.bootstrap.opt_outs import OptOutApp
from reengage.bootstrap.plan import PlanApp
from reengage.bootstrap.providers import PROVIDERS
from reengage.bootstrap.record import RecordApp
from reengage.bootstrap.sending import CLAIM_GRACE_PERIOD, SendingApp, app
from reengage.bootstrap.webhook import WebhookApp
from reengage.domain import routes
from reengage.domain.contact import CHANNELS, Contact
from reengage.domain.message import ScheduledMessage
from reengage.domain.policy import Action, Decision
from reengage.domain.subject import SubjectRef
from reengage.errors import ConfigurationError
from reengage.ports import OutboundMessage, Retryable, Unknown, Wording
from reengage.usecases.send_due_messages import WORKERS
from tests.integration.channels.wire import certified
from tests.template_resources import environment

APPS: Final[dict[str, type[Adapters]]] = {
    "ExplainFunction": ExplainApp,
    "IngestMessageFunction": IngestApp,
    "PlanMessagesFunction": PlanApp,
    "RecordDeliveryFunction": RecordApp,
    "SendUpdatesFunction": SendingApp,
    "WebhookFunction": WebhookApp,
}
RESOURCES: Final = {
    "Table": "reengage-table",
    "EventBus": "reengage",
    "RejectedEventsQueue": "https://sqs.example/rejected",
    "PreferencesKey": "preferences-key",
    "ProviderSecrets": "provider-secrets",
    "WebhookFunctionUrl": "https://abcdef.lambda-url.example/",
    "Routes": "acme-dental/sms/aws/+12025550100,acme-dental/rcs/aws/rcs-0123456789abcdef,"
    "acme-dental/whatsapp/aws/phone-number-id-01234567890123456789012345678901",
    "SmsConfigurationSet": "receipts",
}
ADAPTERS: Final = (*("store", "publish", "channel", "keep_rejected", "provider_secrets", "render"),)


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the variables of the function that has most, and those of the webhook function."""
    for function in ("IngestMessageFunction", "WebhookFunction"):
        for name, value in environment(function, RESOURCES).items():
            monkeypatch.setenv(name, value)


@pytest.mark.parametrize("function", APPS)
def test_each_app_needs_exactly_the_variables_of_its_function(function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    variables = environment(function, RESOURCES)
    monkeypatch.setattr(os, "environ", given | variables)
    built = APPS[function]()
    assert all(getattr(built, adapter) is not None for adapter in ADAPTERS if hasattr(type(built), adapter))


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_no_adapter_is_built_with_a_wrong_setting(adapter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that is wrong for one message must fail before the first is claimed."""
    monkeypatch.setenv("DEFAULT_TIMEZONE", "Mars/Olympus")
    with pytest.raises(ConfigurationError, match='DefaultTimezone is "Mars/Olympus"'):
        getattr(IngestApp(), adapter)


def test_nothing_is_built_before_it_is_used() -> None:
    for kind in (*APPS.values(), OptOutApp):
        assert vars(kind()) == {}


@pytest.mark.parametrize("adapter", ["settings", *ADAPTERS])
def test_an_adapter_is_built_once(adapter: str) -> None:
    built = IngestApp()
    assert getattr(built, adapter) is getattr(built, adapter)


def test_there_is_one_app() -> None:
    assert app() is app()


def test_now_is_in_utc_and_ids_are_fresh() -> None:
    assert SendingApp().clock().tzname() == "UTC"
    assert SendingApp().new_id() != SendingApp().new_id()


def test_the_threads_of_a_run_read_the_key_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thread built a client at the same moment, which botocore's session does not allow."""
    made: list[str] = []

    class Secrets:
        def get_secret_value(self, **_name: str) -> dict[str, str]:
            return {"SecretString": "a-key"}

    def client(_app: SendingApp, service: str) -> Secrets:
        made.append(service)
        sleep(0.05)  # as long as the others need to come as far
        return Secrets()

    monkeypatch.setattr(SendingApp, "_lean", client)
    built = SendingApp()
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
SERVED: Final = [(provider, channel) for provider, channels in routes.PROVIDERS.items() for channel in sorted(channels)]


def test_what_a_route_may_name_can_be_made_and_nothing_else() -> None:
    assert set(PROVIDERS) == set(SERVED)


@pytest.mark.parametrize(("provider", "channel"), SERVED)
def test_each_provider_has_its_adapter(provider: str, channel: str) -> None:
    assert isinstance(SendingApp()._provider(provider, channel), KINDS[provider])


@pytest.mark.parametrize(("channel", "kind"), [("sms", AwsSms), ("rcs", AwsRcs), ("whatsapp", AwsWhatsApp)])
def test_aws_has_an_adapter_for_each_channel(channel: str, kind: type) -> None:
    assert isinstance(SendingApp()._provider("aws", channel), kind)


def test_every_channel_leads_to_the_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A channel that is registered, but not routed, would be a ``KeyError`` after the claim."""
    requests: list[tuple[str, str]] = []

    def provider_of(_app: SendingApp, provider: str, channel: str) -> Silent:
        requests.append((provider, channel))
        return Silent()

    built = SendingApp()
    monkeypatch.setenv("ROUTES", "acme-dental/sms/webhook/https://acme.example/out")
    monkeypatch.setattr(SendingApp, "_provider", provider_of)
    for channel in CHANNELS:
        built.channel.send(outbound(channel))
    assert requests == [("webhook" if channel == "sms" else "eventbridge", channel) for channel in CHANNELS]


def test_no_provider_is_made_before_a_message_needs_it() -> None:
    built = SendingApp()
    assert built.channel is built.channel
    assert built._providers == {}


def test_threads_that_need_a_provider_at_once_share_one(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def make(_app: SendingApp) -> Silent:
        made.append("one")
        sleep(0.05)  # as long as the others need to come as far
        return Silent()

    monkeypatch.setattr("reengage.bootstrap.providers.PROVIDERS", {("aws", "sms"): make})
    built = SendingApp()
    with ThreadPoolExecutor(8) as pool:
        adapters = list(pool.map(lambda _: built._provider("aws", "sms"), range(8)))
    assert made == ["one"]
    assert len(set(map(id, adapters))) == 1


OF_AWS: Final = [(provider, channel) for provider, channel in SERVED if provider in {"aws", "eventbridge"}]


@pytest.mark.parametrize(("provider", "channel"), OF_AWS)
@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("account", ["", "111122223333"], ids=["lean", "botocore"])
def test_a_send_is_one_request_whatever_is_answered(
    provider: str, channel: str, status: int, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client retries by itself by default: after a lost response the person would get the message twice."""
    requests = []

    def post(_http: Http, url: str, *_: Any, **__: Any) -> HttpResponse:
        requests.append(url)
        return HttpResponse(status, {}, b"{}")

    monkeypatch.setattr(Http, "post", post)
    monkeypatch.setenv("AWS_ACCOUNT_ID", account)  # one of the variables that only botocore's client reads
    outcome = SendingApp()._provider(provider, channel).send(outbound(channel))
    assert isinstance(outcome, Retryable if status == 429 else Unknown)
    assert len(requests) == 1


def test_what_is_not_a_send_may_be_tried_again() -> None:
    """This shows that the test above proves what ``sending`` does, not what the SDK does anyway."""
    built, service = SendingApp(), Service(500)
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

    def answers(self, built: SendingApp) -> None:
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
    """A channel that is never used."""

    def send(self, _outbound: OutboundMessage) -> Unknown:
        return Unknown("")


def outbound(channel: str) -> OutboundMessage:
    """A reminder for an appointment in two hours, by the machine's clock."""
    now = SendingApp().clock()
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
    built, contact = SendingApp(), Contact("acme-dental", "sms", "+12025550101")
    built.channel.prepare(contact)
    ready = dict(built._providers)
    assert list(ready) == [("eventbridge", "sms")]
    built.channel.prepare(contact)
    assert built._providers == ready


def test_preparation_failure_is_raised_before_the_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each snapshot expired while the keys were read again, and the call began six seconds late."""
    monkeypatch.setenv("ROUTES", "acme-dental/sms/twilio/+12025550100")
    monkeypatch.setattr(SendingApp, "_lean", SendingApp._client)  # the service below replaces botocore's connection
    built, service = SendingApp(), Service(500)
    service.answers(built)
    blocked_by = built.channel.prepare(Contact("acme-dental", "sms", "+12025550101"))
    assert blocked_by
    assert blocked_by.error.startswith("twilio cannot be made ready: the providers' secret")


@pytest.mark.parametrize(("public", "status"), [("https://hooks.acme.example/", 200), ("", 403)])
def test_providers_may_call_by_way_of_a_proxy(monkeypatch: pytest.MonkeyPatch, public: str, status: int) -> None:
    """Twilio signs the configured URL, but the function receives its own behind a proxy."""
    monkeypatch.setenv("PUBLIC_WEBHOOK_URL", public)
    monkeypatch.setenv("WEBHOOK_PROXY_SECRET_HEADER", "")
    built = WebhookApp()
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
    """Behind a company's proxy all other calls of AWS worked, but no message was sent."""
    certified(tmp_path)
    known = SendingApp().http.context.cert_store_stats()["x509"]
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "certificate.pem"))
    assert SendingApp().http.context.cert_store_stats()["x509"] == known + 1
    assert SendingApp().sending("events").connections.http.context.cert_store_stats()["x509"] == 1


@pytest.mark.parametrize("provider", ["meta", "twilio", "webhook"])
def test_a_send_reads_no_keys(provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTES", f"acme-dental/whatsapp/{provider}/https://acme.example")
    built, service = SendingApp(), Service(500)
    service.answers(built)
    outcome = built._provider(provider, "whatsapp").send(outbound("whatsapp"))
    assert outcome == Retryable("the secrets cannot be read: ConfigurationError")
    assert service.requests == []


def test_the_end_of_a_run_closes_its_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lambda freezes the function then: a connection that dies meanwhile makes the next outcome unknown."""
    built, closed = SendingApp(), list[KeptConnections]()

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("the run failed")

    def close(kept: KeptConnections) -> None:
        closed.append(kept)

    monkeypatch.setattr(KeptConnections, "close", close)
    monkeypatch.setattr("reengage.usecases.send_due_messages.send_due_messages", fail)
    with pytest.raises(RuntimeError, match="the run failed"):
        built.send_due("appointments", milliseconds=1000)
    assert closed == [built._kept]


def test_each_worker_of_a_run_has_a_connection() -> None:
    """Another worker would open a connection for each of its requests."""
    assert CONNECTIONS == WORKERS


def test_a_claim_outlasts_its_run_by_the_grace_period() -> None:
    """If a claim ended with its run, the message would be reported as unconfirmed while the run still settles it."""
    time_left = timedelta(seconds=60)
    sender = SendingApp()._sender("updates", time_left)
    assert sender.claim_ttl == time_left + timedelta(seconds=60)
    assert timedelta(seconds=60) == CLAIM_GRACE_PERIOD
