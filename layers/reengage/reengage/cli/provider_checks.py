"""The checks of ``doctor`` that call providers: keys and templates. No call sends or changes anything.

Meta: https://developers.facebook.com/documentation/business-messaging/whatsapp/support/health-status/ names the account
(``WABA``) of a phone number; https://developers.facebook.com/documentation/business-messaging/whatsapp/templates/template-management/
lists its templates. Twilio: ``GET https://content.twilio.com/v1/Content/{Sid}/ApprovalRequests``. AWS:
``GetLinkedWhatsAppBusinessAccountPhoneNumber`` and ``ListWhatsAppMessageTemplates`` of ``socialmessaging``.
"""

import base64
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from reengage.adapters.channels.whatsapp import language_code
from reengage.adapters.text_list import standard_locales
from reengage.adapters.wording_templates import template_names
from reengage.cli.inspection import NO_ANSWER, Finding, Inspection, Level, is_refused
from reengage.domain.reasons import REASONS, WITH_REPLIES
from reengage.domain.routes import Route

KEYS_OF: Final = {
    "meta": ("meta_access_token", "meta_app_secret"),
    "twilio": ("twilio_account_sid", "twilio_auth_token"),
    "webhook": ("webhook_secret",),
}
"""By provider: names in the secret without which it cannot send, or its calls are refused."""

APPROVED: Final = "APPROVED"
HINT: Final = "Submit it at the provider and wait for its approval, or take the reason out of WhatsAppTemplates."
PAGES: Final = 20
"""Pages of 100 templates; an account has 250 templates, and 6,000 once it is verified."""

Statuses = Mapping[str, Mapping[str, str]]
"""By template's name and language: its status in capitals."""


class CannotRead(Exception):
    """The templates cannot be read; the message has the cause."""


class KeysRefused(Exception):
    """The keys are missing or refused, which another check reports."""


def keys(inspection: Inspection) -> Iterator[Finding]:
    """Check that each provider in Routes has its keys, and a proxy of the webhook its secret."""
    header = inspection.stack.parameters.get("WebhookProxySecretHeader")
    if header and not inspection.keys.get("webhook_proxy_secret"):
        hint = f"Put webhook_proxy_secret into the secret {inspection.stack.output('ProviderSecretsArn')}."
        yield Finding("problem", f"every call is refused: {header} is set, and webhook_proxy_secret is missing", hint)
    for provider in sorted({route.provider for route in inspection.routes.routes} & KEYS_OF.keys()):
        missing = [name for name in KEYS_OF[provider] if not inspection.keys.get(name)]
        if missing:
            hint = f"Put {', '.join(missing)} into the secret {inspection.stack.output('ProviderSecretsArn')}."
            yield Finding("problem", f"{provider} is in Routes, and its keys are missing: {', '.join(missing)}", hint)


def refused_keys(inspection: Inspection) -> Iterator[Finding]:
    """Check that providers accept the keys: a call that reads, and sends nothing."""
    for route in inspection.routes.routes:
        call = _reading_call(inspection, route)
        if call is None:
            continue
        status, _ = inspection.get(*call)
        if is_refused(status):
            problem = f"{route.provider} refuses the keys of {route.brand} with {status}"
            yield Finding("problem", problem, inspection.keys_hint)
        elif status == HTTPStatus.NOT_FOUND or (route.provider == "meta" and status == HTTPStatus.BAD_REQUEST):
            hint = "Correct the identity in Routes, or give the key access to it."
            yield Finding("problem", f"{route.provider} does not know the sender of {route.brand}", hint)


def _reading_call(inspection: Inspection, route: Route) -> tuple[str, str] | None:
    """Return the URL of a call that reads the account or the sender, and its authorization; ``None`` without keys."""
    if route.provider == "twilio" and (authorization := _twilio(inspection)):
        sid = quote(str(inspection.keys["twilio_account_sid"]), safe="")
        return f"{inspection.providers.twilio}/2010-04-01/Accounts/{sid}.json", authorization
    if route.provider == "meta" and (authorization := _meta(inspection)):
        return f"{_graph(inspection)}/{quote(route.sender_id, safe='')}?fields=id", authorization
    return None


def templates(inspection: Inspection) -> Iterator[Finding]:
    """Check that WhatsApp has approved the templates of the reasons in WhatsAppTemplates."""
    wanted = _wanted(inspection)
    for route in inspection.routes.routes if wanted else ():
        read = READERS.get(route.provider)
        if route.channel != "whatsapp" or read is None:
            continue
        try:
            found = read(inspection, route, wanted)
        except KeysRefused:
            continue
        except CannotRead as error:
            hint = "Correct the keys, or look at the templates in the provider's console."
            yield Finding("unknown", f"the templates of {route.brand} cannot be read: {error}", hint)
            continue
        for name, is_usual in wanted.items():
            by_language = found.get(name, {})
            yield from _not_approved(route, name, by_language)
            yield from _missing(inspection, route, name, by_language, is_usual=is_usual)


def _not_approved(route: Route, name: str, by_language: Mapping[str, str]) -> Iterator[Finding]:
    for language, status in sorted(by_language.items()):
        if status != APPROVED:
            problem = f"the template {name} of {route.brand} is {status.lower()} in {language or 'its language'}"
            yield Finding("problem", problem, HINT)


def _missing(
    inspection: Inspection, route: Route, name: str, by_language: Mapping[str, str], *, is_usual: bool
) -> Iterator[Finding]:
    """Report a template that the provider has not in the default language, or not in the other languages."""
    if "" in by_language:  # one content for every language
        return
    default = language_code(inspection.stack.parameters.get("DefaultLocale") or "en")
    if default not in by_language:
        level: Level = "problem" if is_usual else "warning"
        yield Finding(level, f"{route.provider} has no template {name} in {default} for {route.brand}", HINT)
    others = {language_code(locale) for locale in standard_locales()} - by_language.keys() - {default}
    if by_language and others:
        problem = f"the template {name} of {route.brand} is missing in {', '.join(sorted(others))}"
        hint = "Submit it there too: without it, people of these languages get the message only within 24 hours."
        yield Finding("warning", problem, hint)


def _wanted(inspection: Inspection) -> dict[str, bool]:
    """Return the templates of the reasons in ``WhatsAppTemplates``; true for those that every message may need."""
    listed = {name.strip() for name in inspection.stack.parameters.get("WhatsAppTemplates", "").split(",")}
    wanted: dict[str, bool] = {}
    for reason in sorted(REASONS.keys() & listed):
        ending = WITH_REPLIES if f"{reason}{WITH_REPLIES}" in listed else ""
        wanted |= {f"{name}{ending}": is_usual for name, is_usual in template_names(reason).items()}
    return wanted


def _of_meta(inspection: Inspection, route: Route, _: Iterable[str]) -> Statuses:
    authorization = _meta(inspection)
    if not authorization:
        raise KeysRefused
    sender = quote(route.sender_id, safe="")
    status, number = inspection.get(f"{_graph(inspection)}/{sender}?fields=health_status", authorization)
    if is_refused(status):
        raise KeysRefused
    account = _account(number)
    if not account:
        raise CannotRead(f"meta named no account of the number ({status or 'no answer'})")
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for template in _listed_at_meta(inspection, account, authorization):
        found[template["name"]][template["language"]] = str(template["status"]).upper()
    return found


def _listed_at_meta(inspection: Inspection, account: str, authorization: str) -> Iterator[Mapping[str, Any]]:
    """Yield the templates of an account, page by page. Raises ``CannotRead``."""
    url = f"{_graph(inspection)}/{quote(account, safe='')}/message_templates?fields=name,status,language&limit=100"
    for _ in range(PAGES):
        status, answer = inspection.get(url, authorization)
        if status != HTTPStatus.OK or not isinstance(answer, dict):
            raise CannotRead(f"meta answered {status or 'nothing'}; the key needs whatsapp_business_management")
        yield from answer.get("data", ())
        url = answer.get("paging", {}).get("next", "")
        if not url.startswith(inspection.providers.meta):
            return


def _account(number: Any) -> str:
    """Return the id of the WhatsApp Business Account in a number's health status."""
    health = number.get("health_status", {}) if isinstance(number, dict) else {}
    accounts = [entity["id"] for entity in health.get("entities", ()) if entity.get("entity_type") == "WABA"]
    return str(accounts[0]) if accounts else ""


def _of_twilio(inspection: Inspection, _: Route, wanted: Iterable[str]) -> Statuses:
    authorization = _twilio(inspection)
    if not authorization:
        raise KeysRefused
    sids = inspection.keys.get("twilio_content_sids") or {}
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for key, sid in sids.items():
        name, _slash, locale = key.partition("/")
        if name not in wanted:
            continue
        url = f"{inspection.providers.twilio_content}/v1/Content/{quote(str(sid), safe='')}/ApprovalRequests"
        status, answer = inspection.get(url, authorization)
        if is_refused(status):
            raise KeysRefused
        if status == NO_ANSWER:
            raise CannotRead("twilio did not answer")
        approval = (answer.get("whatsapp") or {}) if isinstance(answer, dict) else {}
        found[name][language_code(locale) if locale else ""] = str(approval.get("status", "unknown")).upper()
    return found


def _of_aws(inspection: Inspection, route: Route, _: Iterable[str]) -> Statuses:
    client = inspection.client("socialmessaging")
    number = client.get_linked_whatsapp_business_account_phone_number(id=route.sender_id)
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    given: dict[str, str] = {"id": number["linkedWhatsAppBusinessAccountId"]}
    for _page in range(PAGES):
        answer = client.list_whatsapp_message_templates(**given)
        for template in answer.get("templates", ()):
            found[template["templateName"]][template["templateLanguage"]] = template["templateStatus"].upper()
        if not answer.get("nextToken"):
            break
        given["nextToken"] = answer["nextToken"]
    return found


READERS: Final = {"meta": _of_meta, "twilio": _of_twilio, "aws": _of_aws}
"""By provider: how its templates are read."""


def _graph(inspection: Inspection) -> str:
    version = inspection.stack.parameters.get("MetaApiVersion") or "v26.0"
    return f"{inspection.providers.meta}/{version}"


def _meta(inspection: Inspection) -> str:
    token = inspection.keys.get("meta_access_token")
    return f"Bearer {token}" if token else ""


def _twilio(inspection: Inspection) -> str:
    sid, token = (inspection.keys.get(name) for name in KEYS_OF["twilio"])
    return f"Basic {base64.b64encode(f'{sid}:{token}'.encode()).decode()}" if sid and token else ""
