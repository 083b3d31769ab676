"""``redrive``: put failed events on the bus again, and failed messages into the schedule; a dry run first."""

import base64
import gzip
import json
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import typer

from reengage.adapters.inbound.eventbridge import inbound_message, parse_business_event, receipt
from reengage.cli import stack as stacks
from reengage.cli.console import ExitCode, UsageError, command, warn, write, write_json
from reengage.cli.explain import JsonOption, StackOption
from reengage.domain.reasons import REASONS
from reengage.errors import InvalidEvent
from reengage.usecases.redrive_messages import Selection, redrive_messages

Queue = Literal["failed", "rejected"]
MESSAGES = "messages"
PROGRESS_EVERY = 100

OUTPUTS: Mapping[str, str] = {"failed": "FailedEventsQueueUrl", "rejected": "RejectedEventsQueueUrl"}
BATCH = 10
"""Messages that one ReceiveMessage takes; AWS, SQS API reference."""

HIDDEN_SECONDS = 120
"""A received message is hidden from others for this long: twice what one batch takes at the slowest rate."""


@command
def redrive(
    *,
    queue: Annotated[str, typer.Option("--queue", help="failed, rejected, or messages")] = "failed",
    stack: StackOption = "reengage",
    apply: Annotated[bool, typer.Option("--apply", help="do it; without it, only count")] = False,
    rate: Annotated[float, typer.Option("--rate", help="events or messages a second, at most")] = 10.0,
    limit: Annotated[int, typer.Option("--limit", help="events or messages in all, at most")] = 1000,
    brand: Annotated[str, typer.Option("--brand", help="with messages: only of this brand")] = "",
    reason: Annotated[str, typer.Option("--reason", help="with messages: only of this reason")] = "",
    as_json: JsonOption = False,
) -> ExitCode:
    """Put failed or rejected events on the bus again, or failed messages into the schedule.

    It also counts the causes. Each event keeps its own time. An event that is still invalid stays in the queue, and
    so does one that the bus does not take. A notification of AWS goes to its function again. Each message is sent by
    the next run, after the same rules, if it is still valid. Example: reengage redrive --apply
    """
    if queue not in (*OUTPUTS, MESSAGES):
        raise UsageError(f'unknown --queue "{queue}"; use {", ".join((*OUTPUTS, MESSAGES))}')
    if rate <= 0:
        raise UsageError(f"--rate {rate}: expected more than 0")
    if reason and reason not in REASONS:
        raise UsageError(f'unknown --reason "{reason}"; use {", ".join(REASONS)}')
    if (brand or reason) and queue != MESSAGES:
        raise UsageError("--brand and --reason select messages; use them with --queue messages")
    description = stacks.describe(stack)
    if queue == MESSAGES:
        selection = Selection(brand, reason)
        counts = _redrive_messages(description.output("TableName"), selection, rate=rate, limit=limit, apply=apply)
    else:
        notified = description.output("RecordDeliveryFunctionArn")
        bus, url = description.output("EventBusName"), description.output(OUTPUTS[queue])
        runner = _Redrive(bus, url, notified, rate, apply=apply, began=description.now())
        counts = runner.run(limit)
        if not counts and (hidden := runner.hidden()):
            warn(
                f"{hidden} messages are hidden: another redrive reads them, or was stopped. "
                f"Try again in {HIDDEN_SECONDS} seconds."
            )
            return ExitCode.FINDING
    if as_json:
        write_json(dict(counts))
    else:
        write(*(f"{what}: {number}" for what, number in sorted(counts.items())))
        if not counts:
            write("There is no failed message." if queue == MESSAGES else "The queue is empty.")
        elif not apply:
            write("A dry run: nothing was changed. --apply does it.")
    return ExitCode.FINDING if any(what.startswith("left") for what in counts) else ExitCode.DONE


def _redrive_messages(table: str, selection: Selection, *, rate: float, limit: int, apply: bool) -> Counter[str]:
    """Return how many messages of each reason and error went where. It scans the table, with your credentials."""
    from reengage.adapters.dynamodb import DynamoDBStore  # noqa: PLC0415 - commands without a table do not need it

    def no_key() -> str:
        raise AssertionError("a redrive reads no preferences")

    store = DynamoDBStore.connect(table, workers=1, hash_key=no_key)
    redriven = redrive_messages(
        selection,
        store=store,
        clock=lambda: datetime.now(UTC),
        limit=limit,
        apply=apply,
        pause=lambda: time.sleep(1 / rate),
    )
    counts: Counter[str] = Counter()
    for message, what in redriven:
        counts[f"{what}: {message.reason}, error {message.error or 'not known'}"] += 1
        if apply and counts.total() % PROGRESS_EVERY == 0:
            warn(f"{counts.total()} messages …")
    return counts


def cause_of(message: Mapping[str, Any]) -> str:
    """Return why a message is in a queue of failed or rejected events, without personal data.

    | kept by | the cause |
    |---|---|
    | Lambda, after a failed invocation | in the body: the condition and the error's type |
    | a rule of EventBridge | in the attributes ``ERROR_CODE`` and ``EXHAUSTED_RETRY_CONDITION`` |
    | a subscription of SNS | in the attributes ``ErrorCode`` and ``ErrorMessage`` |
    | the app, as invalid | in the body: ``errors`` |
    """
    body = _json_object(message["Body"])
    attributes = {name: value.get("StringValue") for name, value in message.get("MessageAttributes", {}).items()}
    context, response = body.get("requestContext") or {}, body.get("responsePayload") or {}
    parts = (
        *(context.get("condition"), response.get("errorType") if isinstance(response, dict) else None),
        *(attributes.get(name) for name in ("ERROR_CODE", "EXHAUSTED_RETRY_CONDITION", "ErrorCode", "ErrorMessage")),
        *(body.get("errors") or ())[:1],
    )
    return ", ".join(str(part) for part in parts if part) or "not given"


class _Redrive:
    def __init__(self, bus: str, queue_url: str, notified: str, rate: float, *, apply: bool, began: datetime) -> None:
        import boto3  # noqa: PLC0415 - commands without a stack do not need it

        self.bus, self.queue_url, self.notified, self.rate, self.apply = bus, queue_url, notified, rate, apply
        self.began = began
        self.sqs, self.events, self.functions = boto3.client("sqs"), boto3.client("events"), boto3.client("lambda")
        self.causes: Counter[str] = Counter()
        self.deleted: set[str] = set()

    def hidden(self) -> int:
        """Return how many messages of the queue another reader has."""
        name: Final = "ApproximateNumberOfMessagesNotVisible"
        answer = self.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=[name])
        return int(answer["Attributes"].get(name, 0))

    def run(self, limit: int) -> Counter[str]:
        """Return how many events of each type went where, and how many had each cause.

        What stays in the queue is read once and given back. So is what arrives meanwhile: it may be an event that this
        run has put, and that failed again.
        """
        counts: Counter[str] = Counter()
        for message in self._messages(limit):
            self.causes[f"cause: {cause_of(message)}"] += 1
            went = self._put_back(_event_of(message["Body"]), was_rejected="errors" in _json_object(message["Body"]))
            counts[went] += 1
            if self.apply and not went.startswith("left"):
                self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
                self.deleted.add(message["ReceiptHandle"])
                if counts.total() % PROGRESS_EVERY == 0:
                    warn(f"{counts.total()} events …")
                time.sleep(1 / self.rate)
        return counts + self.causes

    def _put_back(self, event: Any, *, was_rejected: bool) -> str:
        """Put the event on the bus, or give a notification to its function, under its own id; return where it went."""
        if (entry := self._entry(event)) is not None:
            if was_rejected and _is_invalid(event):
                return f"left (still invalid: let its system send it again): {entry['DetailType']}"
            if not self.apply:
                return f"would be put: {entry['DetailType']}"
            is_refused = self.events.put_events(Entries=[entry])["FailedEntryCount"]
            return "left (the bus did not take it)" if is_refused else f"put: {entry['DetailType']}"
        if (notification := _notification(event)) is None:
            return "left (no event of the bus: see events/README.md)"
        return self._notify(notification) if self.apply else "would be delivered: notification of AWS"

    def _notify(self, notification: Mapping[str, Any]) -> str:
        """Invoke the function that SNS invokes; return what it did."""
        answer = self.functions.invoke(FunctionName=self.notified, Payload=json.dumps(notification).encode())
        if answer.get("FunctionError"):
            return "left (the function failed again)"
        if "receipts" not in json.loads(answer["Payload"].read()):
            return "left (the stack's function does not know notifications of AWS; deploy this version first)"
        return "delivered: notification of AWS"

    def _messages(self, limit: int) -> Iterator[Any]:
        seen: list[Any] = []
        try:
            while len(seen) < limit:
                received = self.sqs.receive_message(
                    QueueUrl=self.queue_url,
                    MaxNumberOfMessages=min(BATCH, limit - len(seen)),
                    VisibilityTimeout=HIDDEN_SECONDS,
                    MessageAttributeNames=["All"],
                    MessageSystemAttributeNames=["SentTimestamp"],
                ).get("Messages", [])
                if not received:
                    return
                for message in received:
                    seen.append(message)
                    if int(message.get("Attributes", {}).get("SentTimestamp", 0)) <= self.began.timestamp() * 1000:
                        yield message
        finally:
            for message in seen:
                if message["ReceiptHandle"] not in self.deleted:
                    self.sqs.change_message_visibility(
                        QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
                    )

    def _entry(self, event: Any) -> Any:
        """Return the entry of an event, with its own time and id; ``None`` if it is no event of the bus."""
        if not isinstance(event, dict) or not {"time", "source", "detail-type", "detail", "id"} <= event.keys():
            return None
        if not isinstance(event["detail"], dict):
            return None
        return {
            "EventBusName": self.bus,
            "Time": event["time"],
            "Source": event["source"],
            "DetailType": event["detail-type"],
            "Detail": json.dumps({"event_id": event["id"]} | event["detail"]),
        }


def _is_invalid(event: Any) -> bool:
    """Return whether the app would reject this event of the bus again."""
    parsers: Mapping[str, Callable[[Any], Any]] = {"MessageReceived": inbound_message, "DeliveryReported": receipt}
    parse: Callable[[Any], Any] = parsers.get(event["detail-type"], parse_business_event)
    try:
        parse(event)
    except InvalidEvent:
        return True
    return False


def _event_of(body: str) -> Any:
    """Return the event that a message of the queue keeps; an empty object if there is nothing to read."""
    message = _json_object(body)
    if "gzip" in message:
        try:
            return json.loads(gzip.decompress(base64.b64decode(message["gzip"])))
        except (TypeError, ValueError, RecursionError, EOFError, gzip.BadGzipFile, zlib.error):
            return {}
    return message.get("requestPayload") or message.get("event") or message


def _json_object(text: str) -> Any:
    """Return a JSON object; an empty one of any other text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _notification(event: Any) -> Mapping[str, Any] | None:
    """Return the function's event of a notification of AWS, which Lambda or SNS kept; ``None`` of all else."""
    if not isinstance(event, dict):
        return None
    if event.get("Type") == "Notification":
        return {"Records": [{"Sns": event}]}
    records = event.get("Records")
    if not isinstance(records, list) or not records:
        return None
    return event if all(isinstance(each, dict) and "Sns" in each for each in records) else None
