"""Build a WhatsApp message for Meta's Cloud API, which is called directly or through AWS.

A message has no time-to-live here. Meta accepts one only for a utility template, if that is created or changed
(``message_send_ttl_seconds``, 30 seconds to 12 hours; the default is 30 days). A text has no time-to-live.
https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/time-to-live
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from reengage.ports import OutboundMessage

_CHINESE: Final = MappingProxyType({"zh": "zh_CN", "zh-Hans": "zh_CN", "zh-Hant": "zh_TW"})
_REGION: Final = 2

INTERACTIVE_TEXT: Final = 1024
"""Characters in the body of a message with buttons; a text alone may have 4,096."""


def whatsapp_message(outbound: OutboundMessage, now: datetime) -> dict[str, Any]:
    """Return free text until ``free_text_until`` (24 hours after the last message), the approved template after it.

    Meta returns ``biz_opaque_callback_data`` (at most 512 bytes) with every status: the message's id. A message to a
    user's id also has that id, because the status may contain the person's number instead.
    """
    contact, scheduled_message_id = outbound.message.recipient, outbound.message.scheduled_message_id
    is_number = contact.address.startswith("+")
    return {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        # A phone number with its plus sign, or the business-scoped id of a person who shows none:
        # developers.facebook.com/documentation/business-messaging/whatsapp/business-scoped-user-ids
        "to" if is_number else "recipient": contact.address,
        **(_text(outbound) if now < outbound.free_text_until else _template(outbound)),
        "biz_opaque_callback_data": scheduled_message_id if is_number else f"{scheduled_message_id} {contact.address}",
    }


def _text(outbound: OutboundMessage) -> Mapping[str, Any]:
    """Text, or an interactive message with up to three reply buttons: titles of 20 characters, ids of 256.

    https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/interactive-reply-buttons-messages
    """
    replies = outbound.wording.replies
    if replies and len(outbound.wording.text) <= INTERACTIVE_TEXT:
        buttons = [{"type": "reply", "reply": {"id": reply.payload, "title": reply.label}} for reply in replies]
        interactive = {"type": "button", "body": {"text": outbound.wording.text}, "action": {"buttons": buttons}}
        return {"type": "interactive", "interactive": interactive}
    return {"type": "text", "text": {"body": outbound.wording.text, "preview_url": False}}


def _template(outbound: OutboundMessage) -> Mapping[str, Any]:
    wording = outbound.wording
    parameters = [{"type": "text", "text": on_one_line(parameter)} for parameter in wording.parameters]
    components: list[dict[str, Any]] = [{"type": "body", "parameters": parameters}] if parameters else []
    if wording.template_has_replies:
        # The labels are the approved template's; each payload comes back with its button.
        components += [
            {
                "type": "button",
                "sub_type": "quick_reply",
                "index": str(index),
                "parameters": [{"type": "payload", "payload": reply.payload}],
            }
            for index, reply in enumerate(wording.replies)
        ]
    return {
        "type": "template",
        "template": {
            "name": wording.template,
            "language": {"code": language_code(wording.locale)},
            **({"components": components} if components else {}),
        },
    }


def language_code(locale: str) -> str:
    """Return Meta's code: the language, an underscore and the region, without script (``zh_TW`` for ``zh-Hant-TW``).

    https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/supported-languages
    """
    if locale in _CHINESE:
        return _CHINESE[locale]
    language, *rest = locale.split("-")
    return "_".join([language, *(part for part in rest if len(part) == _REGION)])


def on_one_line(parameter: str) -> str:
    """Remove line breaks, tabs and repeated spaces, which Meta refuses in a template's parameter."""
    return " ".join(parameter.split())
