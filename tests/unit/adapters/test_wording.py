"""What a person reads: every text in every language, in whose time, and what of it comes from outside."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from importlib import resources
from itertools import chain, combinations, product
from typing import Any, Final

import pytest
from fluent.syntax import FluentParser, ast
from fluent.syntax.serializer import serialize_pattern

from reengage.adapters import wording
from reengage.adapters.wording import LOCALES, VARIABLES, FluentWording, WordingError
from reengage.domain.contact import CHANNELS, Contact, Profile
from reengage.domain.message import ScheduledMessage
from reengage.domain.policy import Circumstances
from reengage.domain.reasons import REASONS
from reengage.domain.subject import Family, Said, Subject, SubjectRef

APPOINTMENT: Final = {"starts_at": "2031-03-20T15:05:00+00:00", "timezone": "Europe/London"}
TRIAL: Final = {"ends_at": "2031-03-22T14:00:00+00:00", "product": "Orbit Notes"}
MINIMAL: Final = {"appointment_reminder": APPOINTMENT, "trial_follow_up": TRIAL}
OPTIONAL: Final = {
    "appointment_reminder": {"location": "12 Example Street", "service": "Root canal"},
    "trial_follow_up": {"upgrade_url": "https://orbit-notes.example/upgrade"},
}
BEFORE: Final = datetime(2031, 3, 19, 12, tzinfo=UTC)
AFTER: Final = datetime(2031, 3, 23, 12, tzinfo=UTC)


def circumstances(
    reason: str,
    said: dict[str, Any],
    *,
    locale: str | None = None,
    zone: str | None = None,
    channel: str = "sms",
    now: datetime = BEFORE,
) -> Circumstances:
    terms = REASONS[reason]
    subject = SubjectRef("acme-dental", terms.kind, "S-1")
    family = Family(1, active=True, said={name: Said(1, value) for name, value in said.items()})
    about = datetime.fromisoformat(said[terms.anchor])
    message = ScheduledMessage(
        contact=Contact("acme-dental", channel, "+447700900142"),
        reason=reason,
        subject=subject,
        step="P1D",
        about=about,
        due_at=now,
        useful_until=now + timedelta(days=1),
        version=1,
    )
    profile = Profile(now, now, 0, locale, zone, "Ada")
    return Circumstances(message, Subject(subject, {terms.family: family}), profile, None, now)


def text(reason: str, said: dict[str, Any], default_locale: str = "en", **about: Any) -> str:
    return FluentWording(default_locale)(circumstances(reason, said, **about)).text


def subsets(names: Iterable[str]) -> list[tuple[str, ...]]:
    every = list(names)
    return list(chain.from_iterable(combinations(every, size) for size in range(len(every) + 1)))


FULL: Final = {reason: MINIMAL[reason] | OPTIONAL[reason] for reason in MINIMAL}

EXAMPLES: Final = {
    ("en", "appointment_reminder"): [
        "acme-dental: a reminder of your appointment on Thursday, March 20, 2031 at 3:05 PM, 12 Example Street."
    ],
    ("de", "appointment_reminder"): [
        "acme-dental: Erinnerung an Ihren Termin am Donnerstag, 20. März 2031 um 15:05, 12 Example Street."
    ],
    ("vi", "appointment_reminder"): [
        "acme-dental: nhắc bạn về lịch hẹn ngày Thứ Năm, 20 tháng 3, 2031 lúc 15:05, 12 Example Street."
    ],
    ("en", "trial_follow_up"): [
        "acme-dental: your trial of Orbit Notes ends on Saturday, March 22, 2031. Would you like to keep it?",
        "https://orbit-notes.example/upgrade",
        "Reply STOP to opt out.",
    ],
    ("de", "trial_follow_up"): [
        "acme-dental: Ihre Testphase von Orbit Notes endet am Samstag, 22. März 2031. Möchten Sie dabeibleiben?",
        "https://orbit-notes.example/upgrade",
        "Abmelden mit STOP.",
    ],
    ("vi", "trial_follow_up"): [
        "acme-dental: bản dùng thử Orbit Notes của bạn sẽ hết hạn ngày Thứ Bảy, 22 tháng 3, 2031.",
        "Bạn có muốn tiếp tục không?",
        "https://orbit-notes.example/upgrade",
        "Trả lời STOP để ngừng nhận tin.",
    ],
}


def test_there_is_an_example_of_each() -> None:
    assert set(EXAMPLES) == set(product(LOCALES, REASONS))
    assert set(VARIABLES) == set(REASONS)


@pytest.mark.parametrize(("locale", "reason"), EXAMPLES)
def test_a_whole_text(locale: str, reason: str) -> None:
    assert text(reason, FULL[reason], locale=locale) == " ".join(EXAMPLES[locale, reason])


@pytest.mark.parametrize(("locale", "reason"), EXAMPLES)
def test_any_text(locale: str, reason: str) -> None:
    """On every channel, with and without each thing that an event may leave out, before and after."""
    cases = product(CHANNELS, subsets(OPTIONAL[reason]), (BEFORE, AFTER))
    for channel, given, now in cases:
        said = MINIMAL[reason] | {name: OPTIONAL[reason][name] for name in given}
        worded = FluentWording()(circumstances(reason, said, locale=locale, channel=channel, now=now))
        assert (worded.locale, worded.template) == (locale, reason)
        assert worded.text.startswith("acme-dental: ")
        assert worded.parameters[0] == "acme-dental"
        assert all(parameter and parameter in worded.text for parameter in worded.parameters)
        for shown in (worded.text, *worded.parameters):
            assert not set(shown) & set("{}$\u202f\u00a0\u2068\u2069")
            assert {character for character in shown if character.isspace()} <= {" "}
            assert "  " not in shown
            assert shown == shown.strip()
        for name, value in OPTIONAL[reason].items():
            assert (value in worded.text) == (name in given and name != "service")
        assert ("STOP" in worded.text) == (reason == "trial_follow_up" and channel == "sms")


@pytest.mark.parametrize(("locale", "ended"), [("en", "ended on"), ("de", "endete am"), ("vi", "đã hết hạn ngày")])
def test_a_trial_that_is_over_has_ended(locale: str, ended: str) -> None:
    ends_at = datetime.fromisoformat(TRIAL["ends_at"])
    over = text("trial_follow_up", TRIAL, locale=locale, now=ends_at)
    assert ended in over
    assert ended not in text("trial_follow_up", TRIAL, locale=locale, now=ends_at - timedelta(seconds=1))


# Which language


@pytest.mark.parametrize(
    ("locale", "default", "spoken"),
    [
        ("de-AT", "en", "de"),
        ("de_AT", "en", "de"),
        ("DE", "en", "de"),
        ("vi-VN", "en", "vi"),
        ("en-GB", "de", "en"),
        ("fr", "de", "de"),
        ("fr-CA", "de-CH", "de"),
        ("fr", "vi_VN", "vi"),
        ("fr", "pt-BR", "en"),
        (None, "de", "de"),
        (None, "ja", "en"),
        (None, "en", "en"),
    ],
)
def test_the_persons_language_else_the_default_else_english(locale: str | None, default: str, spoken: str) -> None:
    worded = FluentWording(default)(circumstances("trial_follow_up", TRIAL, locale=locale))
    assert worded.locale == spoken


def test_somebody_of_whom_nothing_is_known_reads_the_default() -> None:
    case = circumstances("trial_follow_up", TRIAL)
    unknown = Circumstances(case.message, case.subject, None, None, case.now)
    assert FluentWording("de")(unknown).locale == "de"


LOCALISED: Final = {"fr": "Pro FR", "vi": "Pro VI", "de": "Pro DE", "de_AT": "Pro AT", "en": "Pro EN"}


@pytest.mark.parametrize(
    ("names", "locale", "default", "chosen"),
    [
        (LOCALISED, "de-AT", "en", "Pro AT"),
        (LOCALISED, "DE_at", "en", "Pro AT"),
        (LOCALISED, "de-CH", "en", "Pro DE"),
        (LOCALISED, "fr-FR", "vi", "Pro FR"),
        (LOCALISED, "ja", "vi-VN", "Pro VI"),
        (LOCALISED, "ja", "pt", "Pro EN"),
        (LOCALISED, None, "de", "Pro DE"),
        ({"fr": "Pro FR", "pt": "Pro PT"}, "de", "en", "Pro FR"),
        ("Pro", "de", "en", "Pro"),
    ],
)
def test_a_name_in_many_languages(names: Any, locale: str | None, default: str, chosen: str) -> None:
    worded = FluentWording(default)(circumstances("trial_follow_up", TRIAL | {"product": names}, locale=locale))
    assert f" {chosen}" in worded.text
    assert worded.parameters[1] == chosen


def test_a_place_in_many_languages() -> None:
    said = APPOINTMENT | {"location": {"en": "Main Street", "de": "Hauptstraße"}}
    assert text("appointment_reminder", said, locale="de-DE").endswith(", Hauptstraße.")
    assert text("appointment_reminder", said, locale="vi").endswith(", Main Street.")


@pytest.mark.parametrize("locale", LOCALES)
def test_a_service_is_never_named(locale: str) -> None:
    """It may be about health."""
    said = FULL["appointment_reminder"] | {"service": {"en": "Root canal", "de": "Wurzelbehandlung"}}
    worded = FluentWording()(circumstances("appointment_reminder", said, locale=locale))
    assert worded.text == " ".join(EXAMPLES[locale, "appointment_reminder"])
    assert not {"Root canal", "Wurzelbehandlung"} & set(worded.parameters)


# Whose time

LATE_EVENING: Final = "2031-03-20T22:30:00-04:00"


@pytest.mark.parametrize(
    ("starts_at", "place", "shown"),
    [
        (LATE_EVENING, "America/New_York", "Thursday, March 20, 2031 at 10:30 PM"),
        ("2031-03-21T02:30:00Z", "America/New_York", "Thursday, March 20, 2031 at 10:30 PM"),
        (LATE_EVENING, None, "Thursday, March 20, 2031 at 10:30 PM"),
        (LATE_EVENING, "Asia/Ho_Chi_Minh", "Friday, March 21, 2031 at 9:30 AM"),
        ("2031-07-01T10:00:00Z", "Europe/London", "Tuesday, July 1, 2031 at 11:00 AM"),
    ],
)
def test_an_appointment_is_at_the_places_time(starts_at: str, place: str | None, shown: str) -> None:
    said = {"starts_at": starts_at} | ({"timezone": place} if place else {})
    for person in (None, "Europe/Berlin", "Pacific/Auckland"):
        assert f" {shown}." in text("appointment_reminder", said, zone=person)


@pytest.mark.parametrize(
    ("person", "events", "shown"),
    [
        (None, None, "Thursday, March 20, 2031"),
        (None, "Europe/Berlin", "Friday, March 21, 2031"),
        ("America/New_York", "Europe/Berlin", "Thursday, March 20, 2031"),
        ("Asia/Ho_Chi_Minh", None, "Friday, March 21, 2031"),
    ],
)
def test_a_trial_ends_in_the_persons_time(person: str | None, events: str | None, shown: str) -> None:
    said = TRIAL | {"ends_at": LATE_EVENING} | ({"timezone": events} if events else {})
    assert f" {shown}." in text("trial_follow_up", said, zone=person)


# Texts from outside

HOSTILE: Final = (
    "{ $brand }",
    "{$channel}",
    "{ trial_follow_up }",
    "{ -term }",
    '{"x"}',
    "{ $product ->\n *[a] b }",
    "a = b\n    .template = x",
    "# no comment",
    "*[other] {$date}",
    "%s %(brand)s {0} {}",
    "\\u0041 \\{",
    "<b>&amp;</b>",
)


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("locale", LOCALES)
def test_a_text_from_outside_is_data(hostile: str, locale: str) -> None:
    worded = FluentWording()(circumstances("trial_follow_up", TRIAL | {"product": hostile}, locale=locale))
    plain = text("trial_follow_up", TRIAL | {"product": "PRODUCT"}, locale=locale)
    assert worded.text == plain.replace("PRODUCT", hostile)
    assert worded.parameters[1] == hostile
    placed = text("appointment_reminder", APPOINTMENT | {"location": hostile}, locale=locale)
    assert placed.endswith(f", {hostile}.")


# Texts of ours


@pytest.mark.parametrize("locale", LOCALES)
def test_a_file_says_the_same_as_the_others(locale: str) -> None:
    """Fluent leaves out what it cannot read without a word; so this reads it with Fluent's own parser."""
    assert not [entry for entry in _parsed(locale).body if isinstance(entry, ast.Junk)]
    attributes = {name: _attributes(message) for name, message in _messages(locale).items()}
    assert attributes == {name: _attributes(message) for name, message in _messages("en").items()}
    assert set(attributes) == set(REASONS)


def test_there_is_a_file_for_each_locale_and_no_other() -> None:
    files = [path.name for path in resources.files("reengage.wording").iterdir() if path.name.endswith(".ftl")]
    assert sorted(files) == sorted(f"{locale}.ftl" for locale in LOCALES)


def _source(locale: str) -> str:
    return resources.files("reengage.wording").joinpath(f"{locale}.ftl").read_text(encoding="utf-8")


def _messages(locale: str) -> dict[str, ast.Message]:
    return {entry.id.name: entry for entry in _parsed(locale).body if isinstance(entry, ast.Message)}


def _parsed(locale: str) -> ast.Resource:
    return FluentParser().parse(_source(locale))


def _attributes(message: ast.Message) -> dict[str, str]:
    """What is said beside the text: the template's name and its parameters."""
    return {attribute.id.name: serialize_pattern(attribute.value) for attribute in message.attributes}


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("reason", REASONS)
def test_a_missing_variable_is_an_error(locale: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = circumstances(reason, FULL[reason], locale=locale)
    assert case.family
    whole = VARIABLES[reason](case, case.family, [locale], locale)
    span = _messages(locale)[reason].span
    assert span
    spoken = [name for name in whole if re.search(rf"\${name}\b", _source(locale)[span.start : span.end])]
    assert spoken
    for missing in spoken:
        fewer = {name: value for name, value in whole.items() if name != missing}
        monkeypatch.setattr(wording, "VARIABLES", {reason: lambda *_, fewer=fewer: fewer})
        with pytest.raises(WordingError, match=f"^{locale}: {reason}: Unknown external: {missing}$"):
            FluentWording()(case)


@pytest.mark.parametrize(("name", "attribute"), [("no_such_reason", None), ("trial_follow_up", "no_such_attribute")])
def test_a_missing_text_is_an_error(name: str, attribute: str | None) -> None:
    with pytest.raises(WordingError, match=f"^en: {name}: '{attribute or name}' is missing$"):
        wording._format(wording._bundle("en"), name, attribute, {})
