"""A business system's own endpoint: ``POST`` to the route's identity, an ``https`` URL.

The body is the detail of ``MessageSendRequested``. Its headers::

    Idempotency-Key: <scheduled_message_id>
    X-Reengage-Signature: t=<epoch seconds>,v1=<HMAC-SHA256 over "<t>.<raw body>" by the secret webhook_secret, in hex>

The receiver's part:

| it answers | it says | what becomes of the message |
|---|---|---|
| 2xx | taken; an ``id`` in a JSON body is its own name for it | sent |
| 409 | taken before, under this ``Idempotency-Key`` | sent |
| 429, 503 | not taken, try again; not before ``Retry-After``, where it says so | tried again |
| 401, 402, 403, 404, 405, 407 | not taken: signature or URL are wrong | tried again: an operator may mend it |
| 408, another 5xx, a redirect, half an answer or none | nothing to go by | unconfirmed, never tried again |
| another 4xx | not taken, and never will be | failed |
"""

import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Final

from reengage.adapters.eventbridge import send_requested
from reengage.domain.routes import Routes
from reengage.ports import Accepted, Clock, OutboundMessage, Outcome, Retryable

from .http import Http, HttpResponse, Secrets, credentials

ID_BYTES: Final = 128
"""A longer ``id`` is left alone: a message's row has no room for it."""


@dataclass(frozen=True, slots=True)
class WebhookChannel:
    http: Http
    secrets: Secrets
    routes: Routes
    clock: Clock

    def send(self, outbound: OutboundMessage) -> Outcome:
        url = outbound.sender_id or self.routes.of(outbound.message.contact).sender_id
        if not url.startswith("https://"):
            return Retryable("the route's identity is no https URL")
        secrets = credentials(self.secrets, "webhook_secret")
        if isinstance(secrets, Retryable):
            return secrets
        body = json.dumps(send_requested(outbound).detail).encode()
        answer = self.http.post(
            url,
            {
                "Content-Type": "application/json",
                "Idempotency-Key": outbound.message.scheduled_message_id,
                "X-Reengage-Signature": signature(str(secrets["webhook_secret"]), body, self.clock()),
            },
            body,
            start_within=outbound.start_before - self.clock(),
        )
        return self._outcome(answer, outbound) if isinstance(answer, HttpResponse) else answer

    def _outcome(self, answer: HttpResponse, outbound: OutboundMessage) -> Outcome:
        if answer.is_success or answer.status == HTTPStatus.CONFLICT:
            return Accepted("webhook", _id(answer) or outbound.message.scheduled_message_id)
        now = self.clock()
        if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
            return answer.classify(Retryable, f"HTTP {answer.status}", now)
        return answer.classify_by_status(now)


def signature(secret: str, body: bytes, now: datetime) -> str:
    """``t`` is within the signed text, so that a receiver can refuse what is old."""
    t = int(now.timestamp())
    return f"t={t},v1={hmac.new(secret.encode(), f'{t}.'.encode() + body, hashlib.sha256).hexdigest()}"


def _id(answer: HttpResponse) -> str | None:
    match answer.json:
        case {"id": str(said)} if said.isascii() and 0 < len(said) <= ID_BYTES:
            return said
        case _:
            return None
