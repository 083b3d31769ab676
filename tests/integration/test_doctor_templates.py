"""``reengage doctor`` asks Meta, Twilio and AWS over HTTP whether the WhatsApp templates are approved."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import boto3
import pytest
from botocore.stub import Stubber

from reengage.cli import stack as stacks
from reengage.cli.checks import CHECKS
from reengage.cli.inspection import Inspection
from tests.local.provider_apis import LANGUAGES, NAMES, PHONE_NUMBER_ID, SID, TOKEN, ProviderApis, provider_apis

pytestmark = [pytest.mark.allow_hosts(["127.0.0.1"]), pytest.mark.enable_socket]

META: Final = f"acme/whatsapp/meta/{PHONE_NUMBER_ID}"
TWILIO: Final = "acme/whatsapp/twilio/+12025550100"
KEYS: Final = {"meta_access_token": TOKEN, "twilio_account_sid": SID, "twilio_auth_token": "t"}
NAME: Final = "appointment_reminder"


@pytest.fixture
def apis() -> Iterator[ProviderApis]:
    with provider_apis() as apis:
        yield apis


def problems(
    apis: ProviderApis, routes: str = META, *, listed: str = NAME, client: Any = None, **keys: Any
) -> list[tuple[str, str]]:
    """Return the level and the problem of each finding about templates."""
    stack = stacks.Stack("reengage", {}, {"Routes": routes, "WhatsAppTemplates": listed, "MetaApiVersion": "v26.0"})
    inspection = Inspection(stack, lambda _: client, apis.addresses)
    inspection.keys = KEYS | keys
    return [(finding.level, finding.problem) for finding in CHECKS["templates"](inspection)]


def test_approved_templates_are_no_finding(apis: ProviderApis) -> None:
    assert problems(apis) == []
    assert set(apis.methods) == {"GET"}


def test_templates_are_read_page_by_page(apis: ProviderApis) -> None:
    apis.page = 1
    assert problems(apis) == []
    assert len(apis.methods) == 1 + len(apis.templates)


@pytest.mark.parametrize("status", ["PENDING", "REJECTED", "PAUSED", "DISABLED", "IN_APPEAL"])
def test_a_template_that_is_not_approved_is_found(apis: ProviderApis, status: str) -> None:
    apis.template(NAME, "de", status)
    assert problems(apis) == [("problem", f"the template {NAME} of acme is {status.lower()} in de")]


def test_a_template_that_is_missing_is_found(apis: ProviderApis) -> None:
    for language in LANGUAGES:
        apis.template(NAME, language, None)
    assert problems(apis) == [("problem", f"meta has no template {NAME} in en for acme")]


def test_a_missing_variant_is_a_warning(apis: ProviderApis) -> None:
    """Only a reminder with a link to check in needs it."""
    for language in LANGUAGES:
        apis.template(f"{NAME}_check_in", language, None)
    assert problems(apis) == [("warning", f"meta has no template {NAME}_check_in in en for acme")]


def test_missing_languages_are_a_warning(apis: ProviderApis) -> None:
    for language in ("fr", "vi"):
        apis.template(NAME, language, None)
    assert problems(apis) == [("warning", f"the template {NAME} of acme is missing in fr, vi")]


def test_buttons_have_templates_of_their_own(apis: ProviderApis) -> None:
    listed = f"{NAME},{NAME}_answers"
    assert ("problem", f"meta has no template {NAME}_answers in en for acme") in problems(apis, listed=listed)
    apis.templates += [
        {"name": f"{name}_answers", "language": language, "status": "APPROVED"}
        for name in NAMES
        for language in LANGUAGES
    ]
    assert problems(apis, listed=listed) == []


def test_no_listed_reason_asks_no_provider(apis: ProviderApis) -> None:
    assert problems(apis, listed="") == []
    assert problems(apis, routes="acme/sms/twilio/+12025550100") == []
    assert apis.methods == []


def test_refused_keys_are_left_to_their_own_check(apis: ProviderApis) -> None:
    for refused in ("old", ""):
        assert problems(apis, meta_access_token=refused) == []


def test_an_account_that_cannot_be_read_is_unknown(apis: ProviderApis) -> None:
    apis.is_known = False
    ((level, problem),) = problems(apis)
    assert level == "unknown"
    assert "the templates of acme cannot be read" in problem


def contents(apis: ProviderApis, statuses: Mapping[str, str]) -> dict[str, str]:
    """Let Twilio have a content of these keys, each with its status of approval; return the map of the secret."""
    sids = {key: f"HX{number:032}" for number, key in enumerate(statuses)}
    apis.contents = {sids[key]: status for key, status in statuses.items()}
    return sids


def test_twilio_is_asked_for_the_approval_of_each_content(apis: ProviderApis) -> None:
    sids = contents(apis, dict.fromkeys(NAMES, "approved"))
    assert problems(apis, TWILIO, twilio_content_sids=sids) == []
    sids = contents(apis, dict.fromkeys(NAMES, "approved") | {NAME: "rejected"})
    found = problems(apis, TWILIO, twilio_content_sids=sids)
    assert found == [("problem", f"the template {NAME} of acme is rejected in its language")]


def test_contents_of_one_language_each_are_compared(apis: ProviderApis) -> None:
    statuses = {f"{name}/{language}": "approved" for name in NAMES for language in LANGUAGES}
    sids = contents(apis, statuses | {f"{NAME}/de": "pending"})
    found = problems(apis, TWILIO, twilio_content_sids=sids)
    assert found == [("problem", f"the template {NAME} of acme is pending in de")]


def test_a_content_that_does_not_exist_is_found(apis: ProviderApis) -> None:
    sids = contents(apis, dict.fromkeys(NAMES, "approved"))
    apis.contents.pop(sids[NAME])
    assert problems(apis, TWILIO, twilio_content_sids=sids) == [
        ("problem", f"the template {NAME} of acme is unknown in its language")
    ]
    assert ("problem", f"twilio has no template {NAME} in en for acme") in problems(apis, TWILIO)


def test_aws_lists_the_templates_of_the_number_that_it_links(apis: ProviderApis) -> None:
    client = boto3.client("socialmessaging", region_name="us-east-1")
    number = "phone-number-id-01234567890123456789012345678901"
    account = "waba-01234567890123456789012345678901"

    def page(*templates: tuple[str, str, str], following: str = "") -> dict[str, Any]:
        names = ("templateName", "templateLanguage", "templateStatus")
        listed = [dict(zip(names, template, strict=True)) for template in templates]
        return {"templates": listed, **({"nextToken": following} if following else {})}

    others = [(name, language, "APPROVED") for name in NAMES for language in LANGUAGES if name != NAME]
    with Stubber(client) as stubber:
        linked = {"linkedWhatsAppBusinessAccountId": account, "phoneNumber": _details(number)}
        stubber.add_response("get_linked_whatsapp_business_account_phone_number", linked, {"id": number})
        stubber.add_response("list_whatsapp_message_templates", page(*others, following="next"), {"id": account})
        last = page(*((NAME, language, "APPROVED" if language != "en" else "PAUSED") for language in LANGUAGES))
        stubber.add_response("list_whatsapp_message_templates", last, {"id": account, "nextToken": "next"})
        found = problems(apis, f"acme/whatsapp/aws/{number}", client=client)
        stubber.assert_no_pending_responses()
    assert found == [("problem", f"the template {NAME} of acme is paused in en")]


def _details(number: str) -> dict[str, str]:
    names = ("arn", "phoneNumber", "metaPhoneNumberId", "displayPhoneNumberName", "displayPhoneNumber", "qualityRating")
    return {"phoneNumberId": number} | dict.fromkeys(names, "x")
