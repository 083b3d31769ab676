"""The queue of rejected events. Each is kept whole with its errors, to be corrected and sent again."""

import gzip
import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

BODY: Final = 262_144
"""Bytes of the largest SQS message, by the default quota."""


class QueueClient(Protocol):
    """botocore's ``sqs`` client, as far as it is used here."""

    def send_message(self, *, QueueUrl: str, MessageBody: str) -> Any: ...  # noqa: N803 - botocore's names


@dataclass(frozen=True, slots=True)
class RejectedEventsQueue:
    """Send rejected events to SQS; implements ``ports.KeepRejected``.

    The body is ``{"errors": […], "event": …}``. If that is too large, ``gzip`` replaces ``event``: its JSON,
    compressed and in base64. If that is too large as well, ``cut`` has the beginning of the JSON.
    """

    client: QueueClient
    url: str

    def __call__(self, event: Any, errors: Sequence[str]) -> None:
        self.client.send_message(QueueUrl=self.url, MessageBody=_body(event, list(errors)))


def _body(event: Any, errors: list[str]) -> str:
    """Return the body in ASCII: SQS rejects some characters that JSON may contain."""
    whole = json.dumps({"errors": errors, "event": event})
    if len(whole) <= BODY:
        return whole
    written = json.dumps(event)
    packed = json.dumps({"errors": errors, "gzip": b64encode(gzip.compress(written.encode())).decode()})
    return packed if len(packed) <= BODY else json.dumps({"errors": errors, "cut": written[: BODY // 4]})
