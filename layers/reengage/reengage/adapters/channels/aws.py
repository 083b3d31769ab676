"""AWS End User Messaging: SMS and RCS by ``pinpoint-sms-voice-v2``, WhatsApp by ``socialmessaging``.

The clients use ``Http`` (``aws_client.over``) and make one attempt per call. The three operations accept no
idempotency token, so a hidden retry after a lost response would send the message twice.

Sources, beside the service models in botocore:
https://docs.aws.amazon.com/pinpoint/latest/apireference_smsvoicev2/API_SendTextMessage.html
https://docs.aws.amazon.com/pinpoint/latest/apireference_smsvoicev2/API_SendRcsMessage.html
https://docs.aws.amazon.com/social-messaging/latest/APIReference/API_SendWhatsAppMessage.html
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final, Protocol

from botocore.exceptions import ClientError

from reengage.domain.reasons import Category
from reengage.domain.routes import Routes
from reengage.ports import Accepted, Clock, OptedOut, OutboundMessage, Outcome, Refused, Retryable, Unknown

from .aws_client import Kinds, classify_error, invoke
from .http import LONGEST
from .whatsapp import whatsapp_message

PROVIDER: Final = "aws"

SMS_TEXT: Final = 1600
"""Most characters that SendTextMessage accepts, in any number of segments."""

RCS_TEXT: Final = 3072
"""Most characters that SendRcsMessage accepts."""

SMS_SECONDS: Final = range(5, 259_200 + 1)
"""Valid ``TimeToLive`` of SendTextMessage: AWS stops trying to hand the message to the carrier after it."""

RCS_SECONDS: Final = range(1, 172_800 + 1)
"""Valid ``TimeToLive`` of SendRcsMessage, from acceptance on: after it AWS revokes an undelivered message.

https://docs.aws.amazon.com/sms-voice/latest/userguide/rcs-message-expiration.html
"""

MESSAGE_TYPES: Final[Mapping[Category, str]] = MappingProxyType(
    {"utility": "TRANSACTIONAL", "reply": "TRANSACTIONAL", "marketing": "PROMOTIONAL"}
)

SMS_AND_RCS: Final[Kinds] = MappingProxyType(
    {
        # Not accepted, and a retry may succeed.
        ("ThrottlingException", ""): Retryable,
        # Our account, number, agent, quota or spending, and AWS's sandbox (DESTINATION_PHONE_NUMBER_NOT_VERIFIED):
        # an operator must fix it.
        ("AccessDeniedException", ""): Retryable,
        ("ConflictException", ""): Retryable,
        ("ResourceNotFoundException", ""): Retryable,
        ("ServiceQuotaExceededException", ""): Retryable,
        ("ValidationException", ""): Retryable,
        # https://docs.aws.amazon.com/sms-voice/latest/userguide/opt-out-list.html
        ("ConflictException", "DESTINATION_PHONE_NUMBER_OPTED_OUT"): OptedOut,
        # https://docs.aws.amazon.com/sms-voice/latest/userguide/protect-configuration.html: set by the operator.
        ("ConflictException", "DESTINATION_COUNTRY_BLOCKED_BY_PROTECT_CONFIGURATION"): Refused,
        ("ConflictException", "DESTINATION_PHONE_NUMBER_BLOCKED_BY_PROTECT_NUMBER_OVERRIDE"): Refused,
        # The recipient's country does not allow this sender.
        ("ValidationException", "COUNTRY_CODE_MISMATCH"): Refused,
        ("ValidationException", "DESTINATION_COUNTRY_BLOCKED"): Refused,
        ("ValidationException", "INTERNATIONAL_SENDING_NOT_SUPPORTED"): Refused,
        ("ValidationException", "INVALID_IDENTITY_FOR_DESTINATION_COUNTRY"): Refused,
        ("ValidationException", "SENDER_ID_NOT_SUPPORTED"): Refused,
        # The text.
        ("ValidationException", "MAXIMUM_SIZE_EXCEEDED"): Refused,
        ("InternalServerException", ""): Unknown,
    }
)
"""The outcome of each documented error of SendTextMessage and SendRcsMessage."""

OF_THE_MESSAGE: Final = frozenset({"destinationphonenumber", "messagebody", "rcsmessagecontent"})
"""``Fields`` of a ValidationException that concern this message, and not the configuration."""

WHATSAPP: Final[Kinds] = MappingProxyType(
    {
        ("ThrottledRequestException", ""): Retryable,
        # Our permission or phone number id. AWS does not name a wrong parameter: it may be the API's version.
        ("AccessDeniedException", ""): Retryable,
        ("InvalidParametersException", ""): Retryable,
        ("ResourceNotFoundException", ""): Retryable,
        ("ValidationException", ""): Retryable,
        # A 502, "thrown when performing an action because a dependency would be broken": AWS calls Meta, and the
        # response does not show whether Meta accepted the message.
        ("DependencyException", ""): Unknown,
        ("InternalServiceException", ""): Unknown,
    }
)
"""The outcome of each documented error of SendWhatsAppMessage.

Only a later status shows whether a person has WhatsApp, or is within the 24 hours.
"""


class SmsClient(Protocol):
    """botocore's ``pinpoint-sms-voice-v2`` client, as far as it is used here."""

    def send_text_message(self, **request: Any) -> Mapping[str, Any]: ...

    def send_rcs_message(self, **request: Any) -> Mapping[str, Any]: ...


class SocialClient(Protocol):
    """botocore's ``socialmessaging`` client, as far as it is used here."""

    def send_whatsapp_message(self, **request: Any) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class AwsSms:
    """Send SMS from the route's number, sender id or pool.

    The event destinations of the ``configuration_set`` get the receipts, with ``scheduled_message_id`` in their
    ``context``.
    """

    client: SmsClient
    routes: Routes
    clock: Clock
    configuration_set: str | None = None

    def send(self, outbound: OutboundMessage) -> Outcome:
        text, seconds = outbound.wording.text, _seconds_left(outbound, self.clock)
        if blocked_by := _hindrance(text, SMS_TEXT, seconds, SMS_SECONDS):
            return blocked_by
        request = {
            **_envelope(outbound, self.routes, self.configuration_set),
            "MessageBody": text,
            "MessageType": MESSAGE_TYPES[outbound.message.reason_spec.category],
            "TimeToLive": min(seconds, SMS_SECONDS[-1]),
        }
        return _handed_over(
            self.client.send_text_message, request, outbound, self.clock, outcomes=SMS_AND_RCS, message_id="MessageId"
        )


@dataclass(frozen=True, slots=True)
class AwsRcs:
    """Send RCS from the route's agent or pool, without a fallback: another channel is another contact."""

    client: SmsClient
    routes: Routes
    clock: Clock
    configuration_set: str | None = None

    def send(self, outbound: OutboundMessage) -> Outcome:
        text, seconds = outbound.wording.text, _seconds_left(outbound, self.clock)
        if blocked_by := _hindrance(text, RCS_TEXT, seconds, RCS_SECONDS):
            return blocked_by
        request = {
            **_envelope(outbound, self.routes, self.configuration_set),
            "RcsMessageContent": {"Content": {"TextMessage": {"Body": text}}, **_suggestions(outbound)},
            "TimeToLive": min(seconds, RCS_SECONDS[-1]),
        }
        return _handed_over(
            self.client.send_rcs_message, request, outbound, self.clock, outcomes=SMS_AND_RCS, message_id="MessageId"
        )


@dataclass(frozen=True, slots=True)
class AwsWhatsApp:
    """Send WhatsApp from the route's ``phone-number-id-…`` or its ARN. ``meta_api_version`` is such as ``v20.0``.

    AWS forwards Meta's JSON: ``to`` with the plus sign, or ``recipient`` for a user's id
    (github.com/aws/agent-toolkit-for-aws, aws-social-messaging, "Sending messages"). There is no time-to-live: Meta
    accepts one only in a template's settings and in its Direct Send API.
    """

    client: SocialClient
    routes: Routes
    clock: Clock
    meta_api_version: str

    def send(self, outbound: OutboundMessage) -> Outcome:
        request = {
            "originationPhoneNumberId": (outbound.sender_id or self.routes.of(outbound.message.recipient).sender_id),
            "message": json.dumps(whatsapp_message(outbound, self.clock())).encode(),
            "metaApiVersion": self.meta_api_version,
        }
        return _handed_over(
            self.client.send_whatsapp_message, request, outbound, self.clock, outcomes=WHATSAPP, message_id="messageId"
        )


def _envelope(outbound: OutboundMessage, routes: Routes, configuration_set: str | None) -> dict[str, Any]:
    """Return the sender, the recipient and the context.

    AWS returns ``Context`` with every receipt. It has at most 5 pairs; keys have 1 to 100 characters without white
    space, and values at most 800.
    """
    return {
        "DestinationPhoneNumber": outbound.message.recipient.address,
        "OriginationIdentity": outbound.sender_id or routes.of(outbound.message.recipient).sender_id,
        "Context": {
            "scheduled_message_id": outbound.message.scheduled_message_id,
            "brand": outbound.message.recipient.brand,
            "channel": outbound.message.recipient.channel,
        },
        **({"ConfigurationSetName": configuration_set} if configuration_set else {}),
    }


def _suggestions(outbound: OutboundMessage) -> dict[str, Any]:
    """Buttons under an RCS message: labels of up to 25 characters, data of up to 2,048."""
    replies = [{"Reply": {"Text": reply.label, "PostbackData": reply.payload}} for reply in outbound.wording.replies]
    return {"Suggestions": replies} if replies else {}


def _seconds_left(outbound: OutboundMessage, clock: Clock) -> int:
    """Return the seconds left when AWS accepts the message, which is at most ``LONGEST`` after now."""
    return (outbound.deliver_before - LONGEST - clock()) // timedelta(seconds=1)


def _hindrance(text: str, most: int, seconds: int, accepted: range) -> Refused | Retryable | None:
    """Return the outcome if no call is needed, because AWS would refuse the message."""
    if not 1 <= len(text) <= most:
        return Refused(f"a text of {len(text)} characters; AWS takes 1 to {most}")
    if seconds < accepted[0]:
        error = f"{max(seconds, 0)} s left to deliver it in; AWS takes {accepted[0]} or more"
        return Retryable(error, of_recipient=True)
    return None


def _handed_over(
    call: Callable[..., Mapping[str, Any]],
    request: Mapping[str, Any],
    outbound: OutboundMessage,
    clock: Clock,
    *,
    outcomes: Kinds,
    message_id: str,
) -> Outcome:
    """Make the one call and return its outcome. ``message_id`` is the field of the response."""
    match invoke(call, request, start_within=outbound.start_before - clock()):
        case Retryable() | Unknown() as outcome:
            return outcome
        case ClientError() as error:
            result = classify_error(error, outcomes, clock())
            return Refused(result.error) if isinstance(result, Retryable) and _names_the_message(error) else result
        case answer:
            provider_message_id = answer.get(message_id)
            if isinstance(provider_message_id, str) and provider_message_id:
                return Accepted(PROVIDER, provider_message_id)
            return Unknown("an answer without a message id")


def _names_the_message(error: ClientError) -> bool:
    response: Mapping[str, Any] = {**error.response}
    if response["Error"].get("Code") != "ValidationException":
        return False
    aliases = [str(field.get("Name")) for field in response.get("Fields", ()) if field]
    return any(name.partition(".")[0].casefold() in OF_THE_MESSAGE for name in aliases)
