"""A deployed stack: its outputs, its functions and its bus. Needs no access to the table."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from reengage.errors import InvalidEvent, ReengageError

if TYPE_CHECKING:
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

PUT_EVENTS_LIMIT = 10
"""Entries that one PutEvents call takes; AWS, EventBridge API reference."""

CALL_TIME: Final = timedelta(seconds=2)
"""An answer's ``Date`` has whole seconds, and a call takes its time: a smaller difference does not count."""

HINTS: Final[Mapping[str, str]] = {
    "must specify a region": " Set AWS_REGION, such as AWS_REGION=eu-central-1, or run `aws configure`.",
    "Unable to locate credentials": ". Run `aws configure`, or `aws sso login`.",
    "does not exist": ". Name another one with --stack, or another region with AWS_REGION.",
    "ExpiredToken": ". Log in again, such as by `aws sso login`.",
}
"""What to do, by a part of botocore's error."""


class StackError(ReengageError):
    """The stack, or one of its functions, does not answer."""


class Functions(Protocol):
    """A deployed stack's functions, by the name of the output that has their ARN."""

    def __call__(self, output: str, event: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Stack:
    """``outputs`` and ``parameters`` are as CloudFormation reports them.

    ``clock_behind`` is how far the clock of this machine is behind AWS's.
    """

    name: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]
    clock_behind: timedelta = timedelta()

    def now(self) -> datetime:
        """Return the present instant by AWS's clock: events of several operators keep their order."""
        return datetime.now(UTC) + self.clock_behind

    def output(self, name: str) -> str:
        if name not in self.outputs:
            raise StackError(f"the stack {self.name} has no output {name}; deploy this version first")
        return self.outputs[name]


def if_readable[T](read: Callable[[], T]) -> T | None:
    """Return what ``read`` reads of a stack; ``None`` if these credentials cannot read it, or AWS does not answer."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - commands without a stack do not need it

    try:
        return read()
    except (StackError, BotoCoreError, ClientError):
        return None


def describe(name: str) -> Stack:
    """Read a stack from CloudFormation. Raises ``StackError``."""
    import boto3  # noqa: PLC0415 - commands without a stack do not need it
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - the same

    try:
        answer = boto3.client("cloudformation").describe_stacks(StackName=name)
    except (BotoCoreError, ClientError) as error:
        hint = next((hint for text, hint in HINTS.items() if text in str(error)), "")
        raise StackError(f"the stack {name}: {error}{hint}") from error
    (stack,) = answer["Stacks"]
    return Stack(
        name,
        {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", ())},
        {given["ParameterKey"]: given.get("ParameterValue", "") for given in stack.get("Parameters", ())},
        _clock_behind(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})),
    )


def _clock_behind(headers: Mapping[str, str]) -> timedelta:
    """Return how far our clock is behind the one of the ``Date`` header; nothing within the time of a call."""
    if "date" not in headers:
        return timedelta()
    behind = parsedate_to_datetime(headers["date"]) - datetime.now(UTC)
    return behind if abs(behind) > CALL_TIME else timedelta()


def stack_functions(name: str) -> Functions:
    """Return a callable that invokes the stack's functions. Raises ``StackError`` if the stack does not exist."""
    import boto3  # noqa: PLC0415 - the same
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - the same

    stack = describe(name)
    client = boto3.client("lambda")

    def invoke(output: str, event: Any) -> Any:
        arn = stack.output(output)
        try:
            answer = client.invoke(FunctionName=arn, Payload=json.dumps(event).encode())
        except (BotoCoreError, ClientError) as error:
            raise StackError(f"{output}: {error}") from error
        payload = json.loads(answer["Payload"].read())
        if answer.get("FunctionError"):
            raise StackError(f"{output}: {payload}")
        return payload

    return invoke


def accepted(answer: Any) -> Any:
    """Return a function's answer. Raises ``InvalidEvent`` if the function rejected the event."""
    if "rejected" in answer:
        raise InvalidEvent(answer["rejected"])
    return answer


def put_events(name: str, envelopes: Sequence[Mapping[str, Any]]) -> None:
    """Put events in on the stack's bus. Raises ``StackError`` that names each event the bus did not take."""
    import boto3  # noqa: PLC0415 - the same
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - the same

    bus, client = describe(name).output("EventBusName"), boto3.client("events")
    for batch in _batches(envelopes):
        entries: list[PutEventsRequestEntryTypeDef] = [
            {
                "EventBusName": bus,
                "Source": str(envelope.get("source", "reengage.cli")),
                "DetailType": str(envelope["detail-type"]),
                "Detail": json.dumps(envelope["detail"]),
            }
            for envelope in batch
        ]
        try:
            answer = client.put_events(Entries=entries)
        except (BotoCoreError, ClientError) as error:
            raise StackError(f"the bus {bus}: {error}") from error
        if answer["FailedEntryCount"]:
            refused = [entry.get("ErrorCode") for entry in answer["Entries"] if entry.get("ErrorCode")]
            failed = answer["FailedEntryCount"]
            raise StackError(f"the bus {bus} did not take {failed} events: {refused}; send them again")


def _batches(envelopes: Sequence[Mapping[str, Any]]) -> Iterator[Sequence[Mapping[str, Any]]]:
    for start in range(0, len(envelopes), PUT_EVENTS_LIMIT):
        yield envelopes[start : start + PUT_EVENTS_LIMIT]
