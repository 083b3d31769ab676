"""A business system's own endpoint: ``POST`` to the route's identity, an ``https`` URL.

The body is the detail of ``MessageSendRequested``. Its headers::

    Idempotency-Key: <scheduled_message_id>
    X-Reengage-Signature: t=<epoch seconds>,v1=<HMAC-SHA256 over "<t>.<raw body>" by the secret webhook_secret, in hex>

The status of the response decides:

| status | meaning | outcome |
|---|---|---|
| 2xx | accepted; an ``id`` in a JSON body is the receiver's own id | sent |
| 409 | accepted before, with this ``Idempotency-Key`` | sent |
| 429, 503 | not accepted; retry, not before ``Retry-After`` | retried |
| 401, 402, 403, 404, 405, 407 | not accepted: the signature or the URL is wrong | retried, until an operator fixes it |
| 408, another 5xx, a redirect, a partial or missing response | not known | unconfirmed, never retried |
| another 4xx | refused for good | failed |
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
"""Bytes of the longest stored ``id``; a longer one does not fit into a message's row and is ignored."""


@dataclass(frozen=True, slots=True)
class WebhookChannel:
    http: Http
    secrets: Secrets
    routes: Routes
    clock: Clock

    def send(self, outbound: OutboundMessage) -> Outcome:
        url = outbound.sender_id or self.routes.of(outbound.message.recipient).sender_id
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
    """Sign the body. ``t`` is part of the signed text, so that a receiver can refuse old calls."""
    t = int(now.timestamp())
    return f"t={t},v1={hmac.new(secret.encode(), f'{t}.'.encode() + body, hashlib.sha256).hexdigest()}"


def _id(answer: HttpResponse) -> str | None:
    match answer.json:
        case {"id": str(text)} if text.isascii() and 0 < len(text) <= ID_BYTES:
            return text
        case _:
            return None
