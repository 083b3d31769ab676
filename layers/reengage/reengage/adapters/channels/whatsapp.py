"""A WhatsApp message as Meta's Cloud API takes it, directly or through AWS (developers.facebook.com, "Messages")."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from reengage.ports import OutboundMessage


def whatsapp_message(outbound: OutboundMessage, now: datetime) -> dict[str, Any]:
    """Free text within 24 hours of the person's last message (``free_text_until``), the approved template after that.

    ``biz_opaque_callback_data`` comes back with every status of the message.
    """
    address = outbound.message.contact.address
    return {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        # A phone number, or the opaque id of a user who shows none (``recipient``).
        **({"to": address} if address.startswith("+") else {"recipient": address}),
        **(_text(outbound) if now < outbound.free_text_until else _template(outbound)),
        "biz_opaque_callback_data": outbound.message.scheduled_message_id,
    }


def _text(outbound: OutboundMessage) -> Mapping[str, Any]:
    return {"type": "text", "text": {"body": outbound.wording.text, "preview_url": False}}


def _template(outbound: OutboundMessage) -> Mapping[str, Any]:
    wording = outbound.wording
    parameters = [{"type": "text", "text": parameter} for parameter in wording.parameters]
    return {
        "type": "template",
        "template": {
            "name": wording.template,
            "language": {"code": wording.locale.replace("-", "_")},
            **({"components": [{"type": "body", "parameters": parameters}]} if parameters else {}),
        },
    }
