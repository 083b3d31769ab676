"""The provider and sender of a brand on a channel, and the brand of an address written to."""

import re
from itertools import product
from typing import Final

import pytest

from reengage.domain.contact import CHANNELS, Contact
from reengage.domain.routes import PROVIDERS, SELF_DELIVERED, Route, Routes, parse_routes
from tests.cases import each_of

ACME_SMS: Final = Route("acme-dental", "sms", "aws", "+12025550100")
ACME_WHATSAPP: Final = Route("acme-dental", "whatsapp", "meta", "106540352242922")
OTHER_SMS: Final = Route("other-brand", "sms", "aws", "+12025550199")
ROUTES: Final = Routes([ACME_SMS, ACME_WHATSAPP, OTHER_SMS])


@pytest.mark.parametrize("route", ROUTES.routes)
def test_route_gives_provider_and_sender_of_a_brand(route: Route) -> None:
    assert ROUTES.of(Contact(route.brand, route.channel, "+4915112345678")) == route


@pytest.mark.parametrize(("brand", "channel"), [("acme-dental", "rcs"), ("other-brand", "whatsapp"), ("acme", "sms")])
def test_what_has_no_route_of_its_own_goes_to_the_bus(brand: str, channel: str) -> None:
    contact = Contact(brand, channel, "+4915112345678")
    assert ROUTES.of(contact) == Routes().of(contact) == Route(brand, channel, "eventbridge", "")


def test_providers_serve_known_channels_and_the_default_all() -> None:
    assert all(channels and channels <= set(CHANNELS) for channels in PROVIDERS.values())
    assert PROVIDERS["eventbridge"] == set(CHANNELS)


# Which brand was written to


@pytest.mark.parametrize("route", ROUTES.routes)
def test_brand_is_found_by_the_address_written_to(route: Route) -> None:
    assert ROUTES.brand_of(route.provider, route.channel, route.sender_id) == route.brand


@each_of("kept", ["+12025550199", "12025550199", "whatsapp:+12025550199"])
@each_of("received", ["+12025550199", "12025550199", "whatsapp:+12025550199"])
def test_a_provider_may_spell_a_number_as_it_likes(kept: str, received: str) -> None:
    routes = Routes([Route("first", "whatsapp", "twilio", "+12025550100"), Route("own", "whatsapp", "twilio", kept)])
    assert routes.brand_of("twilio", "whatsapp", received) == "own"


@pytest.mark.parametrize("sender_id", ["pool-1", "ACMEDENTAL", "arn:aws:sms-voice:eu-central-1:1:pool/pool-1"])
def test_a_number_that_no_route_can_name_is_the_one_brands(sender_id: str) -> None:
    """A pool sends from numbers that no route names, and people answer to those."""
    routes = Routes([ACME_SMS._replace(sender_id=sender_id)])
    assert routes.brand_of("aws", "sms", "+12025550177") == "acme-dental"


def test_message_to_another_businesss_number_has_no_brand() -> None:
    """One account reported all its numbers: a START to another business opened a window, and undid a STOP."""
    assert ROUTES.brand_of("meta", "whatsapp", "999") is None
    assert Routes([ACME_SMS]).brand_of("aws", "sms", "+12025550177") is None
    service = ACME_SMS._replace(provider="twilio", sender_id="MG" + "0" * 32)
    assert Routes([service]).brand_of("twilio", "sms", "MG" + "1" * 32) is None


def test_unknown_address_has_no_brand_if_two_share_the_channel() -> None:
    """A guess would store one brand's person under another brand, and lose a STOP."""
    assert ROUTES.brand_of("aws", "sms", "+12025550000") is None


def test_sender_shared_by_two_brands_has_no_brand() -> None:
    routes = Routes([ACME_SMS, OTHER_SMS._replace(sender_id=ACME_SMS.sender_id)])
    assert routes.brand_of("aws", "sms", ACME_SMS.sender_id) is None


@pytest.mark.parametrize(("provider", "channel"), [("twilio", "sms"), ("aws", "whatsapp"), ("meta", "sms")])
def test_another_provider_or_channel_has_no_brand(provider: str, channel: str) -> None:
    assert ROUTES.brand_of(provider, channel, ACME_SMS.sender_id) is None


def test_aliases_behind_two_pools_find_two_brands() -> None:
    """Two brands of one account each had a pool, and a STOP to either ended as a rejected event."""
    first = ACME_SMS._replace(sender_id="pool-1", aliases=("+12025550100", "+12025550101"))
    second = OTHER_SMS._replace(sender_id="pool-2", aliases=("+12025550199",))
    routes = Routes([first, second])
    assert [routes.brand_of("aws", "sms", name) for name in (*first.aliases, *second.aliases)] == [
        "acme-dental",
        "acme-dental",
        "other-brand",
    ]
    assert routes.brand_of("aws", "sms", "12025550199") == "other-brand"
    assert routes.brand_of("aws", "sms", "+12025550177") is None


def test_a_name_that_is_known_comes_before_a_guess() -> None:
    """Twilio reports the number and the messaging service: the one brand without a number got the other's messages."""
    service = Route("acme-dental", "sms", "twilio", "MG" + "0" * 32)
    routes = Routes([Route("other-brand", "sms", "twilio", "OTHERBRAND"), service])
    assert routes.brand_of("twilio", "sms", "+12025550177", service.sender_id) == "acme-dental"
    assert routes.brand_of("twilio", "sms", "+12025550177") == "other-brand"


def test_a_route_with_further_names_is_not_guessed_at() -> None:
    routes = Routes([ACME_SMS._replace(sender_id="pool-1", aliases=("+12025550100",)), OTHER_SMS])
    assert routes.brand_of("aws", "sms", "+12025550177") is None


@pytest.mark.parametrize("own", sorted(SELF_DELIVERED))
def test_self_delivered_brand_may_receive_from_any_provider(own: str) -> None:
    """It is found by its name alone: a system of one brand proves nothing about another brand's number."""
    routes = Routes([Route("acme-dental", "rcs", own, "https://acme.example/out", ("acme_agent",))])
    assert routes.brand_of("aws", "rcs", "acme_agent") == "acme-dental"
    assert routes.brand_of("aws", "rcs", "another_agent") is None
    unnamed = Routes([Route("acme-dental", "rcs", own, "https://acme.example/out")])
    assert unnamed.brand_of("aws", "rcs", "another_agent") is None


# How they are written


def test_routes_are_rows_with_commas_between_them() -> None:
    text = ", ".join("/".join(route[:4]) for route in ROUTES.routes)
    assert parse_routes(text) == ROUTES


def test_no_text_is_no_route() -> None:
    assert list(parse_routes("").routes) == []


def test_a_webhook_is_called_over_https_alone() -> None:
    with pytest.raises(ValueError, match=r"^row 1 \(.*\): the identity of a webhook must be an https URL"):
        parse_routes("acme-dental/sms/webhook/http://acme.example/out")


def test_aliases_follow_the_sender_id() -> None:
    (route,) = parse_routes("acme-dental/sms/aws/pool-1|+12025550100|+12025550101").routes
    assert route == Route("acme-dental", "sms", "aws", "pool-1", ("+12025550100", "+12025550101"))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("pool-1|+12025550100", "+12025550100"),
        ("pool-1|12025550100", "pool-2|+12025550100"),
        ("+12025550100", "pool-1|+12025550100"),
        ("+12025550100", "12025550100"),
    ],
)
def test_a_number_is_one_brands_alone(first: str, second: str) -> None:
    """Each message to it would have no brand, and so would a STOP."""
    with pytest.raises(ValueError, match=r"is used by two brands: \S+, \S+; give it to one brand"):
        parse_routes(f"acme-dental/sms/aws/{first},other-brand/sms/aws/{second}")


@pytest.mark.parametrize("shared", ["sms/webhook/https://acme.example/out", "sms/aws/ACME", "sms/aws/pool-1"])
def test_brands_may_share_a_sender_that_cannot_receive(shared: str) -> None:
    assert len(parse_routes(f"acme-dental/{shared},other-brand/{shared}").routes) == 2


def test_an_agent_of_googles_may_have_its_domain_or_not() -> None:
    routes = parse_routes("a/rcs/webhook/https://a.example|one_agent,b/rcs/webhook/https://b.example|other@rbm.goog")
    assert routes.brand_of("webhook", "rcs", "one_agent@rbm.goog") == "a"
    assert routes.brand_of("webhook", "rcs", "other") == "b"


def test_one_brand_may_be_called_the_same_on_two_channels() -> None:
    assert len(parse_routes("a/sms/aws/pool-1|+12025550100,b/rcs/aws/pool-1|+12025550100").routes) == 2


def test_an_identity_may_have_slashes() -> None:
    (route,) = parse_routes("acme-dental/rcs/webhook/https://acme.example/messages/out").routes
    assert route == Route("acme-dental", "rcs", "webhook", "https://acme.example/messages/out")


@each_of(("provider", "channel"), list(product(PROVIDERS, CHANNELS)))
def test_route_needs_a_provider_that_serves_the_channel(provider: str, channel: str) -> None:
    text = f"acme-dental/{channel}/{provider}/https://1"
    if channel in PROVIDERS[provider]:
        assert parse_routes(text).routes == [Route("acme-dental", channel, provider, "https://1")]
        return
    with pytest.raises(ValueError, match=f"{provider} does not deliver {channel}; use "):
        parse_routes(text)


@each_of(
    ("text", "error"),
    [
        (" ", 'row 1 (""): unknown channel ""; use sms, rcs or whatsapp'),
        ("acme", 'row 1 ("acme"): unknown channel ""; use sms, rcs or whatsapp'),
        ("acme/sms/aws", 'row 1 ("acme/sms/aws"): no identity; write brand/channel/provider/identity'),
        ("acme/sms/aws/|1", 'row 1 ("acme/sms/aws/|1"): no identity'),
        ("acme/sms/aws/1|", 'row 1 ("acme/sms/aws/1|"): no identity'),
        ("acme/sms/aws/1||2", 'row 1 ("acme/sms/aws/1||2"): no identity'),
        ("acme/sms/aws/1,", 'row 2 (""): unknown channel'),
        ("a/sms/aws/1,b/sms/aws/2,acme/fax/aws/1", 'row 3 ("acme/fax/aws/1"): unknown channel "fax"; use sms,'),
        ("acme/sms/pigeon/1", 'row 1 ("acme/sms/pigeon/1"): unknown provider "pigeon"; use aws, meta, twilio,'),
        ("acme/sms/AWS/1", 'row 1 ("acme/sms/AWS/1"): unknown provider "AWS"'),
        ("acme/sms/meta/1", 'row 1 ("acme/sms/meta/1"): meta does not deliver sms; use aws, twilio, webhook or event'),
        ("/sms/aws/1", 'row 1 ("/sms/aws/1"): expected 1 to 64 letters'),
        ("acme dental/sms/aws/1", 'row 1 ("acme dental/sms/aws/1"): expected 1 to 64 letters'),
        (
            "acme/sms/aws/1,acme/sms/twilio/2",
            'row 2 ("acme/sms/twilio/2"): row 1 is for the same brand and channel; keep one row for each',
        ),
    ],
)
def test_error_names_the_row_its_text_and_the_fix(text: str, error: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(error)}"):
        parse_routes(text)
