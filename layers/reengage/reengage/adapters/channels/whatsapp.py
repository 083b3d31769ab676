"""A WhatsApp message as Meta's Cloud API takes it, directly or through AWS.

There is no time-to-live here: Meta takes one for a utility template as such, when that is created or changed
(``message_send_ttl_seconds``, 30 seconds to 12 hours; 30 days where nobody set one), and none for a text.
https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/time-to-live
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from reengage.ports import OutboundMessage

_CHINESE: Final = MappingProxyType({"zh": "zh_CN", "zh-Hans": "zh_CN", "zh-Hant": "zh_TW"})
_REGION: Final = 2


def whatsapp_message(outbound: OutboundMessage, now: datetime) -> dict[str, Any]:
    """Free text within 24 hours of the person's last message (``free_text_until``), the approved template after that.

    ``biz_opaque_callback_data`` (at most 512 bytes) comes back with every status of the message: its id, and behind it
    a user's id where it was sent to one, for the status may name the person by their number.
    """
    contact, scheduled_message_id = outbound.message.contact, outbound.message.scheduled_message_id
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
    return {"type": "text", "text": {"body": outbound.wording.text, "preview_url": False}}


def _template(outbound: OutboundMessage) -> Mapping[str, Any]:
    wording = outbound.wording
    parameters = [{"type": "text", "text": on_one_line(parameter)} for parameter in wording.parameters]
    return {
        "type": "template",
        "template": {
            "name": wording.template,
            "language": {"code": language_code(wording.locale)},
            **({"components": [{"type": "body", "parameters": parameters}]} if parameters else {}),
        },
    }


def language_code(locale: str) -> str:
    """Meta's code: the language, then an underscore and the region; no script (``zh_TW`` for ``zh-Hant-TW``).

    https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/supported-languages
    """
    if locale in _CHINESE:
        return _CHINESE[locale]
    language, *rest = locale.split("-")
    return "_".join([language, *(part for part in rest if len(part) == _REGION)])


def on_one_line(parameter: str) -> str:
    """Meta refuses a template's parameter with a line break, a tab or more than four spaces in a row."""
    return " ".join(parameter.split())
