"""What providers call in, on the deployed app: over its real URL and its real topic, signed and not.

    make providers

A message of each stands in the table in the end as if the provider had delivered it; who is not signed leaves nothing.
"""

import hashlib
import hmac
import json
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlencode, urlsplit

import urllib3

from tests.local import emulator
from tests.local.emulator import Emulator

STACK: Final = "reengage-providers"
PATIENCE: Final = timedelta(minutes=3)
PHONE_NUMBER_ID: Final = "106540352242922"
OUR_NUMBER: Final = "+12025550100"
ROUTES: Final = f"acme-dental/whatsapp/meta/{PHONE_NUMBER_ID},acme-dental/sms/aws/{OUR_NUMBER}"
KEYS: Final = {"meta_app_secret": "a key of the app", "meta_verify_token": "a token of ours"}

WRITES_ON_WHATSAPP: Final = "447700900142"
WRITES_BY_SMS: Final = "+12025550142"


class Door:
    """The function's URL, as a provider calls it: the emulator tells the functions apart by their host names."""

    def __init__(self, aws: Emulator, url: str) -> None:
        self._at, self._host = aws.endpoint_url, urlsplit(url).netloc
        self._http = urllib3.PoolManager(retries=False, timeout=60)

    def call(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        answer = self._http.request(
            method, f"{self._at}/{path}", body=body, headers={"Host": self._host, **(headers or {})}
        )
        return answer.status, answer.data.decode()


def main() -> int:
    """The exit code."""
    wrong: list[str] = []
    with emulator.running() as aws:
        outputs = emulator.deploy(aws, STACK, {"Routes": ROUTES})
        made, endpoint = aws.session.client, aws.endpoint_url
        dynamodb, sns = made("dynamodb", endpoint_url=endpoint), made("sns", endpoint_url=endpoint)
        secrets = made("secretsmanager", endpoint_url=endpoint)
        secrets.put_secret_value(SecretId=outputs["ProviderSecretsArn"], SecretString=json.dumps(KEYS))
        door = Door(aws, outputs["WebhookUrl"])

        def expect(what: str, found: object, wanted: object) -> None:
            print(f"{'as it must be' if found == wanted else 'WRONG':<14} {what}: {found}")
            if found != wanted:
                wrong.append(f"{what}: {found}, and not {wanted}")

        handshake = {
            "hub.mode": "subscribe",
            "hub.challenge": "1158201444",
            "hub.verify_token": KEYS["meta_verify_token"],
        }
        expect("Meta's handshake", door.call("GET", f"meta?{urlencode(handshake)}"), (200, "1158201444"))
        message = from_meta()
        expect("unsigned", door.call("POST", "meta", message, {"Content-Type": "application/json"})[0], 403)
        expect("elsewhere", door.call("POST", "nowhere", message, {"Content-Type": "application/json"})[0], 404)
        expect("Meta's message", door.call("POST", "meta", message, signed(message))[0], 200)
        sns.publish(TopicArn=outputs["ProviderEventsTopicArn"], Message=from_aws())

        def kept() -> set[str]:
            items = dynamodb.scan(TableName=outputs["TableName"])["Items"]
            return {item["pk"]["S"] for item in items if item["sk"]["S"] == "CONVERSATION"}

        wanted = {
            f"CONTACT#acme-dental#whatsapp#+{WRITES_ON_WHATSAPP}",
            f"CONTACT#acme-dental#sms#{WRITES_BY_SMS}",
        }
        until = time.monotonic() + PATIENCE.total_seconds()
        while not wanted <= kept() and time.monotonic() < until:
            time.sleep(1)
        expect("open conversations", kept(), wanted)
    print(*wrong, sep="\n", file=sys.stderr)
    return 1 if wrong else 0


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
