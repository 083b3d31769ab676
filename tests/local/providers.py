"""Call the deployed app as providers do: over its real URL and its real topic, signed and unsigned.

    make e2e-providers

At the end the table has a message of each provider. Unsigned calls leave nothing.
"""

import base64
import hashlib
import hmac
import json
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import urllib3

from tests.local import emulator
from tests.local.emulator import Emulator

STACK: Final = "reengage-providers"
PATIENCE: Final = timedelta(minutes=3)
PHONE_NUMBER_ID: Final = "106540352242922"
OUR_NUMBER: Final = "+12025550100"
TWILIOS_NUMBER: Final = "+12025550199"
AGENT: Final = "acme_agent@rbm.goog"
ROUTES: Final = ",".join(
    (
        f"acme-dental/whatsapp/meta/{PHONE_NUMBER_ID}",
        f"acme-dental/sms/aws/pool-1|{OUR_NUMBER}",
        f"acme-optics/sms/twilio/{TWILIOS_NUMBER}",
        f"acme-garden/rcs/eventbridge/{AGENT}",
    )
)
KEYS: Final = {
    "meta_app_secret": "a key of the app",
    "meta_verify_token": "a token of ours",
    "twilio_account_sid": "AC00000000000000000000000000000000",
    "twilio_auth_token": "a token of the account",
    "rcs_client_token": "a token of the agent",
    "webhook_proxy_secret": "a secret of the proxy",
}
PROXY_HEADER: Final = "x-proxy-secret"
PUBLIC: Final = "https://hooks.acme.example/"
"""The URL that Twilio calls, and signs, as if a proxy were in front."""

WRITES_ON_WHATSAPP: Final = "447700900142"
WRITES_BY_SMS: Final = "+12025550142"
WRITES_BY_TWILIO: Final = "+12025550143"
STOPS_BY_TWILIO: Final = "+12025550144"
WRITES_BY_RCS: Final = "+14155550145"


class WebhookEndpoints:
    """Return the function's URL as a provider calls it: the emulator distinguishes functions by host name."""

    def __init__(self, aws: Emulator, url: str) -> None:
        self._at, self._host = aws.endpoint_url, urlsplit(url).netloc
        self._http = urllib3.PoolManager(retries=False, timeout=60)

    def call(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        answer = self._http.request(
            method,
            f"{self._at}/{path}",
            body=body,
            headers={"Host": self._host, PROXY_HEADER: KEYS["webhook_proxy_secret"], **(headers or {})},
        )
        return answer.status, answer.data.decode()


def main() -> int:
    """Return the exit code."""
    wrong: list[str] = []
    with emulator.running() as aws:
        outputs = emulator.deploy(
            aws, STACK, {"Routes": ROUTES, "PublicWebhookUrl": PUBLIC, "WebhookProxySecretHeader": PROXY_HEADER}
        )
        made, endpoint = aws.session.client, aws.endpoint_url
        dynamodb, sns = made("dynamodb", endpoint_url=endpoint), made("sns", endpoint_url=endpoint)
        functions = made("lambda", endpoint_url=endpoint)
        secrets = made("secretsmanager", endpoint_url=endpoint)
        secrets.put_secret_value(SecretId=outputs["ProviderSecretsArn"], SecretString=json.dumps(KEYS))
        webhook = WebhookEndpoints(aws, function_url(functions, outputs["WebhookFunctionArn"]))

        def expect(what: str, found: object, wanted: object) -> None:
            print(f"{'as it must be' if found == wanted else 'WRONG':<14} {what}: {found}")
            if found != wanted:
                wrong.append(f"{what}: {found}, and not {wanted}")

        expect("what providers are given", outputs["WebhookUrl"], PUBLIC)
        handshake = {
            "hub.mode": "subscribe",
            "hub.challenge": "1158201444",
            "hub.verify_token": KEYS["meta_verify_token"],
        }
        expect("Meta's handshake", webhook.call("GET", f"meta?{urlencode(handshake)}"), (200, "1158201444"))
        message = from_meta()
        expect("unsigned", webhook.call("POST", "meta", message, {"Content-Type": "application/json"})[0], 403)
        direct = signed(message) | {PROXY_HEADER: ""}
        expect("signed, but around the proxy", webhook.call("POST", "meta", message, direct)[0], 403)
        expect("elsewhere", webhook.call("POST", "nowhere", message, {"Content-Type": "application/json"})[0], 404)
        expect("Meta's message", webhook.call("POST", "meta", message, signed(message))[0], 200)
        for number, more in ((WRITES_BY_TWILIO, {}), (STOPS_BY_TWILIO, {"Body": "basta", "OptOutType": "STOP"})):
            form, headers = from_twilio(number, more)
            expect(
                f"Twilio's message{' of a STOP' if more else ''}", webhook.call("POST", "twilio", form, headers)[0], 200
            )
        expect("Google's set-up", webhook.call("POST", "rcs", set_up(), JSON), (200, "1234567890"))
        google, headers = from_google()
        expect("Google's message", webhook.call("POST", "rcs", google, headers)[0], 200)
        for notification in (from_aws(), receipt_from_aws(), NO_JSON):
            sns.publish(TopicArn=outputs["ProviderEventsTopicArn"], Message=notification)

        def kept() -> set[str]:
            items = dynamodb.scan(TableName=outputs["TableName"])["Items"]
            return {item["pk"]["S"] for item in items if item["sk"]["S"] == "CONVERSATION"}

        wanted = {
            f"CONTACT#acme-dental#whatsapp#+{WRITES_ON_WHATSAPP}",
            f"CONTACT#acme-dental#sms#{WRITES_BY_SMS}",
            f"CONTACT#acme-optics#sms#{WRITES_BY_TWILIO}",
            f"CONTACT#acme-optics#sms#{STOPS_BY_TWILIO}",
            f"CONTACT#acme-garden#rcs#{WRITES_BY_RCS}",
        }
        until = time.monotonic() + PATIENCE.total_seconds()
        while not wanted <= kept() and time.monotonic() < until:
            time.sleep(1)
        expect("open conversations", kept(), wanted)
        out = [has_opted_out(functions, outputs["ExplainFunctionArn"], number) for number in TWILIOS]
        expect("opted out", out, [False, True])
        expect("kept of what AWS published", kept_of_aws(made("sqs", endpoint_url=endpoint), outputs), KEPT)
    print(*wrong, sep="\n", file=sys.stderr)
    return 1 if wrong else 0


JSON: Final = {"Content-Type": "application/json"}
TWILIOS: Final = (WRITES_BY_TWILIO, STOPS_BY_TWILIO)


def function_url(client: Any, arn: str) -> str:
    """Return the function's own URL, whatever URL providers call."""
    url: str = client.get_function_url_config(FunctionName=arn)["FunctionUrl"]
    return url


def has_opted_out(client: Any, arn: str, number: str) -> bool:
    """Return whether that person has opted out, by ``explain``."""
    question = {"contact": {"brand": "acme-optics", "channel": "sms", "address": number}}
    answer = json.loads(client.invoke(FunctionName=arn, Payload=json.dumps(question))["Payload"].read())
    opted_out: bool = answer["stands"]["opted_out"]
    return opted_out


def from_twilio(number: str, more: Mapping[str, str]) -> tuple[bytes, dict[str, str]]:
    """www.twilio.com/docs/messaging/guides/webhook-request, signed as in www.twilio.com/docs/usage/webhooks."""
    params = {
        "MessageSid": f"SM{number[1:]:0>32}",
        "From": number,
        "To": TWILIOS_NUMBER,
        "Body": "Is Friday free?",
        **more,
    }
    pairs = "".join(name + params[name] for name in sorted(params))
    signature = hmac.digest(KEYS["twilio_auth_token"].encode(), f"{PUBLIC}twilio{pairs}".encode(), hashlib.sha1)
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Twilio-Signature": base64.b64encode(signature).decode(),
    }
    return urlencode(params).encode(), headers


NO_JSON: Final = "You have subscribed."
"""A filter policy of SNS would drop it."""

UNKNOWN_MESSAGE: Final = "b8f88ac8-0ee4-5bbe-8401-8957ed73c20e"
KEPT: Final = {
    "DeliveryReported": ["$.detail.scheduled_message_id: this contact has no such message"],
    NO_JSON: ["$.Records[0].Sns: expected JSON"],
}
"""The errors of what AWS published: of a receipt by its detail-type, of another notification by its text."""


def kept_of_aws(client: Any, outputs: Mapping[str, str]) -> dict[str, list[str]]:
    """Return what is in the queue of rejected events; the receipt is there as an event, which no bus delivered."""
    until, found = time.monotonic() + PATIENCE.total_seconds(), dict[str, list[str]]()
    while found.keys() != KEPT.keys() and time.monotonic() < until:
        answer = client.receive_message(QueueUrl=outputs["RejectedEventsQueueUrl"], WaitTimeSeconds=1)
        for message in answer.get("Messages", ()):
            kept = json.loads(message["Body"])
            event = kept["event"]
            name = event.get("detail-type") or event["Records"][0]["Sns"]["Message"]
            found[name] = kept["errors"]
    return found


def receipt_from_aws() -> str:
    """docs.aws.amazon.com/sms-voice/latest/userguide/configuration-sets-event-format.html, of an unknown message."""
    return json.dumps(
        {
            "eventType": "TEXT_DELIVERED",
            "eventTimestamp": int(datetime.now(UTC).timestamp() * 1000),
            "isFinal": True,
            "originationPhoneNumber": OUR_NUMBER,
            "destinationPhoneNumber": WRITES_BY_SMS,
            "messageId": "862a8790-60c0-4430-9b2b-658bd0000001",
            "messageStatus": "DELIVERED",
            "context": {"scheduled_message_id": UNKNOWN_MESSAGE, "brand": "acme-dental", "channel": "sms"},
        }
    )


def set_up() -> bytes:
    return json.dumps({"clientToken": KEYS["rcs_client_token"], "secret": "1234567890"}).encode()


def from_google() -> tuple[bytes, dict[str, str]]:
    """developers.google.com/business-communications/rcs-business-messaging, UserMessage."""
    published = {
        "agentId": AGENT,
        "senderPhoneNumber": WRITES_BY_RCS,
        "messageId": "MxPRnmI3l0RF2p46Z",
        "sendTime": datetime.now(UTC).isoformat(),
        "text": "Is Friday free?",
    }
    data = json.dumps(published).encode()
    signature = hmac.digest(KEYS["rcs_client_token"].encode(), data, hashlib.sha512)
    body = json.dumps({"message": {"data": base64.b64encode(data).decode()}}).encode()
    return body, {**JSON, "X-Goog-Signature": base64.b64encode(signature).decode()}


def signed(body: bytes) -> dict[str, str]:
    signature = hmac.digest(KEYS["meta_app_secret"].encode(), body, hashlib.sha256).hex()
    return {"Content-Type": "application/json", "X-Hub-Signature-256": f"sha256={signature}"}


def from_meta() -> bytes:
    """developers.facebook.com, WhatsApp Cloud API, webhooks: one text message."""
    message = {
        "from": WRITES_ON_WHATSAPP,
        "id": "wamid.1",
        "timestamp": str(int(datetime.now(UTC).timestamp())),
        "type": "text",
        "text": {"body": "Is Friday free?"},
    }
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "15550783881", "phone_number_id": PHONE_NUMBER_ID},
        "contacts": [{"profile": {"name": "Ada"}, "wa_id": WRITES_ON_WHATSAPP}],
        "messages": [message],
    }
    entry = {"id": "102290129340398", "changes": [{"value": value, "field": "messages"}]}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()


def from_aws() -> str:
    """docs.aws.amazon.com/sms-voice/latest/userguide/two-way-sms-payload.html."""
    return json.dumps(
        {
            "originationNumber": WRITES_BY_SMS,
            "destinationNumber": OUR_NUMBER,
            "messageKeyword": "KEYWORD_1",
            "messageBody": "Is Friday free?",
            "inboundMessageId": "cae173d2-66b9-564c-8309-21f858e9fb84",
        }
    )


if __name__ == "__main__":
    sys.exit(main())
