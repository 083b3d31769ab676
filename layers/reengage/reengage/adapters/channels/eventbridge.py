"""The app's own bus as the channel that needs no provider."""

from dataclasses import dataclass
from typing import Final

from botocore.exceptions import ClientError

from reengage.adapters.eventbridge import EventBus, send_requested
from reengage.ports import Accepted, Clock, OutboundMessage, Outcome, Refused, Retryable, Unknown

from .aws_client import NO_KINDS, classify_error, invoke

# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html: an entry with an error
# code was not published. With these codes no retry can succeed.
REFUSALS: Final = frozenset(
    {
        "InvalidArgument",
        "MalformedDetail",
        "NotAuthorizedForDetailTypeException",
        "NotAuthorizedForSourceException",
    }
)


@dataclass(frozen=True, slots=True)
class EventBridgeChannel:
    """Publish ``MessageSendRequested`` once for each message, so that a business system delivers it.

    ``bus.client`` uses ``Http`` (``aws_client.over``) and makes one attempt per call: a hidden retry after a lost
    response would request the message twice.
    """

    bus: EventBus
    clock: Clock

    def send(self, outbound: OutboundMessage) -> Outcome:
        request = {"Entries": [self.bus.entry(send_requested(outbound))]}
        match invoke(self.bus.client.put_events, request, start_within=outbound.start_before - self.clock()):
            case Retryable() | Unknown() as outcome:
                return outcome
            case ClientError() as error:
                return classify_error(error, NO_KINDS, self.clock())
            case {"Entries": [{"ErrorCode": str(code)}]}:
                return Refused(code) if code in REFUSALS else Retryable(code)
            case {"Entries": [{"EventId": str(event_id)}]}:
                return Accepted("eventbridge", event_id)
            case _:
                return Unknown("an answer without a result")
