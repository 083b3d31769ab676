"""SMS and WhatsApp by Twilio: ``POST /2010-04-01/Accounts/<account sid>/Messages.json``, form-encoded.

https://www.twilio.com/docs/messaging/api/message-resource. The route's identity is a number, with or without
``whatsapp:``, or the SID of a Messaging Service (``MG…``).

Secrets: ``twilio_account_sid`` and ``twilio_auth_token``. WhatsApp after 24 hours also needs ``twilio_content_sids``: a
JSON object from ``<template>/<locale>`` to the ContentSid of the approved template. A brand with one language may use
``<template>``. https://www.twilio.com/docs/api/errors/<code> explains each code. Many arrive only in a later status.
"""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote, urlencode

from reengage.domain.routes import Routes
from reengage.ports import Accepted, Clock, OptedOut, OutboundMessage, Outcome, Refused, Retryable, Unknown, Wording

from .http import LONGEST, OF_MESSAGE, WAIT_A_DAY, Codes, Http, HttpResponse, Secrets, credentials
from .whatsapp import on_one_line

URL: Final = "https://api.twilio.com"

TRY_AGAIN: Final = "#rc=5&rp=all"
"""Make Twilio repeat a status call up to 5 times after any failure, also a 5xx of ours.

By default it repeats once, and only if it could not connect. The fragment is not sent or signed
(https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides).
"""

VALIDITY: Final = range(1, 36_000 + 1)
"""Valid ``ValidityPeriod`` in seconds: how long Twilio keeps a message in its own queue.

https://www.twilio.com/docs/api/errors/90007. How long a carrier keeps it after that is not known.
"""

QUICK_REPLIES: Final = "quick_replies"
"""The name in ``twilio_content_sids`` of the content with three buttons.

Its variable 1 is the text. The variables 2 to 7 are the labels and ids of the buttons.
"""

QUICK_REPLY_TEXT: Final = 1024
"""Characters of the body of twilio/quick-reply."""

BUTTONS: Final = 3

CODES: Final[Codes] = MappingProxyType(
    {
        21610: (OptedOut, "unsubscribed recipient"),
        # Throttled, or not accepted for now. "Requests that receive 429 responses aren't processed" (20429).
        14107: (Retryable, "send rate limit exceeded"),
        20429: (Retryable, "too many requests"),
        21611: (Retryable, "too many queued messages of this sender"),
        21730: (Retryable, "system under maintenance"),
        30001: (Retryable, "queue overflow"),
        63017: (Retryable, "rate limit exceeded"),
        63018: (Retryable, "rate limit exceeded for channel"),
        63038: (Retryable, "daily messages limit exceeded"),
        63053: (OF_MESSAGE, "template sync can take up to 10 minutes"),
        # The credentials, the account, the sender: an operator must fix it.
        10001: (Retryable, "account is not active"),
        10002: (Retryable, "trial accounts do not support this"),
        20003: (Retryable, "permission denied"),
        20005: (Retryable, "account not active"),
        20006: (Retryable, "access denied"),
        20008: (Retryable, "test credentials"),
        20010: (Retryable, "action disabled for account"),
        20403: (Retryable, "forbidden"),
        20404: (Retryable, "not found"),
        21212: (Retryable, "invalid From number"),
        21264: (Retryable, "From is not verified"),
        21267: (Retryable, "From cannot be an alphanumeric sender id on trial accounts"),
        21601: (Retryable, "From is not an SMS-capable inbound number"),
        21603: (Retryable, "From is required"),
        21606: (Retryable, "From is not a message-capable number"),
        21607: (Retryable, "From must be a sandbox number"),
        21608: (Retryable, "To is not verified for this account"),
        21609: (Retryable, "invalid StatusCallback"),
        21616: (Retryable, "From matches several numbers of this account"),
        21654: (Retryable, "ContentSid is required"),
        21655: (Retryable, "invalid ContentSid"),
        21657: (Retryable, "the sender id is invalid"),
        21659: (Retryable, "From is not a number of this account"),
        21660: (Retryable, "From and account do not match"),
        21661: (Retryable, "From is not SMS-capable"),
        21663: (Retryable, "the routing of From is not configured correctly"),
        21668: (Retryable, "this type of number cannot send in region IE1"),
        21701: (Retryable, "the Messaging Service does not exist"),
        21702: (Retryable, "the Messaging Service is not available"),
        21703: (Retryable, "the Messaging Service has no number for this"),
        21704: (Retryable, "the Messaging Service contains no numbers"),
        21705: (Retryable, "the Messaging Service is invalid"),
        21910: (Retryable, "From and To are not of the same channel"),
        30002: (Retryable, "account suspended"),
        30032: (Retryable, "toll-free number has not been verified"),
        30033: (Retryable, "US A2P 10DLC campaign suspended"),
        30034: (Retryable, "US A2P 10DLC message from an unregistered number"),
        30035: (Retryable, "US A2P 10DLC number is still being configured"),
        30037: (Retryable, "outbound messaging disabled"),
        63001: (Retryable, "channel could not authenticate the request"),
        63007: (Retryable, "no channel with this From"),
        63008: (Retryable, "channel is misconfigured"),
        63015: (OF_MESSAGE, "recipient has not joined a sandbox"),
        63020: (Retryable, "Business Manager account error"),
        63022: (Retryable, "invalid vname certificate"),
        63027: (OF_MESSAGE, "template does not exist for that language"),
        63040: (OF_MESSAGE, "template rejected"),
        63051: (Retryable, "WhatsApp Business Account is locked"),
        63054: (OF_MESSAGE, "template unavailable for use"),
        63056: (Retryable, "ineligible account type"),
        63059: (Retryable, "number has moved to another WhatsApp Business Account"),
        90010: (Retryable, "account is not active"),
        572006: (OF_MESSAGE, "trial accounts send predefined templates only"),
        # Refused for this contact.
        21211: (Refused, "invalid To number"),
        21214: (Refused, "To cannot be reached"),
        21217: (Refused, "To does not appear to be valid"),
        21408: (Refused, "region of To is not enabled"),
        21612: (Refused, "To is not reachable from this sender"),
        21614: (Refused, "To is not a mobile number"),
        21635: (Refused, "To is a landline"),
        21265: (Refused, "To is a short code"),
        21266: (Refused, "same From and To"),
        21268: (Refused, "To is a premium rate or information service"),
        63003: (Refused, "channel could not find To"),
        # "Blocked", or only marketing stopped: Twilio does not show which, so this is no opt-out of the brand.
        63014: (Refused, "blocked by user action"),
        63024: (Refused, "invalid message recipient"),
        63031: (Refused, "same From and To"),
        63032: (Refused, "a limitation of WhatsApp"),
        63033: (Refused, "recipient blocked to receive message"),
        63049: (WAIT_A_DAY, "Meta chose not to deliver"),
        63058: (Refused, "restricted from messaging users in this country"),
        # Marketing only, so this is no opt-out of the brand.
        63050: (partial(OptedOut, topic="marketing"), "user has opted out of marketing messages"),
        # Refused for this content.
        21602: (Refused, "body is required"),
        21617: (Refused, "body exceeds 1600 characters"),
        21618: (Refused, "body cannot be sent"),
        21619: (Refused, "body, media or ContentSid is required"),
        21656: (Refused, "invalid ContentVariables"),
        21658: (Refused, "parameter exceeds its character limit"),
        63005: (Refused, "channel did not accept the content"),
        63013: (Refused, "channel policy violation"),
        63016: (Refused, "free text outside the window"),
        63021: (Refused, "channel invalid content"),
        63028: (Refused, "number of parameters does not match"),
        63041: (Refused, "template is paused"),
        63042: (Refused, "template is disabled"),
        63055: (Refused, "only marketing messages supported"),
        # A failure of Twilio or of the channel.
        20500: (Unknown, "internal server error"),
        20503: (Unknown, "service unavailable"),
        63010: (Unknown, "internal error"),
        63012: (Unknown, "channel internal service error"),
    }
)


@dataclass(frozen=True, slots=True)
class TwilioChannel:
    """Send SMS and WhatsApp by Twilio.

    ``webhook_url`` is the app's own, which gets Twilio's statuses. ``url`` is Twilio's, or that of a test server.
    """

    http: Http
    secrets: Secrets
    routes: Routes
    clock: Clock
    webhook_url: str | None = None
    url: str = URL

    def send(self, outbound: OutboundMessage) -> Outcome:
        secrets = credentials(
            self.secrets, "twilio_account_sid", "twilio_auth_token", brand=outbound.message.recipient.brand
        )
        if isinstance(secrets, Retryable):
            return secrets
        now = self.clock()
        # Seconds left when Twilio accepts the message, which is at most ``LONGEST`` after now.
        left = (outbound.deliver_before - LONGEST - now) // timedelta(seconds=1)
        if left < VALIDITY[0]:
            return Retryable("too little time is left to deliver it", of_recipient=True)
        content = _content(outbound, secrets, now)
        if isinstance(content, Refused):
            return content
        form = {**self._addresses(outbound), **content, "ValidityPeriod": str(min(left, VALIDITY[-1]))}
        account = str(secrets["twilio_account_sid"])
        answer = self.http.post(
            f"{self.url}/2010-04-01/Accounts/{quote(account, safe='')}/Messages.json",
            {
                "Authorization": _basic(account, str(secrets["twilio_auth_token"])),
                "Content-Type": "application/x-www-form-urlencoded",
            },
            urlencode(form).encode(),
            start_within=outbound.start_before - self.clock(),
        )
        return self._outcome(answer) if isinstance(answer, HttpResponse) else answer

    def _addresses(self, outbound: OutboundMessage) -> Mapping[str, str]:
        contact = outbound.message.recipient
        sender_id = outbound.sender_id or self.routes.of(contact).sender_id
        back = {
            "scheduled_message_id": outbound.message.scheduled_message_id,
            "brand": contact.brand,
            "channel": contact.channel,
        }
        return {
            "To": _on(contact.channel, contact.address),
            **(
                {"MessagingServiceSid": sender_id}
                if sender_id.startswith("MG")
                else {"From": _on(contact.channel, sender_id)}
            ),
            **(
                {"StatusCallback": f"{self.webhook_url.rstrip('/')}/twilio/status?{urlencode(back)}{TRY_AGAIN}"}
                if self.webhook_url
                else {}
            ),
        }

    def _outcome(self, answer: HttpResponse) -> Outcome:
        now = self.clock()
        match answer.json:
            case {"sid": str(sid)} if answer.is_success and sid:
                return Accepted("twilio", sid)
            case {"code": int(code)}:
                return answer.classify_by_code(code, CODES, now)
            case _:
                return answer.classify_by_status(now)


def _content(outbound: OutboundMessage, secrets: Mapping[str, Any], now: datetime) -> Mapping[str, str] | Refused:
    """Return the text, with buttons if there is a content for them; on WhatsApp after 24 hours the approved template.

    https://www.twilio.com/docs/api/errors/63016
    """
    wording, sids = outbound.wording, secrets.get("twilio_content_sids")
    if outbound.message.recipient.channel != "whatsapp":
        return {"Body": wording.text}
    if now < outbound.free_text_until:
        return _with_buttons(wording, _content_sid(QUICK_REPLIES, wording.locale, sids)) or {"Body": wording.text}
    sid = _content_sid(wording.template, wording.locale, sids)
    if sid is None:
        return Refused(f"no ContentSid for {wording.template}/{wording.locale} in twilio_content_sids")
    payloads = [reply.payload for reply in wording.replies] if wording.template_has_replies else []
    return _content_of(sid, [*wording.parameters, *payloads])


def _with_buttons(wording: Wording, sid: str | None) -> Mapping[str, str] | None:
    """Return the text and its three buttons as a content; ``None`` if it has no content, or does not fit into one.

    Within 24 hours a content of the type twilio/quick-reply needs no approval, and has three buttons
    (https://www.twilio.com/docs/content/twilio-quick-reply).
    """
    fits = len(wording.text) <= QUICK_REPLY_TEXT and on_one_line(wording.text) == wording.text
    if sid is None or len(wording.replies) != BUTTONS or not fits:
        return None
    return _content_of(
        sid, [wording.text, *(part for reply in wording.replies for part in (reply.label, reply.payload))]
    )


def _content_of(sid: str, values: Sequence[str]) -> Mapping[str, str]:
    variables = {str(number): on_one_line(value) for number, value in enumerate(values, 1)}
    return {"ContentSid": sid, **({"ContentVariables": json.dumps(variables)} if variables else {})}


def _content_sid(name: str, locale: str, sids: Any) -> str | None:
    """Return a content's SID. ``sids`` is the JSON object or its text: a secret may contain either."""
    if isinstance(sids, str):
        try:
            sids = json.loads(sids)
        except ValueError:
            return None
    if not isinstance(sids, Mapping):
        return None
    sid = sids.get(f"{name}/{locale}") or sids.get(name)
    return str(sid) if sid else None


def _on(channel: str, address: str) -> str:
    """Return the address in Twilio's form of that channel (https://www.twilio.com/docs/messaging/channels)."""
    return f"whatsapp:{address.removeprefix('whatsapp:')}" if channel == "whatsapp" else address


def _basic(user: str, password: str) -> str:
    """Return the credentials by RFC 7617."""
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"
