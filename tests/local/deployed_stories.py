"""The stories of events/stories on the deployed template, at the stories' own instants.

    make e2e-stories [STORY=name]

The emulator and its functions live by a clock that this program moves from instant to instant (``story_clock.py``). For
the functions it is held in between, so that a slow machine changes no decision. Each event goes to the functions that
the deployed rules name for it. This program does the rules' work itself, so that no event is on its way when the clock
moves. At each minute at which something is due, the three scheduled functions run. What they publish must be what the
story's file of expectations says: the same decisions as in the simulation.
"""

import heapq
import json
import re
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

from reengage.domain.instants import iso
from reengage.domain.openers import ALPHABET, GROUP
from reengage.schemas.documents import SOURCE
from reengage.simulation import Story, read_story, simulate
from reengage.simulation.archive import SECRETS
from reengage.simulation.engine import message_with_text
from reengage.simulation.provider import ProviderRule
from tests.local import emulator
from tests.local.emulator import Emulator
from tests.local.stage import SEND_FUNCTIONS
from tests.local.story_clock import StoryClock, story_clock
from tests.simulation import stories

STACK: Final = "reengage-stories"
MINUTE: Final = timedelta(minutes=1)
NAMESPACE: Final = uuid.UUID("6c1f3f7c-92b1-4b4d-9a0a-3f3f1c8f3f0e")

TOKEN: Final = re.compile(rf"[{ALPHABET}]{{{GROUP}}}-[{ALPHABET}]{{{GROUP}}}")

Json = dict[str, Any]


@dataclass(slots=True)
class DeployedStory:
    """One story that is played on a stack whose table is empty."""

    stack: "Stack"
    story: Story
    tokens: "Tokens"
    lines: list[Json] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    receipts: list[tuple[datetime, int, Json]] = field(default_factory=list)
    reported: int = 0
    delivered: int = 0
    last_tick: datetime | None = None

    def play(self) -> list[Json]:
        """Return the events out, in the form of ``reengage simulate --json``."""
        while (at := self._next()) is not None and (self.story.until is None or at <= self.story.until):
            self.stack.clock.go_to(at)
            if self._next_story() == at:
                self._deliver(at)
            else:
                self.last_tick = at
                self.stack.tick()
            self._receive(at)
        return self.lines

    def _next(self) -> datetime | None:
        """The story's next event, or the next whole minute at which a message is due."""
        return min((at for at in (self._next_story(), self._next_tick()) if at), default=None)

    def _next_story(self) -> datetime | None:
        heads = [event.at for event in self.story.events[self.delivered : self.delivered + 1]]
        return min([*heads, *(at for at, _, _ in self.receipts[:1])], default=None)

    def _next_tick(self) -> datetime | None:
        due_at = min(self.stack.due_instants(), default=None)
        if due_at is None:
            return None
        floor = due_at.replace(second=0, microsecond=0)
        minute = floor if floor == due_at else floor + MINUTE
        return max(minute, self.last_tick + MINUTE) if self.last_tick else minute

    def _deliver(self, at: datetime) -> None:
        while self.delivered < len(self.story.events) and self.story.events[self.delivered].at == at:
            event = self.story.events[self.delivered]
            self.delivered += 1
            if event.is_call:
                self.stack.call(event.envelope)
            else:
                self.stack.deliver(self.tokens.translate(_envelope(event.envelope, str(event.number), at)))
        while self.receipts and self.receipts[0][0] <= at:
            _, number, detail = heapq.heappop(self.receipts)
            event_out = {"detail-type": "DeliveryReported", "source": "provider", "detail": detail}
            self.stack.deliver(_envelope(event_out, f"receipt-{number}", at))

    def _receive(self, at: datetime) -> None:
        """Receive what the bus delivered at that instant, and plan the receipts of what was sent."""
        for event in self.stack.events_out():
            detail = event["detail"]
            if event["detail-type"] == "MessageSendRequested":
                self.texts[detail["scheduled_message_id"]] = detail["text"]
            if event["detail-type"] == "MessagePlanned":
                self.tokens.note(detail)
            if event["detail-type"] == "MessageSent":
                self._plan_receipts(detail, at)
            self.lines.append({"at": iso(at), "detail-type": event["detail-type"], "detail": detail})
        for line in self.lines:
            if line["detail-type"] == "MessageSent" and (text := self.texts.get(message_with_text(line["detail"]))):
                line["detail"]["text"] = text

    def _plan_receipts(self, detail: Mapping[str, Any], at: datetime) -> None:
        rule = next((rule for rule in self.story.rules if _applies(rule, detail, at)), None)
        for receipt in rule.receipts if rule else ():
            reported = {
                "contact": detail["contact"],
                "scheduled_message_id": detail["scheduled_message_id"],
                "status": receipt.status,
                "provider_message_id": f"story-{len(self.lines)}",
                "occurred_at": iso(at + receipt.after),
                **({"error": receipt.error} if receipt.error else {}),
            }
            self.reported += 1
            heapq.heappush(self.receipts, (at + receipt.after, self.reported, reported))


class Tokens:
    """Translate the tokens of a story's texts: each stack makes its own, with its own key.

    The simulation and the stack make them for the same appointments and people, in the same order.
    """

    def __init__(self, story: Story) -> None:
        self._simulated: dict[str, list[str]] = {}
        self._deployed: dict[str, list[str]] = {}
        for line in simulate(story):
            if line.get("detail-type") == "MessagePlanned":
                self._add(self._simulated, line["detail"])

    def note(self, detail: Mapping[str, Any]) -> None:
        """Remember the token of a ``MessagePlanned`` of the stack."""
        self._add(self._deployed, detail)

    def translate(self, envelope: Json) -> Json:
        """Return a message with the stack's tokens in its text, in the place of the simulation's."""
        text = envelope["detail"].get("text")
        if not isinstance(text, str):
            return envelope
        for person, simulated in self._simulated.items():
            for token, own in zip(simulated, self._deployed.get(person, []), strict=False):
                first, second = token.split("-")
                text = re.sub(f"{first}[- ]?{second}", own, text, flags=re.IGNORECASE)
        return envelope | {"detail": envelope["detail"] | {"text": text}}

    @staticmethod
    def _add(known: dict[str, list[str]], detail: Mapping[str, Any]) -> None:
        found = TOKEN.search(detail.get("opener_text", ""))
        tokens = known.setdefault(f"{detail['subject_id']} {detail['contact']}", [])
        if found and found[0] not in tokens:
            tokens.append(found[0])


def _envelope(event: Mapping[str, Any], name: str, at: datetime) -> Json:
    return {
        "version": "0",
        "id": str(uuid.uuid5(NAMESPACE, name)),
        "source": "story",
        "account": "000000000000",
        "region": emulator.REGION,
        "resources": [],
        **event,
        "time": iso(at),
    }


def _applies(rule: ProviderRule, detail: Mapping[str, Any], at: datetime) -> bool:
    if (rule.begins and at < rule.begins) or (rule.ends and at >= rule.ends):
        return False
    values = {**detail["contact"], "reason": detail["reason"]}
    return all(values.get(name) == value for name, value in rule.matches.items())


class Stack:
    """The deployed functions, their table, their bus and their clock."""

    def __init__(self, aws: Emulator, clock: StoryClock, outputs: Mapping[str, str]) -> None:
        self.clock = clock
        self.outputs = outputs
        self.functions = aws.session.client("lambda", endpoint_url=aws.endpoint_url)
        self.bus = aws.session.client("events", endpoint_url=aws.endpoint_url)
        self.queues = aws.session.client("sqs", endpoint_url=aws.endpoint_url)
        self.table = aws.session.client("dynamodb", endpoint_url=aws.endpoint_url)
        secrets = aws.session.client("secretsmanager", endpoint_url=aws.endpoint_url)
        secrets.put_secret_value(SecretId=outputs["ProviderSecretsArn"], SecretString=json.dumps(dict(SECRETS)))
        self.out: list[Json] = []
        self.rules = list(self._take_over_rules())
        self.queue = self._listen()
        self._stop_schedules(aws.session.client("scheduler", endpoint_url=aws.endpoint_url))

    def deliver(self, envelope: Json) -> None:
        """Pass the event to each function that a deployed rule names for it, as the bus does."""
        wanted = [arn for pattern, arn in self.rules if _is_matched(pattern, envelope)]
        if not wanted:
            raise AssertionError(f"no rule of the stack takes {envelope['detail-type']}")
        for arn in wanted:
            self._invoke(arn, envelope)

    def call(self, event: Mapping[str, Any]) -> None:
        """Hand a provider's signed call, or SNS's, to its function, and what that publishes to the next functions."""
        if "Records" in event:
            self._invoke(self.outputs["RecordDeliveryFunctionArn"], dict(event))
        else:
            answer = self._invoke(self.outputs["WebhookFunctionArn"], dict(event))
            if answer["statusCode"] != HTTPStatus.OK:
                raise AssertionError(f"the webhook answered {answer['statusCode']}")
        self._carry()

    def tick(self) -> None:
        """Run the scheduled functions once, as their schedules do each minute."""
        for output in SEND_FUNCTIONS:
            self._invoke(self.outputs[output], {"scheduled_at": "<aws.scheduler.scheduled-time>"})

    def due_instants(self) -> Iterator[datetime]:
        for item in self._items():
            if "due_shard" in item:
                yield datetime.fromisoformat(item["due_at"]["S"]).astimezone(UTC)

    def events_out(self) -> list[Json]:
        """Return the events out since the last call."""
        self._carry()
        found, self.out = self.out, []
        return found

    def _carry(self) -> None:
        """Do the bus's work until it has no event more: keep the events out, and deliver those of the webhook."""
        while messages := self.queues.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                self.queues.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
                event = json.loads(message["Body"])
                if event["source"] == SOURCE:
                    self.out.append(event)
                else:
                    self.deliver(event)

    def clear(self) -> None:
        """Empty the table and the queue."""
        for item in self._items():
            key = {name: item[name] for name in ("pk", "sk")}
            self.table.delete_item(TableName=self.outputs["TableName"], Key=key)
        self.events_out()

    def _items(self) -> list[Json]:
        pages = self.table.get_paginator("scan").paginate(TableName=self.outputs["TableName"], ConsistentRead=True)
        return [item for page in pages for item in page["Items"]]

    def _invoke(self, arn: str, event: Json) -> Any:
        answer = self.functions.invoke(FunctionName=arn, Payload=json.dumps(event).encode())
        returned = answer["Payload"].read().decode()
        if answer.get("FunctionError"):
            raise AssertionError(f"{arn}: {returned}")
        return json.loads(returned or "null")

    def _take_over_rules(self) -> Iterator[tuple[Json, str]]:
        """Disable each rule that invokes a function, and return its pattern and the function."""
        bus = self.outputs["EventBusName"]
        for rule in self.bus.list_rules(EventBusName=bus)["Rules"]:
            for target in self.bus.list_targets_by_rule(Rule=rule["Name"], EventBusName=bus)["Targets"]:
                if ":function:" in target["Arn"]:
                    self.bus.disable_rule(Name=rule["Name"], EventBusName=bus)
                    yield json.loads(rule["EventPattern"]), target["Arn"]

    def _listen(self) -> str:
        """Return the URL of a queue that gets each event on the bus before the call that puts it there returns."""
        url: str = self.queues.create_queue(QueueName="stories")["QueueUrl"]
        arn = self.queues.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        bus = self.outputs["EventBusName"]
        self.bus.put_rule(Name="stories", EventBusName=bus, EventPattern=json.dumps({"source": [{"exists": True}]}))
        self.bus.put_targets(Rule="stories", EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
        return url

    @staticmethod
    def _stop_schedules(scheduler: Any) -> None:
        taken = ("ScheduleExpression", "FlexibleTimeWindow", "Target")
        for schedule in scheduler.list_schedules()["Schedules"]:
            stored = scheduler.get_schedule(Name=schedule["Name"])
            kept = {key: stored[key] for key in taken}
            scheduler.update_schedule(Name=schedule["Name"], State="DISABLED", **kept)


def _is_matched(pattern: Mapping[str, Any], envelope: Mapping[str, Any]) -> bool:
    """Return whether an event pattern matches an event, as far as the template uses patterns."""
    return all(any(_takes(each, envelope.get(name)) for each in wanted) for name, wanted in pattern.items())


def _takes(wanted: Any, value: Any) -> bool:
    if isinstance(wanted, Mapping):
        others = wanted["anything-but"]
        return value not in (others if isinstance(others, list) else [others])
    return bool(wanted == value)


def differences(wanted: Sequence[Json], found: Sequence[Json]) -> list[str]:
    """Return how the events out differ from the expectations, each of which names some fields of one event."""
    names = {line["detail-type"] for line in wanted}
    left = [line for line in found if line["detail-type"] not in stories.NOT_COMPARED - names]
    missing: list[str] = []
    for line in wanted:
        match = next((each for each in left if _is_same(each, line)), None)
        if match is None:
            missing.append(f"missing: {json.dumps(line, ensure_ascii=False)}")
        else:
            left.remove(match)
    return missing + [f"not expected: {json.dumps(each, ensure_ascii=False)}" for each in left]


def _is_same(found: Any, wanted: Any) -> bool:
    """Whether ``found`` has all of ``wanted``, at any depth."""
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(
            name in found and _is_same(found[name], value) for name, value in wanted.items()
        )
    return bool(found == wanted)


def cannot_be_played(story: Story) -> str | None:
    """Return why a story is left to the simulation alone."""
    if any(setting.at for setting in story.settings):
        return "it changes parameters in its course"
    if any(rule.answer != "accepted" or rule.share < 1 for rule in story.rules):
        return "it scripts refusals of a provider, and the deployed stack hands its messages to the bus"
    return None


def main(names: Sequence[str]) -> int:
    begun = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - begun:4.0f} s] {line}", flush=True)

    differing: list[str] = []
    played = 0
    by_parameters: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for name in names:
        story = read_story(stories.FOLDER / f"{name}.jsonl")
        if why := cannot_be_played(story):
            say(f"{name} is played in the simulation only: {why}")
            continue
        values = {key: value for setting in story.settings for key, value in setting.values.items()}
        by_parameters.setdefault(tuple(sorted(values.items())), []).append(name)
    with story_clock() as clock, emulator.running(environment=clock.environment) as aws:
        for parameters, group in sorted(by_parameters.items()):
            clock.show_true_time()  # `sam deploy` waits for what happens after its own start
            stack = Stack(aws, clock, emulator.deploy(aws, STACK, dict(parameters), say=say))
            for name in group:
                stack.clear()
                story = read_story(stories.FOLDER / f"{name}.jsonl")
                found = DeployedStory(stack, story, Tokens(story)).play()
                deviations = differences(stories.expected(name), found)
                played += 1
                say(f"{name}: {'as in the simulation' if not deviations else 'differs'}, {len(found)} events")
                differing += [f"{name}: {deviation}" for deviation in deviations]
    print("\n".join([*differing, f"{played} stories were played, {len(differing)} events differ"]))
    return 1 if differing or not played else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or stories.names()))
