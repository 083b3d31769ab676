"""The queue of rejected events: each kept whole, with what is wrong with it, for somebody to mend and send again."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class QueueClient(Protocol):
    """botocore's ``sqs`` client, as far as it is used here."""

    def send_message(self, *, QueueUrl: str, MessageBody: str) -> Any: ...  # noqa: N803


@dataclass(frozen=True, slots=True)
class RejectedEventsQueue:
    """``ports.KeepRejected`` over SQS. The body is ``{"errors": […], "event": …}``."""

    client: QueueClient
    url: str

    def __call__(self, event: Any, errors: Sequence[str]) -> None:
        # ASCII only: SQS takes not every character that JSON may hold.
        self.client.send_message(QueueUrl=self.url, MessageBody=json.dumps({"errors": list(errors), "event": event}))
