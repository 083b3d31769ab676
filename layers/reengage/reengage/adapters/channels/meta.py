"""WhatsApp by Meta's Cloud API: ``POST /<version>/<phone number id>/messages``.

The route's identity is the phone number's id. The secret ``meta_access_token`` is a system user's token.

The codes are those of ``error.code``, listed in
https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes (September 2026).
17, 613, 2500 and 80008 come from the Graph API
(https://developers.facebook.com/docs/graph-api/guides/error-handling and its references). Many codes arrive only in a
later status: an accepted message may still be refused.
"""

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from reengage.domain.routes import Routes
from reengage.ports import Accepted, Clock, OptedOut, OutboundMessage, Outcome, Refused, Retryable, Unknown

from .http import LONGEST_HINT, OF_MESSAGE, WAIT_A_DAY, Codes, Http, HttpResponse, Secrets, credentials
from .whatsapp import whatsapp_message

URL: Final = "https://graph.facebook.com"
VERSION: Final = "v26.0"
"""Of 29 July 2026; a version is served for about two years (https://developers.facebook.com/docs/graph-api/changelog)."""

THROTTLES: Final = MappingProxyType(
    {
        4: "API too many calls",
        17: "user request limit reached",
        613: "calls to this API have exceeded the rate limit",
        80007: "rate limit issues",
        80008: "too many calls to this WhatsApp Business Account",
        130429: "rate limit hit",
        131048: "spam rate limit hit",
        131056: "pair rate limit hit",
        # For the whole account; "automatically lifted after the enforcement period".
        131064: "messaging limit reached due to template classification violations",
        132069: "flow is throttled",
    }
)
"""Errors that end without a fix, after some time or with fewer calls."""

USAGE: Final = "X-Business-Use-Case-Usage"
"""Header with the used share of each rate limit by business, and how long calls are throttled: "Time, in minutes".

https://developers.facebook.com/docs/graph-api/overview/rate-limiting, "Business Use Case Rate Limits".
``X-App-Usage`` and ``X-Ad-Account-Usage`` have no such time.
"""

CODES: Final[Codes] = MappingProxyType(
    {
        **{code: (Retryable, title) for code, title in THROTTLES.items()},
        # The token, the account, the sender: an operator must fix it.
        0: (Retryable, "auth exception"),
        3: (Retryable, "API method"),
        10: (Retryable, "permission denied"),
        33: (Retryable, "the business phone number has been deleted"),
        190: (Retryable, "access token has expired"),
        2500: (Retryable, "an active access token must be used"),
        **dict.fromkeys(range(200, 300), (Retryable, "API permission")),
        368: (Retryable, "temporarily blocked for policies violations"),
        131005: (Retryable, "access denied"),
        131030: (OF_MESSAGE, "recipient not in the test number's allowed list"),
        131031: (Retryable, "account has been locked"),
        131037: (Retryable, "display name approval needed"),
        131042: (Retryable, "business eligibility payment issue"),
        131045: (Retryable, "incorrect certificate"),
        131063: (Retryable, "marketing templates are disabled for Cloud API"),
        132001: (OF_MESSAGE, "template does not exist in that language, or is not approved"),
        133010: (Retryable, "phone number not registered"),
        134011: (Retryable, "WhatsApp Payments terms of service are not accepted"),
        134102: (OF_MESSAGE, "template unavailable for use"),
        # Temporary: one to ten minutes.
        131057: (Retryable, "account in maintenance mode"),
        134101: (OF_MESSAGE, "template is still syncing"),
        2494100: (Retryable, "phone number in maintenance mode"),
        # Refused for this contact.
        130403: (Refused, "this business has blocked the user"),
        130472: (Refused, "user's number is part of an experiment"),
        130497: (Refused, "restricted from messaging users in this country"),
        131021: (Refused, "recipient cannot be sender"),
        131026: (Refused, "message undeliverable"),
        131047: (Refused, "re-engagement message"),
        131049: (WAIT_A_DAY, "Meta chose not to deliver"),
        # Marketing only: reminders are still allowed, so this is no opt-out of the brand.
        131050: (partial(OptedOut, topic="marketing"), "user has stopped receipt of marketing messages"),
        131062: (Refused, "business-scoped user id recipients are not supported for this message"),
        # Refused for this content.
        100: (Refused, "invalid parameter"),
        131008: (Refused, "required parameter is missing"),
        131009: (Refused, "parameter value is not valid"),
        131051: (Refused, "unsupported message type"),
        131055: (Refused, "only marketing template messages are supported"),
        132000: (Refused, "template param count mismatch"),
        132005: (Refused, "template hydrated text too long"),
        132007: (Refused, "template format character policy violated"),
        132012: (Refused, "template parameter format mismatch"),
        132015: (Refused, "template is paused"),
        132016: (Refused, "template is disabled"),
        132018: (Refused, "template validation error"),
        132068: (Refused, "flow is blocked"),
        134100: (Refused, "only marketing messages supported"),
        135000: (Refused, "generic user error"),
        # A failure of Meta.
        1: (Unknown, "API unknown"),
        2: (Unknown, "API service"),
        131000: (Unknown, "something went wrong"),
        131016: (Unknown, "service unavailable"),
        133004: (Unknown, "server temporarily unavailable"),
    }
)

WRONG_ID: Final = (100, 33)
"""Code and subcode of the Graph API for an object that does not exist or that the token may not see.

Here it is the phone number's id in the URL. Seen in its responses; the page above does not list subcodes.
"""


@dataclass(frozen=True, slots=True)
class MetaChannel:
    """Send WhatsApp by Meta. ``url`` is Meta's, or that of a test server."""

    http: Http
    secrets: Secrets
    routes: Routes
    clock: Clock
    url: str = URL
    version: str = VERSION

    def send(self, outbound: OutboundMessage) -> Outcome:
        secrets = credentials(self.secrets, "meta_access_token")
        if isinstance(secrets, Retryable):
            return secrets
        sender = outbound.sender_id or self.routes.of(outbound.message.recipient).sender_id
        answer = self.http.post(
            f"{self.url}/{self.version}/{quote(sender, safe='')}/messages",
            {"Authorization": f"Bearer {secrets['meta_access_token']}", "Content-Type": "application/json"},
            json.dumps(whatsapp_message(outbound, self.clock())).encode(),
            start_within=outbound.start_before - self.clock(),
        )
        return self._outcome(answer) if isinstance(answer, HttpResponse) else answer

    def _outcome(self, answer: HttpResponse) -> Outcome:
        now = self.clock()
        match answer.json:
            case {"error": {"code": int(code), "error_subcode": int(subcode)}} if (code, subcode) == WRONG_ID:
                return answer.classify(Retryable, f"{code}/{subcode} no such phone number id", now)
            case {"error": {"code": int(code)}}:
                return _hinted(answer.classify_by_code(code, CODES, now), answer, code)
            case {"messages": [{"id": str(message_id)}, *_]} if answer.is_success and message_id:
                return Accepted("meta", message_id)
            case _:
                return _hinted(answer.classify_by_status(now), answer)


def _hinted(outcome: Outcome, answer: HttpResponse, code: int | None = None) -> Outcome:
    """Add the duration of a throttle from ``USAGE`` if there is no ``Retry-After``."""
    is_throttle = code in THROTTLES or answer.status == HTTPStatus.TOO_MANY_REQUESTS
    if isinstance(outcome, Retryable) and is_throttle and outcome.retry_after is None:
        return replace(outcome, retry_after=_regained(answer.headers.get(USAGE, "")))
    return outcome


def _regained(usage: str) -> timedelta | None:
    """Return the longest of the times; ``None`` if there is no readable time."""
    try:
        by_business = json.loads(usage)
    except (ValueError, RecursionError):
        return None
    businesses = by_business.values() if isinstance(by_business, dict) else ()
    uses = [use for those in businesses if isinstance(those, list) for use in those if isinstance(use, dict)]
    minutes = [use.get("estimated_time_to_regain_access") for use in uses]
    longest = max((item for item in minutes if type(item) is int), default=0)
    return timedelta(minutes=min(longest, LONGEST_HINT // timedelta(minutes=1))) if longest > 0 else None
