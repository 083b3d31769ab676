"""How many messages a second of CPU are sent, against a sender written by hand with boto3.

    PYTHONPATH=layers/reengage python -m tests.benchmarks.send [--messages 200] [--rounds 5] [--json FILE]

Both send reminders that are due, from DynamoDB Local, by Twilio or by the bus. The peer does one call after another: it
queries, and for each message it claims, reads three items, sends over a kept connection, and settles. The whole peer
also reserves the cap and publishes an event, as Reengage does. Both take turns in one process; of each, the median
counts.
"""

import argparse
import json
import os
import sys
import time
import uuid
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any, Final
from unittest.mock import patch
from urllib.parse import urlencode

import boto3
import urllib3
from botocore.config import Config

from reengage.adapters.channels.twilio import TwilioChannel
from reengage.bootstrap import sending
from reengage.domain.contact import SHARDS, Contact
from reengage.domain.instants import iso
from reengage.domain.reasons import PRIORITIES
from tests.benchmarks.broadcast import BRAND
from tests.benchmarks.fan_out import DUE, fill
from tests.benchmarks.laboratory import SECRET, SMS_NUMBER, place, stub
from tests.contract.stores import TABLE, DynamoDB
from tests.local import dynamodb_local
from tests.template_resources import environment

MILLISECONDS: Final = 300_000
NOW: Final = DUE + timedelta(seconds=5)
RESOURCES: Final = {
    "Table": TABLE,
    "EventBus": "reengage",
    "RejectedEventsQueue": "https://127.0.0.1/rejected",
    "PreferencesKey": "preferences-key",
    "ProviderSecrets": "provider-secrets",
    "WebhookFunctionUrl": "https://abcdefghij.lambda-url.us-east-1.on.aws/",
    "DefaultTimezone": "Europe/Berlin",
    "UtilityQuietHours": "",
}
TEXT: Final = (
    "A reminder of your appointment on Thursday, December 10, 2026 at 3:00 PM. Reply 1 to confirm, 2 to cancel."
)


def contacts(first: int, size: int) -> list[Contact]:
    return [Contact(BRAND, "sms", f"+49151{number:08}") for number in range(first, first + size)]


class Ours:
    """The function's own code, as the bootstrap builds it."""

    def __init__(self, provider: str, services: str) -> None:
        self.began = time.monotonic()
        self.app = sending.ScheduledApp()
        self.app.clock = self._clock  # type: ignore[method-assign] # a clock of its own
        if provider == "twilio":
            app = self.app
            channel = TwilioChannel(
                app.http,
                app.provider_secrets.in_hand,
                app.settings.routes,
                app.clock,
                app.settings.webhook_url,
                services,
            )
            app._providers["twilio", "sms"] = channel

    def send(self) -> int:
        self.began = time.monotonic()
        answer = self.app.send_due("appointments", milliseconds=MILLISECONDS)
        if answer["sent"] != answer["due"]:
            raise SystemExit(f"not all was sent: {answer}")
        return int(answer["sent"])

    def _clock(self) -> Any:
        return NOW + timedelta(seconds=time.monotonic() - self.began)


class Peer:
    """A loop of boto3 calls, one after another. ``is_whole``: with the cap and an event for each message."""

    def __init__(self, provider: str, services: str, *, is_whole: bool) -> None:
        config = Config(retries={"mode": "standard", "total_max_attempts": 2}, read_timeout=5, connect_timeout=2)
        self.table = boto3.client("dynamodb", config=config)
        self.bus = boto3.client("events", config=config)
        self.http = urllib3.PoolManager(ca_certs=os.environ["AWS_CA_BUNDLE"])
        self.provider, self.services, self.is_whole = provider, services, is_whole

    def send(self) -> int:
        sent = 0
        for priority in PRIORITIES["appointments"]:
            for shard in range(SHARDS):
                sent += self._send_shard(f"appointments#{ {'high': 'prompt', 'low': 'marketing'}[priority] }#{shard}")
        return sent

    def _send_shard(self, shard: str) -> int:
        pages = self.table.get_paginator("query").paginate(
            TableName=TABLE,
            IndexName="due",
            KeyConditionExpression="due_shard = :shard AND due_at <= :now",
            ExpressionAttributeValues={":shard": {"S": shard}, ":now": {"S": f"{NOW:%Y-%m-%dT%H:%M:%S.%f%z}"}},
        )
        rows = [row for page in pages for row in page["Items"]]
        for row in rows:
            self._send_one({"pk": row["pk"], "sk": row["sk"]})
        return len(rows)

    def _send_one(self, key: dict[str, Any]) -> None:
        claim = {"S": str(uuid.uuid4())}
        changed = self.table.update_item(
            TableName=TABLE,
            Key=key,
            UpdateExpression="SET #s = :sending, claim_id = :claim, claimed_at = :now",
            ConditionExpression="attribute_exists(pk) AND #s = :scheduled",
            ExpressionAttributeNames={"#s": "state"},
            ExpressionAttributeValues={
                ":sending": {"S": "sending"},
                ":scheduled": {"S": "scheduled"},
                ":claim": claim,
                ":now": {"S": iso(NOW)},
            },
            ReturnValues="ALL_NEW",
        )["Attributes"]
        pk = key["pk"]["S"]
        subject = f"SUBJECT#{BRAND}#appointment#{key['sk']['S'].split('#')[2]}"
        reads = ((pk, "CONTACT"), (pk, "CONVERSATION"), (subject, "SUBJECT"))
        for item_pk, item_sk in reads:
            self.table.get_item(TableName=TABLE, Key={"pk": {"S": item_pk}, "sk": {"S": item_sk}}, ConsistentRead=True)
        if self.is_whole:
            self.table.put_item(
                TableName=TABLE,
                Item={"pk": {"S": pk}, "sk": {"S": "CAP#utility"}, "revision": {"N": "1"}, "taken": {"S": iso(NOW)}},
                ConditionExpression="attribute_not_exists(pk)",
            )
        provider_id = self._hand_over(pk.rpartition("#")[2], changed["scheduled_message_id"]["S"])
        self.table.update_item(
            TableName=TABLE,
            Key=key,
            UpdateExpression="SET #s = :sent, provider_message_id = :id, settled_at = :now REMOVE due_shard",
            ConditionExpression="claim_id = :claim",
            ExpressionAttributeNames={"#s": "state"},
            ExpressionAttributeValues={
                ":sent": {"S": "sent"},
                ":id": {"S": provider_id},
                ":now": {"S": iso(NOW)},
                ":claim": claim,
            },
        )
        if self.is_whole:
            self._publish("MessageSent", {"scheduled_message_id": changed["scheduled_message_id"]["S"]})

    def _hand_over(self, address: str, message_id: str) -> str:
        if self.provider == "eventbridge":
            detail = {"scheduled_message_id": message_id, "contact": {"address": address}, "text": TEXT}
            return self._publish("MessageSendRequested", detail)
        form = {"To": address, "From": SMS_NUMBER, "Body": TEXT, "ValidityPeriod": "7200"}
        credentials = f"{SECRET['twilio_account_sid']}:{SECRET['twilio_auth_token']}"
        answer = self.http.request(
            "POST",
            f"{self.services}/2010-04-01/Accounts/{SECRET['twilio_account_sid']}/Messages.json",
            body=urlencode(form),
            headers={
                "Authorization": f"Basic {b64encode(credentials.encode()).decode()}",
                "Content-Type": "application/x-www-form-urlencoded",
            },
        )
        sid: str = json.loads(answer.data)["sid"]
        return sid

    def _publish(self, detail_type: str, detail: dict[str, Any]) -> str:
        answer = self.bus.put_events(
            Entries=[
                {
                    "EventBusName": "reengage",
                    "Source": "peer",
                    "DetailType": detail_type,
                    "Detail": json.dumps(detail),
                }
            ]
        )
        return str(answer["Entries"][0]["EventId"])


@contextmanager
def quiet() -> Iterator[None]:
    """Write what is printed nowhere: the functions' logs."""
    kept = os.dup(1)
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        try:
            yield
        finally:
            sys.stdout.flush()
            os.dup2(kept, 1)
            os.close(kept)


def milliseconds(send: Callable[[], int], messages: int) -> float:
    """Return the CPU of a message, in this process."""
    began = time.process_time()
    with quiet():
        sent = send()
    took = time.process_time() - began
    if sent != messages:
        raise SystemExit(f"{sent} of {messages} messages were sent")
    return took / messages * 1000


def measure(
    messages: int, rounds: int, providers: Sequence[str] = ("twilio", "eventbridge")
) -> dict[str, dict[str, float]]:
    """Milliseconds of CPU a message, by provider: ours, of both peers, and the ratios of messages a second of CPU."""
    found: dict[str, dict[str, float]] = {}
    with stub() as (services, bundle), dynamodb_local.running() as database:
        for provider in providers:
            routes = f"{BRAND}/sms/twilio/{SMS_NUMBER}" if provider == "twilio" else ""
            given = environment("SendAppointmentRemindersFunction", RESOURCES | {"Routes": routes})
            given.pop("PYTHONTZPATH")
            with patch.dict(os.environ, place(services, bundle, database) | given):
                found[provider] = _in_turns(provider, services, database, messages, rounds)
    return found


def _in_turns(provider: str, services: str, database: str, messages: int, rounds: int) -> dict[str, float]:
    local = DynamoDB.connect(database)
    local.create_table()
    senders: dict[str, Callable[[], int]] = {
        "ours": Ours(provider, services).send,
        "peer": Peer(provider, services, is_whole=False).send,
        "whole peer": Peer(provider, services, is_whole=True).send,
    }
    took: dict[str, list[float]] = {name: [] for name in senders}
    first = 0
    for _ in range(rounds + 1):  # the first one warms up
        for name, send in senders.items():
            fill(local, contacts(first, messages), first=first)
            first += messages
            took[name].append(milliseconds(send, messages))
    local.delete_table()
    local.close()
    ms = {name: median(each[1:]) for name, each in took.items()}
    ratios = {f"ratio to {name}": ms[name] / ms["ours"] for name in ms if name != "ours"}
    return ms | ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = measure(given.messages, given.rounds)
    for provider, each in found.items():
        sys.stdout.write(provider + "".join(f"  {name} {value:.2f}" for name, value in each.items()) + "\n")
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
