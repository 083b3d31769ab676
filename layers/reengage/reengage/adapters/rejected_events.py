"""The queue of rejected events: each kept whole, with what is wrong with it, for somebody to mend and send again."""

import gzip
import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

BODY: Final = 262_144
"""Bytes that SQS takes as a message, where nobody has asked it for more."""


class QueueClient(Protocol):
    """botocore's ``sqs`` client, as far as it is used here."""

    def send_message(self, *, QueueUrl: str, MessageBody: str) -> Any: ...  # noqa: N803


@dataclass(frozen=True, slots=True)
class RejectedEventsQueue:
    """``ports.KeepRejected`` over SQS. The body is ``{"errors": […], "event": …}``; of an event that is too large for
    that, ``gzip`` has its JSON, compressed and in base64, in place of ``event``. Of one that is so too large still,
    ``cut`` has the beginning.
    """

    client: QueueClient
    url: str

    def __call__(self, event: Any, errors: Sequence[str]) -> None:
        self.client.send_message(QueueUrl=self.url, MessageBody=_body(event, list(errors)))


def _body(event: Any, errors: list[str]) -> str:
    """ASCII only: SQS takes not every character that JSON may hold."""
    whole = json.dumps({"errors": errors, "event": event})
    if len(whole) <= BODY:
        return whole
    written = json.dumps(event)
    packed = json.dumps({"errors": errors, "gzip": b64encode(gzip.compress(written.encode())).decode()})
    return packed if len(packed) <= BODY else json.dumps({"errors": errors, "cut": written[: BODY // 4]})
