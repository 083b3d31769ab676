"""Providers' calls as their own documentation shows them (each with its page), with the ids of the tests' routes."""

import base64
import json
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from reengage.domain.routes import Route, Routes

NOW: Final = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
OURS: Final = "f81d4fae-7dec-51d0-a765-00a0c91e6bf6"
"""A ``scheduled_message_id``."""

AGENT: Final = "rcs-cb1e6e519e9049fabf8c0ae38e4d876b"
ROUTES: Final = Routes(
    [
        Route("acme-dental", "whatsapp", "meta", "106540352242922"),
        Route("acme-optics", "whatsapp", "meta", "206540352242922"),
        Route("acme-dental", "sms", "aws", "+12125550101"),
        Route("acme-optics", "sms", "aws", "+12125550102"),
        Route("acme-dental", "rcs", "aws", AGENT),
        Route("acme-optics", "rcs", "aws", "rcs-0000"),
        Route("acme-clinic", "whatsapp", "aws", "phone-number-id-976c72a700aac43eaf573ae050example"),
        Route("acme-optics", "whatsapp", "aws", "phone-number-id-0000"),
        Route("acme-dental", "sms", "twilio", "+15017122661"),
        Route("acme-dental", "google_business_messages", "eventbridge", "brands/1111/agents/2222"),
        Route("acme-optics", "sms", "twilio", "MG0000000000000000000000000000000a"),
        Route("acme-clinic", "whatsapp", "twilio", "+14155238886"),
        Route("acme-garden", "rcs", "webhook", "https://rcs.acme.example/send"),
    ]
)


# developers.facebook.com/documentation/business-messaging/whatsapp: webhooks/reference/messages and its pages, and
# business-scoped-user-ids

SHEENA: Final = MappingProxyType({"profile": {"name": "Sheena Nelson"}, "wa_id": "16505551234"})
TEXT: Final = MappingProxyType(
    {
        "from": "16505551234",
        "id": "wamid.HBgLMTY1MDM4Nzk0MzkVAgASGBQzQTRBNjU5OUFFRTAzODEwMTQ0RgA=",
        "timestamp": "1749416383",
        "type": "text",
        "text": {"body": "Does it come in another color?"},
    }
)


def meta_entry(value: Any, field: str = "messages", number: str = "106540352242922") -> dict[str, Any]:
    metadata = {"display_phone_number": "15550783881", "phone_number_id": number}
    whole = {"messaging_product": "whatsapp", "metadata": metadata, **value} if isinstance(value, dict) else value
    return {"id": "102290129340398", "changes": [{"value": whole, "field": field}]}


def meta_call(*entries: Any) -> dict[str, Any]:
    return {"object": "whatsapp_business_account", "entry": list(entries)}


def meta_message(more: Any = (), *, sender: Any = SHEENA, number: str = "106540352242922") -> dict[str, Any]:
    message = {**TEXT, **dict(more)}
    return meta_call(meta_entry({"contacts": [dict(sender)], "messages": [message]}, number=number))


def meta_status(more: Any = ()) -> dict[str, Any]:
    status = {
        "id": "wamid.HBgLMTY1MDM4Nzk0MzkVAgARGBI3MTE5MjVBOTE3MDk5QUVFM0YA",
        "status": "delivered",
        "timestamp": "1750263773",
        "recipient_id": "16505551234",
        "biz_opaque_callback_data": OURS,
        "pricing": {"billable": True, "pricing_model": "PMP", "category": "utility", "type": "regular"},
    }
    return meta_call(meta_entry({"statuses": [{**status, **dict(more)}]}))


REENGAGEMENT: Final = MappingProxyType(
    {
        "code": 131047,
        "title": "Re-engagement message",
        "message": "Re-engagement message",
        "error_data": {"details": "More than 24 hours have passed since +1 650 555 1234 last replied to this number."},
        "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/",
    }
)


def meta_preference(more: Any = ()) -> dict[str, Any]:
    preference = {
        "wa_id": "16505551234",
        "detail": "User requested to stop marketing messages",
        "category": "marketing_messages",
        "value": "stop",
        "timestamp": 1731705721,
    }
    value = {"contacts": [dict(SHEENA)], "user_preferences": [{**preference, **dict(more)}]}
    return meta_call(meta_entry(value, "user_preferences"))


# docs.aws.amazon.com: sms-voice/latest/userguide/two-way-sms-payload.html, configuration-sets-event-format.html,
# rcs-events.html, rcs-inbound-media.html; social-messaging/latest/userguide/managing-event-destination-dlrs.html

AWS_SMS: Final = MappingProxyType(
    {
        "originationNumber": "+14255550182",
        "destinationNumber": "+12125550101",
        "messageKeyword": "JOIN",
        "messageBody": "EXAMPLE",
        "inboundMessageId": "cae173d2-66b9-564c-8309-21f858e9fb84",
        "previousPublishedMessageId": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    }
)
AWS_RECEIPT: Final = MappingProxyType(
    {
        "eventType": "TEXT_DELIVERED",
        "eventVersion": "1.0",
        "eventTimestamp": 1686975103470,
        "isFinal": True,
        "originationPhoneNumber": "+12125550101",
        "destinationPhoneNumber": "+14255550156",
        "isInternationalSend": False,
        "mcc": "310",
        "mnc": "800",
        "messageId": "862a8790-60c0-4430-9b2b-658bdexample",
        "messageRequestTimestamp": 1686975103170,
        "messageEncoding": "GSM",
        "messageType": "PROMOTIONAL",
        "messageStatus": "DELIVERED",
        "messageStatusDescription": "Message has been accepted by phone",
        "context": {"scheduled_message_id": OURS},
        "totalMessageParts": 1,
        "totalMessagePrice": 0.09582,
        "totalCarrierFee": 0.0,
    }
)
AWS_RCS_RECEIPT: Final = MappingProxyType(
    {
        "eventType": "RCS_DELIVERED",
        "eventVersion": "1.0",
        "eventTimestamp": 1781661267660,
        "isFinal": True,
        "originationPhoneNumber": AGENT,
        "destinationPhoneNumber": "+13022640220",
        "isoCountryCode": "US",
        "isInternationalSend": False,
        "messageId": "test-sc1-004",
        "messageRequestTimestamp": 1781300397157,
        "messageEncoding": "UNICODE",
        "messageType": "TRANSACTIONAL",
        "messageStatus": "DELIVERED",
        "messageStatusDescription": "Message has been accepted by phone",
        "context": {"scheduled_message_id": OURS},
        "totalMessageParts": 1,
        "totalMessagePrice": 0.007,
        "totalCarrierFee": 0.00494,
        "rcsMetadata": {"billingEventType": "RICH"},
        "rcsBusinessId": "endusermessagingtesting1_06fr8x6o_agent",
        "agentIsoCountryCode": "US",
    }
)


def aws_rcs(body: str) -> dict[str, Any]:
    """RCS writes numbers without a plus sign."""
    return {
        "originationNumber": "12679164820",
        "destinationNumber": AGENT,
        "messageBody": body,
        "inboundMessageId": "nIMYZGrBUILWng0Qck0deqVaAoTSJY5PsktKYOBYJhVaTsrdMdrs714e8SLZAjD3",
    }


RCS_TYPING: Final = '{"type":"RCS_TYPING","receivedAt":"2026-06-17T17:36:29.937+0000"}'
RCS_SUGGESTION: Final = '{"type":"SUGGESTION","text":"Open","postbackData":"Open"}'
RCS_SESSION: Final = (
    '{"type":"CONVERSATION_STARTED","startTime":"2026-06-28T04:03:08.002+0000",'
    '"endTime":"2026-06-29T04:08:08.002+0000",'
    '"conversationInitiatingMessageId":"7e7da6ec-234a-4d4f-bbc5-943bcca663ab",'
    '"conversationInitiatingMessageType":"OUTBOUND"}'
)
RCS_MEDIA: Final = (
    '{"mediaStatus":"SUCCESS","s3Bucket":"my-rcs-media-bucket",'
    '"s3Key":"inbound-media/rcs/msg-abc123def456#photo_2026.jpg","mimeType":"image/jpeg",'
    '"fileName":"photo_2026.jpg","fileSizeBytes":1211843}'
)


def aws_whatsapp(entry: Any) -> dict[str, Any]:
    return {
        "context": {
            "MetaWabaIds": [
                {
                    "wabaId": "1234567890abcde",
                    "arn": "arn:aws:social-messaging:us-east-1:123456789012:waba/fb2594b8a7974770b128a409e2example",
                }
            ],
            "MetaPhoneNumberIds": [
                {
                    "metaPhoneNumberId": "abcde1234567890",
                    "arn": "arn:aws:social-messaging:us-east-1:123456789012:phone-number-id/"
                    "976c72a700aac43eaf573ae050example",
                }
            ],
        },
        "whatsAppWebhookEntry": json.dumps(entry),
        "aws_account_id": "123456789012",
        "message_timestamp": "2025-01-08T23:30:43.271279391Z",
        "messageId": "6d69f07a-c317-4278-9d5c-6a84078419ec",
    }


def sns_event(*messages: Any) -> dict[str, Any]:
    """docs.aws.amazon.com/lambda/latest/dg/with-sns.html."""
    return {
        "Records": [
            {
                "EventVersion": "1.0",
                "EventSubscriptionArn": "arn:aws:sns:us-east-1:123456789012:sns-lambda:21be56ed-a058-49f5-8c98",
                "EventSource": "aws:sns",
                "Sns": {
                    "SignatureVersion": "1",
                    "Timestamp": "2031-05-06T07:08:01.123Z",
                    "MessageId": "95df01b4-ee98-5cb9-9903-4c221d41eb5e",
                    "Message": message if isinstance(message, str) else json.dumps(dict(message)),
                    "Type": "Notification",
                    "TopicArn": "arn:aws:sns:us-east-1:123456789012:sns-lambda",
                },
            }
            for message in messages
        ]
    }


# www.twilio.com/docs: messaging/guides/webhook-request, messaging/guides/track-outbound-message-status

TWILIO_SMS: Final = MappingProxyType(
    {
        "ToCountry": "US",
        "SmsMessageSid": "SMXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX",
        "NumMedia": "0",
        "SmsSid": "SMXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX",
        "SmsStatus": "received",
        "FromCountry": "US",
        "To": "+15017122661",
        "Body": "Ahoy! Is Saturday free?",
        "NumSegments": "1",
        "MessageSid": "SMXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX",
        "AccountSid": "ACXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX",
        "From": "+15558675310",
        "ApiVersion": "2010-04-01",
    }
)
TWILIO_WHATSAPP: Final = MappingProxyType(
    {
        **TWILIO_SMS,
        "From": "whatsapp:+15558675310",
        "To": "whatsapp:+14155238886",
        "ProfileName": "Ana",
        "WaId": "15558675310",
        "MessageType": "text",
    }
)
TWILIO_STATUS: Final = MappingProxyType(
    {
        "SmsSid": "SM2xxxxxx",
        "SmsStatus": "sent",
        "MessageStatus": "sent",
        "To": "+15558675310",
        "MessageSid": "SM2xxxxxx",
        "AccountSid": "ACxxxxxxx",
        "From": "+15017122661",
        "ApiVersion": "2010-04-01",
    }
)
TWILIO_QUERY: Final = MappingProxyType({"scheduled_message_id": OURS})


# developers.google.com/business-communications/rcs-business-messaging: guides/build/messages/receive,
# guides/build/events, reference/rest/v1/UserMessage, UserEvent and ServerEvent

RCS_TEXT: Final = MappingProxyType(
    {
        "senderPhoneNumber": "+14155555555",
        "messageId": "MxPRnmI3l0RF2p46Z",
        "sendTime": "2014-10-02T15:01:23.045123456Z",
        "text": "Hi",
        "agentId": "acme_agent@rbm.goog",
    }
)
RCS_DELIVERED: Final = MappingProxyType(
    {
        "senderPhoneNumber": "+14155555555",
        "eventType": "DELIVERED",
        "eventId": "MsHmdWmmqRR2yVYIJ1S7D3rw",
        "messageId": OURS,
        "agentId": "acme_agent@rbm.goog",
    }
)
RCS_EXPIRED: Final = MappingProxyType(
    {
        "phoneNumber": "+14155555555",
        "messageId": OURS,
        "agentId": "acme_agent@rbm.goog",
        "eventType": "TTL_EXPIRATION_REVOKED",
        "eventId": "c2fed4d2-8bd4-4f57-a05f-b27b0bf3fc0b",
        "sendTime": "2014-10-02T15:01:23Z",
    }
)


def rcs_call(data: Any) -> dict[str, Any]:
    raw = data if isinstance(data, bytes) else json.dumps(dict(data)).encode()
    return {
        "message": {
            "attributes": {"product": "RBM", "type": "message"},
            "data": base64.b64encode(raw).decode(),
            "messageId": "1142381109436423",
            "publishTime": "2014-10-02T15:01:24Z",
        },
        "subscription": "projects/rbm-partner/subscriptions/rbm-agent-sub",
    }


# developers.google.com/business-communications/business-messages/guides/how-to/message/conversations/hello-world

BUSINESS_MESSAGE: Final = MappingProxyType(
    {
        "agent": "brands/1111/agents/2222",
        "conversationId": "3333",
        "customAgentId": "hello-world-bot",
        "requestId": "123123123",
        "message": {
            "messageId": "4444",
            "name": "conversations/12345/messages/67890",
            "text": "Hello, I'm World!",
            "createTime": "2020-10-02T15:05:23.045123456Z",
        },
        "context": {
            "entryPoint": "PLACESHEET",
            "userInfo": {"displayName": "Michael", "userDeviceLocale": "en"},
            "resolvedLocale": "en-US",
        },
        "sendTime": "2020-10-02T15:05:24.045123456Z",
    }
)
