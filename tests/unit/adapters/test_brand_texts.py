"""A brand's stored texts: checked before they count, and rendered in place of the standard ones."""

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fluent.syntax.ast import Message
from fluent.syntax.serializer import serialize_pattern
from hypothesis import given, settings
from hypothesis import strategies as st

from reengage.adapters.brand_texts import check_texts
from reengage.adapters.inbound.eventbridge import parse_business_event
from reengage.adapters.text_list import standard_locales, text_rows
from reengage.adapters.wording import FOLDER, FluentWording, _resource
from reengage.adapters.wording_samples import sample_input
from reengage.domain.brand import Brand
from reengage.domain.commands import ConfigureBrand
from reengage.domain.contact import Contact
from reengage.domain.reasons import REASONS
from reengage.errors import InvalidEvent
from tests.cases import each_of

NOW = datetime(2031, 9, 16, 12, tzinfo=UTC)
CART = "{ $brand }: your cart waits: { $cart_url } { ending }"


def brand_with(texts: dict[str, dict[str, str]], **more: Any) -> Brand:
    return Brand("acme", name="Acme Living", texts=texts, **more)


def rendered(brand: Brand, reason: str, locale: str = "en", channel: str = "sms") -> Any:
    contact = Contact("acme", channel, "+12025550100")
    return FluentWording()(sample_input(reason, contact, locale=locale, brand=brand, now=NOW))


def test_stored_text_replaces_the_standard_one() -> None:
    wording = rendered(brand_with({"en": {"cart_reminder": CART}}), "cart_reminder")
    assert wording.text == "Acme Living: your cart waits: https://example.com/cart/7Q2M4K9XB Reply STOP to opt out."


def test_template_and_parameters_stay_the_standard_ones() -> None:
    own = rendered(brand_with({"en": {"cart_reminder": CART}}), "cart_reminder", channel="whatsapp")
    standard = rendered(brand_with({}), "cart_reminder", channel="whatsapp")
    assert (own.template, own.parameters) == (standard.template, standard.parameters)
    assert own.text != standard.text


def test_other_reasons_and_locales_keep_their_text() -> None:
    brand, plain = brand_with({"en": {"cart_reminder": CART}}), brand_with({})
    assert rendered(brand, "cart_reminder", "de") == rendered(plain, "cart_reminder", "de")
    assert rendered(brand, "review_request") == rendered(plain, "review_request")


@pytest.mark.parametrize("spelling", ["de-AT", "de_AT", "de-at"])
def test_locale_of_a_text_may_be_spelled_freely(spelling: str) -> None:
    brand = brand_with({spelling: {"welcome_back": "{ $brand }: Servus!"}})
    assert rendered(brand, "welcome_back", "de-AT").text == "Acme Living: Servus!"
    assert rendered(brand, "welcome_back", "de").text != "Acme Living: Servus!"


def test_text_in_a_language_without_a_file_is_used() -> None:
    brand = brand_with({"nl": {"appointment_cancelled": "{ $brand }: uw afspraak op { $date } vervalt."}})
    wording = rendered(brand, "appointment_cancelled", "nl")
    assert wording.locale == "nl"
    assert "woensdag 17 september 2031" in wording.text
    assert rendered(brand, "order_shipped", "nl").locale == "en"


def test_former_texts_undo_newer_ones() -> None:
    first = brand_with({}).apply(1, {"texts": {"en": {"cart_reminder": CART}}})
    second = first.apply(2, {"texts": {"en": {"welcome_back": "{ $brand }: hi"}}})
    undone = second.apply(3, {"texts": {"en": {"cart_reminder": CART}}})
    assert rendered(undone, "cart_reminder") == rendered(first, "cart_reminder")
    assert rendered(undone, "welcome_back") == rendered(first, "welcome_back")
    assert undone.apply(2, {"texts": {}}) == undone


def test_text_that_cannot_be_rendered_falls_back(caplog: pytest.LogCaptureFixture) -> None:
    """A text that an older version accepted must not keep a message from being sent."""
    brand = brand_with({"en": {"cart_reminder": "{ $removed }"}})
    with caplog.at_level(logging.WARNING):
        assert rendered(brand, "cart_reminder") == rendered(brand_with({}), "cart_reminder")
    assert "cart_reminder" in caplog.text


WRONG = [
    ({"en": {"cart_reminder": "{ $brand }: { $itms } { ending }"}}, "en.cart_reminder: line 1: unknown variable $itms"),
    ({"en": {"order_shipped": "{ $brand }\n{ $carier }"}}, "line 2: unknown variable $carier; did you mean $carrier?"),
    ({"en": {"order_shipped": "{ $brand"}}, "en.order_shipped: line 1: not a Fluent text"),
    ({"en": {"order_shipped": "{ $brand }\n.template = x"}}, "line 2: expected a text alone"),
    ({"en": {"order_shipped": " "}}, "expected a text that is not empty"),
    ({"en": {"cart_reminder": "{ $brand }: { $cart_url }"}}, "a marketing text must end with how to opt out"),
    ({"en": {"order_shipped": "Your order has been shipped."}}, "does not name the brand"),
    ({"en": {"order_shipped": "{ $brand } " + "x" * 500}}, "4 SMS segments"),
    ({"en": {"order_shipped": "{ $brand } { -alphabet }"}}, "unknown term -alphabet"),
    ({"en": {"order_shipped": '{ $brand } { NUMBER("1") }'}}, "function NUMBER"),
    ({"en": {"order_shipped": "{ order_shipped }"}}, "unknown text order_shipped"),
    ({"en": {"appointment_reminder": "{ $brand } { question }"}}, "unknown text question"),
    ({"en": {"cart_remindr": CART}}, '$.detail.texts.en: expected names of reasons; "cart_reminder" is one'),
    ({"xx": {"cart_reminder": CART}}, "$.detail.texts.xx: expected a locale of a known language"),
]


@each_of(("texts", "error"), WRONG)
def test_wrong_text_is_rejected_with_reason_and_line(texts: dict[str, dict[str, str]], error: str) -> None:
    (found,) = check_texts(brand_with(texts))
    assert error in found


def test_text_is_tried_without_each_optional_field() -> None:
    pattern = "{ $has_items ->\n [yes] { $brand }: { $items } { ending }\n*[no] Something waits. { ending }\n}"
    (found,) = check_texts(brand_with({"en": {"cart_reminder": pattern}}))
    assert "does not name the brand" in found


@pytest.mark.slow
@pytest.mark.parametrize("locale", standard_locales())
def test_every_standard_text_is_accepted_as_an_own_text(locale: str) -> None:
    """Each reason, in each language: the checks accept all texts that ship with the app."""
    entries = [entry for entry in _resource(FOLDER / f"{locale}.ftl").body if isinstance(entry, Message)]
    own = {
        entry.id.name: serialize_pattern(entry.value)
        for entry in entries
        if entry.id.name in REASONS and entry.value is not None
    }
    assert set(own) == set(REASONS)
    brand = brand_with({locale: {reason: text.replace("{ question }", "") for reason, text in own.items()}})
    assert check_texts(brand) == []
    for reason in REASONS:
        assert rendered(brand, reason, locale).text == rendered(brand_with({}), reason, locale).text


@pytest.mark.slow
@settings(deadline=None)
@given(pattern=st.text(st.characters(codec="utf-8"), min_size=1, max_size=40), reason=st.sampled_from(sorted(REASONS)))
def test_any_text_is_either_right_or_named(pattern: str, reason: str) -> None:
    """For any input the check returns an answer; an accepted text can be rendered."""
    brand = brand_with({"en": {reason: pattern}})
    if not check_texts(brand):
        FluentWording(falls_back=False)(
            sample_input(reason, Contact("acme", "sms", "+12025550100"), locale="en", brand=brand, now=NOW)
        )


def event_with(texts: Any) -> dict[str, Any]:
    detail = {"brand": "acme", "name": "Acme Living", "texts": texts}
    return {"detail-type": "BrandConfigured", "time": "2031-09-16T12:00:00Z", "detail": detail}


def test_event_with_a_wrong_text_is_rejected_as_a_whole() -> None:
    good = parse_business_event(event_with({"en": {"cart_reminder": CART}}))
    assert isinstance(good, ConfigureBrand)
    assert good.fields["texts"] == {"en": {"cart_reminder": CART}}
    with pytest.raises(InvalidEvent) as raised:
        parse_business_event(event_with({"en": {"cart_reminder": CART, "order_shipped": "{"}}))
    assert raised.value.errors[0].startswith("$.detail.texts.en.order_shipped: line 1:")


def test_texts_of_more_than_8192_bytes_are_rejected() -> None:
    """The brand's row is read for each decision, so it must stay small."""
    many = {locale: dict.fromkeys(REASONS, "x" * 300) for locale in ("en", "de")}
    with pytest.raises(InvalidEvent) as raised:
        parse_business_event(event_with(many))
    assert raised.value.errors == ("$.detail.texts: expected at most 8192 bytes of JSON",)


def test_rows_mark_own_texts_and_have_their_locales() -> None:
    brand = brand_with({"nl": {"welcome_back": "{ $brand }: welkom terug!"}})
    rows = text_rows(brand, channel="sms", now=NOW + timedelta(days=1), reasons=["welcome_back"])
    assert [(row["locale"], row["is_own"]) for row in rows] == [
        *((locale, False) for locale in sorted({*standard_locales()}) if locale < "nl"),
        ("nl", True),
        *((locale, False) for locale in sorted({*standard_locales()}) if locale > "nl"),
    ]


ASKS = {"en": {"question": "Coming? 1 yes, 2 no, 3 other time."}}


def test_question_of_the_brand_ends_a_reminder() -> None:
    own, standard = (rendered(brand_with(texts), "appointment_reminder") for texts in (ASKS, {}))
    assert own.text.endswith(" Coming? 1 yes, 2 no, 3 other time.")
    assert [reply.label for reply in own.replies] == [reply.label for reply in standard.replies]
    assert (own.template, own.parameters) == (standard.template, standard.parameters)
    assert rendered(brand_with(ASKS), "appointment_reminder", "de") == rendered(
        brand_with({}), "appointment_reminder", "de"
    )


def test_question_and_reminder_may_both_be_the_brands() -> None:
    texts = {"en": {**ASKS["en"], "appointment_reminder": "{ $brand }: see you at { $time }. { $question }"}}
    assert check_texts(brand_with(texts)) == []
    wording = rendered(brand_with(texts), "appointment_reminder")
    assert wording.text.startswith("Acme Living: see you at ")
    assert wording.text.endswith(" Coming? 1 yes, 2 no, 3 other time.")


@pytest.mark.parametrize(
    ("question", "error"),
    [
        ("Reply CANCEL to cancel", "carriers treat an answer of CANCEL as STOP"),
        ("1 at { $tiem }", "unknown variable $tiem; did you mean $time?"),
        ("1 { question }", "unknown text question"),
        ("{ $time", "line 1"),
        ("x" * 600, "SMS segments"),
    ],
)
def test_wrong_question_is_rejected(question: str, error: str) -> None:
    (found,) = check_texts(brand_with({"en": {"question": question}}))
    assert found.startswith("$.detail.texts.en.question: ")
    assert error in found


def test_question_that_cannot_be_rendered_falls_back() -> None:
    """A later version may not know a variable that an earlier one accepted."""
    wording = rendered(brand_with({"en": {"question": "{ $gone }?"}}), "appointment_reminder")
    assert wording == rendered(brand_with({}), "appointment_reminder")
