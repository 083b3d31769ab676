"""AWS's channels: the requests fit botocore's own models, and the tables have every documented error."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final, get_args

import botocore.session
import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)
from botocore.model import OperationModel, Shape, StructureShape
from botocore.validate import ParamValidator

from reengage.adapters.channels.aws import (
    MESSAGE_TYPES,
    SMS_AND_RCS,
    WHATSAPP,
    AwsRcs,
    AwsSms,
    AwsWhatsApp,
)
from reengage.adapters.channels.aws_client import Kinds
from reengage.domain.contact import Contact
from reengage.domain.message import ScheduledMessage
from reengage.domain.policy import Action, Decision
from reengage.domain.reasons import Category
from reengage.domain.routes import Route, Routes
from reengage.domain.subject import SubjectRef
from reengage.ports import Accepted, OutboundMessage, QuickReply, Refused, Retryable, Unknown, Wording
from tests.cases import each_of

NOON: Final = datetime(2031, 3, 19, 12, tzinfo=UTC)
ROUTES: Final = Routes(
    [
        Route("acme-dental", "sms", "aws", "+12025550100"),
        Route("acme-dental", "rcs", "aws", "rcs-0123456789abcdef"),
        Route("acme-dental", "whatsapp", "aws", "phone-number-id-01234567890123456789012345678901"),
        Route("other-brand", "sms", "aws", "+12025550199"),
    ]
)
OPERATIONS: Final = {
    "send_text_message": ("pinpoint-sms-voice-v2", "SendTextMessage"),
    "send_rcs_message": ("pinpoint-sms-voice-v2", "SendRcsMessage"),
    "send_whatsapp_message": ("socialmessaging", "SendWhatsAppMessage"),
}


@cache
def operation(method: str) -> OperationModel:
    service, name = OPERATIONS[method]
    return botocore.session.get_session().get_service_model(service).operation_model(name)


def breaches(shape: Shape | None, value: Any, where: str = "request") -> list[str]:
    """Return the limits and patterns of the model that the value breaks; botocore itself checks minimums only."""
    assert shape is not None
    match shape.type_name:
        case "structure":
            assert isinstance(shape, StructureShape)
            return [
                breach for name in value for breach in breaches(shape.members[name], value[name], f"{where}.{name}")
            ]
        case "map":
            pairs = [*((shape.key, key) for key in value), *((shape.value, item) for item in value.values())]  # type: ignore[attr-defined] # a MapShape has them
            return [breach for part, item in pairs for breach in breaches(part, item, where)]
        case "string":
            allowed = shape.metadata.get("enum")
            fits = re.fullmatch(shape.metadata.get("pattern", r"[\s\S]*"), value) and (not allowed or value in allowed)
            size = len(value)
        case "integer":
            fits, size = True, value
        case _:
            fits, size = True, len(value)
    least, most = shape.metadata.get("min", size), shape.metadata.get("max", size)
    return [] if fits and least <= size <= most else [where]


@dataclass(slots=True)
class Aws:
    """Both clients: check the request against botocore's models, and accept it or fail."""

    failure: Exception | None = None
    requests: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)

    def send_text_message(self, **request: Any) -> Mapping[str, Any]:
        return self._send("send_text_message", request)

    def send_rcs_message(self, **request: Any) -> Mapping[str, Any]:
        return self._send("send_rcs_message", request)

    def send_whatsapp_message(self, **request: Any) -> Mapping[str, Any]:
        return self._send("send_whatsapp_message", request)

    def _send(self, method: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        model = operation(method).input_shape
        assert model
        assert not ParamValidator().validate(request, model).has_errors()
        assert breaches(model, request) == []
        self.requests.append((method, request))
        if self.failure:
            raise self.failure
        return {"MessageId": "m-1", "messageId": "wamid.1"}


def outbound(channel: str = "sms", address: str = "+447700900187", **changes: Any) -> OutboundMessage:
    message = ScheduledMessage(
        contact=Contact(changes.pop("brand", "acme-dental"), channel, address),
        reason=changes.pop("reason", "appointment_reminder"),
        subject=SubjectRef("acme-dental", "appointment", "A-1"),
        offset="PT2H",
        anchor_at=NOON.replace(hour=14),
        due_at=NOON,
        valid_until=NOON.replace(hour=14),
        version=1,
    )
    ready = OutboundMessage(
        message=message,
        wording=Wording("Nhắc bạn lúc 14:00", "vi", "appointment_reminder", ("Acme Dental", "14:00")),
        data={},
        decision=Decision(Action.SEND, None, {}),
        free_text_until=NOON + timedelta(hours=1),
        start_before=NOON + timedelta(seconds=1),
        deliver_before=NOON + timedelta(hours=2),
    )
    return replace(ready, **changes)


def with_text(text: str, channel: str) -> OutboundMessage:
    return outbound(channel, wording=Wording(text, "en", "appointment_reminder"))


def channels(aws: Aws, now: datetime = NOON) -> dict[str, AwsSms | AwsRcs | AwsWhatsApp]:
    return {
        "sms": AwsSms(aws, ROUTES, lambda: now),
        "rcs": AwsRcs(aws, ROUTES, lambda: now),
        "whatsapp": AwsWhatsApp(aws, ROUTES, lambda: now, "v20.0"),
    }


def request_of(of: OutboundMessage) -> Mapping[str, Any]:
    """Return the only request to AWS."""
    aws = Aws()
    channels(aws)[of.message.contact.channel].send(of)
    ((_, request),) = aws.requests
    return request


def test_sms_request_has_receipt_context_and_deadline() -> None:
    assert request_of(outbound()) == {
        "DestinationPhoneNumber": "+447700900187",
        "OriginationIdentity": "+12025550100",
        "MessageBody": "Nhắc bạn lúc 14:00",
        "MessageType": "TRANSACTIONAL",
        "TimeToLive": 7192,
        "Context": {
            "scheduled_message_id": outbound().message.scheduled_message_id,
            "brand": "acme-dental",
            "channel": "sms",
        },
    }


def test_rcs_request_has_receipt_context_and_deadline() -> None:
    assert request_of(outbound("rcs")) == {
        "DestinationPhoneNumber": "+447700900187",
        "OriginationIdentity": "rcs-0123456789abcdef",
        "RcsMessageContent": {"Content": {"TextMessage": {"Body": "Nhắc bạn lúc 14:00"}}},
        "TimeToLive": 7192,
        "Context": {
            "scheduled_message_id": outbound("rcs").message.scheduled_message_id,
            "brand": "acme-dental",
            "channel": "rcs",
        },
    }


def test_a_question_by_rcs_has_suggestions() -> None:
    replies = (QuickReply("Xác nhận", "answer-1"), QuickReply("Hủy lịch hẹn", "answer-2"))
    wording = Wording("Nhắc bạn lúc 14:00", "vi", "appointment_reminder", replies=replies)
    assert request_of(outbound("rcs", wording=wording))["RcsMessageContent"] == {
        "Content": {"TextMessage": {"Body": "Nhắc bạn lúc 14:00"}},
        "Suggestions": [
            {"Reply": {"Text": "Xác nhận", "PostbackData": "answer-1"}},
            {"Reply": {"Text": "Hủy lịch hẹn", "PostbackData": "answer-2"}},
        ],
    }
    assert "answer-1" not in str(request_of(outbound("sms", wording=wording)))


@pytest.mark.parametrize(
    ("address", "recipient"),
    [("+447700900187", {"to": "+447700900187"}), ("GB.13491208655302741918", {"recipient": "GB.13491208655302741918"})],
)
def test_a_whatsapp_message_is_metas_own_json(address: str, recipient: dict[str, str]) -> None:
    request = request_of(outbound("whatsapp", address))
    assert {**request, "message": json.loads(request["message"])} == {
        "originationPhoneNumberId": "phone-number-id-01234567890123456789012345678901",
        "metaApiVersion": "v20.0",
        "message": {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            **recipient,
            "type": "text",
            "text": {"body": "Nhắc bạn lúc 14:00", "preview_url": False},
            "biz_opaque_callback_data": " ".join(
                [outbound("whatsapp", address).message.scheduled_message_id, *recipient.get("recipient", "").split()]
            ),
        },
    }


@pytest.mark.parametrize(("minutes", "kind"), [(59, "text"), (60, "template")])
def test_whatsapp_message_is_free_text_for_24_hours(minutes: int, kind: str) -> None:
    aws = Aws()
    channels(aws, NOON + timedelta(minutes=minutes))["whatsapp"].send(outbound("whatsapp"))
    assert json.loads(aws.requests[0][1]["message"])["type"] == kind


@pytest.mark.parametrize(
    ("reason", "message_type"),
    [
        ("appointment_reminder", "TRANSACTIONAL"),
        ("help_reply", "TRANSACTIONAL"),
        ("trial_follow_up", "PROMOTIONAL"),
    ],
)
def test_the_message_type_follows_the_category(reason: str, message_type: str) -> None:
    assert request_of(outbound(reason=reason))["MessageType"] == message_type


def test_every_category_has_a_message_type() -> None:
    assert set(MESSAGE_TYPES) == set(get_args(Category))


def test_another_brand_writes_from_its_own_number() -> None:
    assert request_of(outbound(brand="other-brand"))["OriginationIdentity"] == "+12025550199"


@pytest.mark.parametrize("channel", [AwsSms, AwsRcs])
def test_a_configuration_set_is_named_where_there_is_one(channel: type[AwsSms] | type[AwsRcs]) -> None:
    aws, kind = Aws(), "sms" if channel is AwsSms else "rcs"
    channel(aws, ROUTES, lambda: NOON, "receipts").send(outbound(kind))
    channel(aws, ROUTES, lambda: NOON).send(outbound(kind))
    assert [request.get("ConfigurationSetName") for _, request in aws.requests] == ["receipts", None]


TIMES: Final = {
    "an SMS, whole seconds only, from when AWS takes it": ("sms", timedelta(seconds=69, milliseconds=900), 61),
    "an SMS, the least": ("sms", timedelta(seconds=13), 5),
    "an SMS, the most": ("sms", timedelta(days=3, seconds=8), 259_200),
    "an SMS, beyond that": ("sms", timedelta(days=30), 259_200),
    "RCS, the least": ("rcs", timedelta(seconds=9), 1),
    "RCS, the most": ("rcs", timedelta(days=2, seconds=8), 172_800),
    "RCS, beyond that": ("rcs", timedelta(days=30), 172_800),
}


@pytest.mark.parametrize(("channel", "left", "seconds"), TIMES.values(), ids=TIMES)
def test_it_lives_no_longer_than_it_is_of_use(channel: str, left: timedelta, seconds: int) -> None:
    assert request_of(outbound(channel, deliver_before=NOON + left))["TimeToLive"] == seconds


TOO_LATE: Final = {
    "an SMS": ("sms", timedelta(seconds=12, milliseconds=999), "4 s left to deliver it in; AWS takes 5 or more"),
    "RCS": ("rcs", timedelta(seconds=8, milliseconds=999), "0 s left to deliver it in; AWS takes 1 or more"),
    "an SMS, in the past": ("sms", timedelta(seconds=-9), "0 s left to deliver it in; AWS takes 5 or more"),
}


@pytest.mark.parametrize(("channel", "left", "error"), TOO_LATE.values(), ids=TOO_LATE)
def test_no_request_if_it_cannot_end_in_time(channel: str, left: timedelta, error: str) -> None:
    aws = Aws()
    assert channels(aws)[channel].send(outbound(channel, deliver_before=NOON + left)) == Retryable(
        error, of_recipient=True
    )
    assert aws.requests == []


@pytest.mark.parametrize(("channel", "most"), [("sms", 1600), ("rcs", 3072)])
def test_a_text_is_at_most_as_long_as_aws_takes_it(channel: str, most: int) -> None:
    aws = Aws()
    assert channels(aws)[channel].send(with_text("ế" * most, channel)) == Accepted("aws", "m-1")
    assert len(aws.requests) == 1
    for length in (most + 1, 0):
        error = f"a text of {length} characters; AWS takes 1 to {most}"
        assert channels(aws)[channel].send(with_text("ế" * length, channel)) == Refused(error)
    assert len(aws.requests) == 1


FAILURES: Final[list[tuple[BotoCoreError, Retryable | Unknown]]] = [
    (NoCredentialsError(), Retryable("NoCredentialsError")),
    (ParamValidationError(report="+447700900187"), Retryable("ParamValidationError")),
    (ReadTimeoutError(endpoint_url="-"), Unknown("ReadTimeoutError")),
    (BotoCoreError(), Unknown("BotoCoreError")),
]


@each_of(("failure", "outcome"), FAILURES)
@each_of("channel", ["sms", "rcs", "whatsapp"])
def test_only_failures_before_the_request_are_retryable(
    channel: str, failure: BotoCoreError, outcome: Retryable | Unknown
) -> None:
    aws = Aws(failure)
    assert channels(aws)[channel].send(outbound(channel)) == outcome
    assert len(aws.requests) == 1


@pytest.mark.parametrize(
    ("method", "outcomes"),
    [("send_text_message", SMS_AND_RCS), ("send_rcs_message", SMS_AND_RCS), ("send_whatsapp_message", WHATSAPP)],
)
def test_the_tables_know_every_documented_error_and_no_other(method: str, outcomes: Kinds) -> None:
    documented = {shape.name: shape for shape in operation(method).error_shapes}
    assert {code for code, reason in outcomes if not reason} == set(documented)
    for code, reason in outcomes:
        if reason:
            shape = documented[code]
            assert isinstance(shape, StructureShape)
            assert reason in shape.members["Reason"].metadata["enum"]


def test_error_names_contain_no_personal_data() -> None:
    response: Any = {
        "Error": {"Code": "To +447700900187", "Message": "+447700900187"},
        "Reason": "+447700900187 is wrong",
        "ResponseMetadata": {"HTTPStatusCode": 400, "HTTPHeaders": {}},
    }
    aws = Aws(ClientError(response, "SendTextMessage"))
    assert channels(aws)["sms"].send(outbound()) == Retryable("HTTP 400")
