"""WhatsApp by Meta's Cloud API: ``POST /<version>/<phone number id>/messages``.

The route's identity is the phone number's id, the secret ``meta_access_token`` a system user's token. What a code means
is https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes (May 2026), which says
to go by ``error.code``. Many of these arrive in a later status only: an accepted message may still be refused.
"""

import json
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from reengage.domain.routes import Routes
from reengage.ports import Accepted, Clock, NotDelivered, OutboundMessage, Outcome, Refused, Unknown

from .http import Answer, Codes, Http, Secrets, credentials
from .whatsapp import whatsapp_message

URL: Final = "https://graph.facebook.com"
VERSION: Final = "v26.0"
"""Of 29 July 2026; a version is served for about two years (https://developers.facebook.com/docs/graph-api/changelog)."""

CODES: Final[Codes] = MappingProxyType(
    {
        # Throttled.
        4: (NotDelivered, "API too many calls"),
        80007: (NotDelivered, "rate limit issues"),
        130429: (NotDelivered, "rate limit hit"),
        131048: (NotDelivered, "spam rate limit hit"),
        131056: (NotDelivered, "pair rate limit hit"),
        # The token, the account, the sender: the operator's to mend.
        0: (NotDelivered, "auth exception"),
        3: (NotDelivered, "API method"),
        10: (NotDelivered, "permission denied"),
        33: (NotDelivered, "the business phone number has been deleted"),
        190: (NotDelivered, "access token has expired"),
        **dict.fromkeys(range(200, 300), (NotDelivered, "API permission")),
        368: (NotDelivered, "temporarily blocked for policies violations"),
        131005: (NotDelivered, "access denied"),
        131030: (NotDelivered, "recipient not in the test number's allowed list"),
        131031: (NotDelivered, "account has been locked"),
        131037: (NotDelivered, "display name approval needed"),
        131042: (NotDelivered, "business eligibility payment issue"),
        131045: (NotDelivered, "incorrect certificate"),
        131057: (NotDelivered, "account in maintenance mode"),
        132001: (NotDelivered, "template does not exist in that language, or is not approved"),
        133010: (NotDelivered, "phone number not registered"),
        # No for this person.
        130472: (Refused, "user's number is part of an experiment"),
        130497: (Refused, "restricted from messaging users in this country"),
        131021: (Refused, "recipient cannot be sender"),
        131026: (Refused, "message undeliverable"),
        131047: (Refused, "re-engagement message"),
        131049: (Refused, "Meta chose not to deliver"),
        # Of marketing alone: reminders are still welcome, so this is no opt-out of the brand.
        131050: (Refused, "user has stopped receipt of marketing messages"),
        131062: (Refused, "business-scoped user id recipients are not supported for this message"),
        # No to this content.
        100: (Refused, "invalid parameter"),
        131008: (Refused, "required parameter is missing"),
        131009: (Refused, "parameter value is not valid"),
        131051: (Refused, "unsupported message type"),
        132000: (Refused, "template param count mismatch"),
        132005: (Refused, "template hydrated text too long"),
        132007: (Refused, "template format character policy violated"),
        132012: (Refused, "template parameter format mismatch"),
        132015: (Refused, "template is paused"),
        132016: (Refused, "template is disabled"),
        135000: (Refused, "generic user error"),
        # Meta's own trouble.
        1: (Unknown, "API unknown"),
        2: (Unknown, "API service"),
        131000: (Unknown, "something went wrong"),
        131016: (Unknown, "service unavailable"),
    }
)

WRONG_ID: Final = (100, 33)
"""Code and subcode by which the Graph API says that an object does not exist, or that the token may not see it: here,
the phone number's id in the URL. Known from its answers; the page above does not list subcodes.
"""


@dataclass(frozen=True, slots=True)
class MetaChannel:
    """``url`` is Meta's, or whatever speaks like it."""

    http: Http
    secrets: Secrets
    routes: Routes
    clock: Clock
    url: str = URL
    version: str = VERSION

    def send(self, outbound: OutboundMessage) -> Outcome:
        secrets = credentials(self.secrets, "meta_access_token")
        if isinstance(secrets, NotDelivered):
            return secrets
        sender = self.routes.of(outbound.message.contact).identity
        answer = self.http.post(
            f"{self.url}/{self.version}/{quote(sender, safe='')}/messages",
            {"Authorization": f"Bearer {secrets['meta_access_token']}", "Content-Type": "application/json"},
            json.dumps(whatsapp_message(outbound, self.clock())).encode(),
            within=outbound.start_before - self.clock(),
        )
        return self._outcome(answer) if isinstance(answer, Answer) else answer

    def _outcome(self, answer: Answer) -> Outcome:
        said, now = answer.json, self.clock()
        match said:
            case {"error": {"code": int(code), "error_subcode": int(subcode)}} if (code, subcode) == WRONG_ID:
                return answer.means(NotDelivered, f"{code}/{subcode} no such phone number id", now)
            case {"error": {"code": int(code)}}:
                return answer.by_code(code, CODES, now)
            case {"messages": [{"id": str(message_id)}, *_]} if answer.is_success and message_id:
                return Accepted("meta", message_id)
            case _:
                return answer.by_status(now)
