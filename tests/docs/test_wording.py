"""Every reason's text in every locale, and each brand's own: it exists, uses the event's fields, names the brand, and
is short enough.
"""

import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from itertools import chain, combinations, product
from pathlib import Path
from typing import Any, Final

import pytest
from babel import Locale, UnknownLocaleError
from fluent.syntax import FluentParser, ast
from fluent.syntax.serializer import serialize_pattern
from fluent.syntax.visitor import Visitor

from reengage.adapters.sms_segments import sms_segments
from reengage.adapters.wording import FOLDER, OPENER_TEXT, FluentWording, WordingError
from reengage.adapters.wording import chain as locales_of
from reengage.adapters.wording_variables import APPOINTMENT, QUESTION, SEVERAL, VARIABLES, Context, variables
from reengage.domain.answers import detect_answer
from reengage.domain.brand import Brand
from reengage.domain.contact import CHANNELS, Contact, Profile, parse_brand
from reengage.domain.keywords import Detection, detect_request
from reengage.domain.message import ScheduledMessage
from reengage.domain.openers import find_tokens
from reengage.domain.policy import PolicyInput
from reengage.domain.reasons import REASONS, Category
from reengage.domain.subject import Subject, SubjectRef, Track, VersionedValue
from reengage.ports import Wording

pytestmark = pytest.mark.docs

LOCALES: Final = tuple(sorted(path.stem for path in FOLDER.glob("*.ftl")))
"""A language is there by its file alone; ``SHIPPED_LOCALES`` must be there."""

SHIPPED_LOCALES: Final = ("de", "en", "es", "fr", "vi")

ALPHABETS: Final = ("gsm", "unicode")
"""The values of the term ``-alphabet``: with ``gsm`` the language's texts must not leave the GSM alphabet."""

MOST_SEGMENTS: Final = 3

BRAND: Final = "acme-dental"
NAME: Final = "Acme Dental Hamburg"
CODE: Final = "K7QMX-4TRW9"
STOP_TEXT: Final = "STOP: 0800 555 0142"
BEFORE: Final = datetime(2031, 9, 16, 12, tzinfo=UTC)
AFTER: Final = datetime(2031, 9, 20, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Sample:
    """Event fields of one reason, in typical lengths: each of ``given_fields``, with and without ``optional``."""

    category: Category
    given_fields: tuple[Mapping[str, Any], ...]
    optional: Mapping[str, Any] = field(default_factory=dict)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        every = self.optional.items()
        parts = chain.from_iterable(combinations(every, size) for size in range(len(every) + 1))
        return ({**given_fields, **dict(given)} for given_fields, given in product(self.given_fields, parts))


STARTS: Final = {"starts_at": "2031-09-17T15:05:00+02:00", "timezone": "Europe/Berlin", "service": "Root canal"}
CART: Final = {"cart_url": "https://shop.acme.example/cart/7Q2M4K9XB"}

SAMPLES: Final[Mapping[str, Sample]] = {
    "appointment_reminder": Sample(
        "utility",
        (STARTS,),
        {"location": "Example Street 12, Hamburg", "check_in_url": "https://acme.example/check-in/7Q2M4K9XB"},
    ),
    "online_check_in": Sample("utility", (STARTS | {"check_in_url": "https://acme.example/check-in/7Q2M4K9XB"},)),
    "appointment_moved": Sample("utility", (STARTS,)),
    "appointment_cancelled": Sample("utility", (STARTS,)),
    "trial_follow_up": Sample(
        "marketing",
        ({"ends_at": "2031-09-17T14:00:00+02:00", "product": "Orbit Notes Professional"},),
        {"upgrade_url": "https://orbit.example/upgrade?t=7Q2M4K9X"},
    ),
    "product_reminder": Sample(
        "marketing", ({"name": "Trail Running Shoe, green"},), {"url": "https://shop.acme.example/p/trail-running"}
    ),
    "cart_reminder": Sample(
        "marketing",
        (
            CART | {"items": ["Trail Running Shoe"]},
            CART | {"items": [{"name": {"en": "Trail Running Shoe"}}, {"name": "Rain Jacket"}, {"name": "Socks"}]},
            CART | {"items": []},
            CART | {"items": 2},
        ),
    ),
    "order_shipped": Sample(
        "utility", ({},), {"carrier": "Example Express", "tracking_url": "https://track.example/t/00340434161094021501"}
    ),
    "review_request": Sample("marketing", ({},), {"review_url": "https://shop.acme.example/review/7Q2M4K9XB"}),
    "back_in_stock": Sample(
        "marketing", ({"name": "Trail Running Shoe, green"},), {"url": "https://shop.acme.example/p/trail-running"}
    ),
    "product_preview": Sample(
        "marketing", ({"title": "The autumn collection 2031"},), {"url": "https://shop.acme.example/autumn-2031"}
    ),
    "holiday_hours": Sample(
        "marketing",
        ({"date": "2031-12-24", "opens": "09:00", "closes": "13:30"}, {"date": "2031-12-25", "closed": True}),
    ),
    "welcome_back": Sample("reply", ({},)),
    "help_reply": Sample("reply", ({},)),
    "answer_reply": Sample("reply", ({},)),
}
SEVERAL_TEXTS: Final = tuple(f"{name}{SEVERAL}" for name, reason in REASONS.items() if reason.can_be_merged)
"""The texts that name several appointments."""

TEXTS: Final = (*SAMPLES, *SEVERAL_TEXTS)
PARTS: Final = {APPOINTMENT: {"date", "time", "location", "check_in_url"}, f"{QUESTION}{SEVERAL}": set[str]()}
"""The parts of these texts, and their variables."""

CONFIGURED: Final = (
    None,
    Brand(BRAND, name=NAME),
    Brand(BRAND, name=NAME, help_text="Write to help@acme.example. STOP ends this.", stop_text=STOP_TEXT),
)


def input_of(
    reason: str,
    sample_fields: Mapping[str, Any],
    *,
    locale: str | None = None,
    zone: str | None = None,
    display_name: str | None = None,
    channel: str = "sms",
    now: datetime = BEFORE,
    brand: Brand | None = None,
    brand_id: str = BRAND,
) -> PolicyInput:
    message = ScheduledMessage(
        contact=Contact(brand_id, channel, "+447700900142"),
        reason=reason,
        subject=SubjectRef(brand_id, REASONS[reason].kind, "S-1"),
        offset="P1D",
        anchor_at=now,
        due_at=now,
        valid_until=now + timedelta(days=1),
        version=1,
    )
    track = Track(1, active=True, fields={name: VersionedValue(1, value) for name, value in sample_fields.items()})
    profile = Profile(now, now, 0, locale, zone, display_name)
    subject = Subject(message.subject, {REASONS[reason].track: track}) if sample_fields else None
    return PolicyInput(message, subject, profile, None, now, brand=brand)


def samples(reason: str, locale: str, brand_id: str = BRAND) -> Iterator[PolicyInput]:
    """On every channel, with and without each optional field, before and after the instant."""
    nows = (BEFORE, AFTER) if reason == "trial_follow_up" else (BEFORE,)
    display_names = (None, "Ada Example") if reason == "welcome_back" else (None,)
    for channel, sample_fields, now, display_name, brand in product(
        CHANNELS, SAMPLES[reason], nows, display_names, CONFIGURED
    ):
        about: dict[str, Any] = {"display_name": display_name, "channel": channel, "now": now, "brand": brand}
        yield input_of(reason, sample_fields, locale=locale, brand_id=brand_id, **about)


# The check


@dataclass(frozen=True)
class TextFile:
    """One file of texts; a brand's own messages come before ``ours``."""

    path: Path
    locale: str
    brand: str | None
    entries: Sequence[ast.EntryType]
    ours: Mapping[str, ast.Message]

    @classmethod
    def read(cls, folder: Path, path: Path) -> "TextFile":
        brand = path.parent.name if path.parent != folder else None
        ours = folder / path.name
        return cls(path.relative_to(folder), path.stem, brand, _parsed(path), _messages(ours) if brand else {})

    @cached_property
    def own(self) -> dict[str, ast.Message]:
        return {entry.id.name: entry for entry in self.entries if isinstance(entry, ast.Message)}

    @cached_property
    def messages(self) -> dict[str, ast.Message]:
        return {**self.ours, **self.own}

    @cached_property
    def alphabet(self) -> str:
        terms = (entry for entry in self.entries if isinstance(entry, ast.Term) and entry.id.name == "alphabet")
        return next((serialize_pattern(term.value).strip() for term in terms), "")

    @cached_property
    def reasons(self) -> list[str]:
        """The reasons whose text this file has a part in; a text that a brand has left alone is judged as ours."""
        own = set(self.own)
        return [reason for reason in SAMPLES if own & _included(reason, self.messages)]


def _parsed(path: Path) -> list[ast.EntryType]:
    return FluentParser().parse(path.read_text(encoding="utf-8")).body if path.exists() else []


def _messages(path: Path) -> dict[str, ast.Message]:
    return {entry.id.name: entry for entry in _parsed(path) if isinstance(entry, ast.Message)}


Templates = defaultdict[tuple[str | None, str], set[int]]
"""How many parameters each template takes, of a brand or of ours."""


def problems(folder: Path) -> list[str]:
    """Return the errors in a folder of texts, each with its file and message."""
    files = [TextFile.read(folder, path) for path in sorted(folder.rglob("*.ftl"))]
    there = {(str(file.path), name) for file in files for name in file.own}
    needed = [(f"{locale}.ftl", reason) for locale, reason in product(_expected(files), (*TEXTS, *PARTS))]
    found = [f"{path}: {reason}: is missing" for path, reason in needed if (path, reason) not in there]
    english, templates = _messages(folder / "en.ftl"), Templates(set)
    for file in files:
        checks = chain(
            _unreadable(file),
            _unknown(file),
            _otherwise(file, english),
            _unspeakable(file),
            _misspoken(file, folder, templates),
            _wrong_openers(file, folder),
        )
        # Of a file that is not where it is looked for, there is nothing more to say.
        found += [f"{file.path}: {problem}" for problem in dict.fromkeys([*_misplaced(file)] or checks)]
    return found + [
        f"template {name}: takes {sorted(sizes)} parameters" for (_, name), sizes in templates.items() if len(sizes) > 1
    ]


def _expected(files: Sequence[TextFile]) -> list[str]:
    """Return the locales that need a text for every reason: those that ship, and each further file of ours."""
    return sorted(
        {*SHIPPED_LOCALES, *(file.locale for file in files if file.brand is None and len(file.path.parts) == 1)}
    )


def _misplaced(file: TextFile) -> Iterator[str]:
    if next(locales_of(file.locale)) != file.locale:
        yield "is not named as a locale is written, such as de-AT"
    try:
        Locale.parse(file.locale, sep="-")
    except (ValueError, UnknownLocaleError):
        yield "no dates can be written in this locale"
    if file.brand is None:
        if file.alphabet not in ALPHABETS:
            yield f"-alphabet: expected one of {', '.join(ALPHABETS)}"
        return
    if file.path.parent.parent != Path("brands"):
        yield "a brand's files stand in brands/<brand>"
    try:
        parse_brand(file.brand)
    except ValueError as error:
        yield f"the brand's id: {error}"


def _unreadable(file: TextFile) -> Iterator[str]:
    """Fluent ignores what it cannot parse, and reports nothing."""
    named: set[str] = set()
    for entry in file.entries:
        if isinstance(entry, ast.Junk):
            yield f"cannot be read: {(entry.content or '').partition('\n')[0]}"
        elif isinstance(entry, ast.Message) and entry.id.name in named:
            yield f"{entry.id.name}: is there twice"
        elif isinstance(entry, ast.Message):
            named.add(entry.id.name)


def _unknown(file: TextFile) -> Iterator[str]:
    """A text with a misspelt reason would never be used."""
    included = set().union(*(_references(message).messages for message in file.messages.values()))
    known = {*TEXTS, *PARTS, OPENER_TEXT, *included}
    yield from (f"{name}: no reason, and in no text" for name in file.own if name not in known)


def _otherwise(file: TextFile, english: Mapping[str, ast.Message]) -> Iterator[str]:
    """A provider approves a template once for all locales."""
    for reason in TEXTS if file.brand is None else ():
        ours, theirs = file.own.get(reason), english.get(reason)
        if ours and theirs and _attributes(ours) != _attributes(theirs):
            yield f"{reason}: has another template than in en.ftl"


def _unspeakable(file: TextFile) -> Iterator[str]:
    for reason in file.reasons:
        known = set.intersection(
            *(_variables(input_of(reason, sample_fields), file.locale) for sample_fields in SAMPLES[reason])
        )
        for name in sorted(_spoken(reason, file.messages) - known):
            yield f"{reason}: ${name} is not in the reason's data"
    several = {"brand", "channel", "stop_text", "count", "appointments", QUESTION}
    for name, known in {**dict.fromkeys(SEVERAL_TEXTS, several), **PARTS}.items():
        spoken = _spoken(name, {name: file.own[name]}) if name in file.own else set[str]()
        if unknown := spoken - known - {f"has_{each}" for each in known}:
            yield f"{name}: ${min(unknown)} is not in the reason's data"


def _misspoken(file: TextFile, folder: Path, templates: Templates) -> Iterator[str]:
    """Return the errors of a text with its values filled in, and collect each template's number of parameters."""
    wording = FluentWording(folder=folder)
    cases = [(reason, case) for reason in file.reasons for case in samples(reason, file.locale, file.brand or BRAND)]
    if file.brand is None:
        cases += [(f"{name}{SEVERAL}", _with_another(case)) for name, case in cases if f"{name}{SEVERAL}" in TEXTS]
    for reason, case in cases:
        try:
            worded = wording(case)
        except WordingError as error:
            yield f"{reason}: {error}"
            continue
        templates[file.brand, worded.template].add(len(worded.parameters))
        yield from (f"{reason}: {problem}" for problem in _faults(case, worded, file.locale))
        # A brand may want a sign of its own, and pay for it.
        if file.alphabet == "gsm" and not all(map(_is_gsm, set(worded.text))):
            yield f"{reason}: leaves the GSM alphabet"


def _with_another(case: PolicyInput) -> PolicyInput:
    """The same message as one of two: the text names both appointments."""
    return replace(case, merged=(replace(case, message=replace(case.message, due_at=AFTER)),))


def _wrong_openers(file: TextFile, folder: Path) -> Iterator[str]:
    """A person sends the opener's text, so it must carry the code, request nothing else, and stay short."""
    if file.brand is not None and OPENER_TEXT not in file.own:
        return
    wording = FluentWording(folder=folder)
    for kind in ("appointment", "trial", "order", "cart"):
        text = wording.opener(file.brand or BRAND, kind, CODE, file.locale)
        if find_tokens(text) != [CODE.replace("-", "")]:
            yield f"{OPENER_TEXT}: its code is not found: {text}"
        if detect_request(text) != Detection() or detect_answer(text, file.locale):
            yield f"{OPENER_TEXT}: reads like a request or an answer: {text}"
        if sms_segments(text) > 1 or (file.alphabet == "gsm" and not all(map(_is_gsm, set(text)))):
            yield f"{OPENER_TEXT}: takes more than one segment, or leaves the GSM alphabet: {text}"


def _faults(case: PolicyInput, worded: Wording, locale: str) -> Iterator[str]:
    text, channel = worded.text, case.message.contact.channel
    if worded.locale != locale:
        yield f"is written in {worded.locale}"
    if (NAME if case.brand else case.message.contact.brand) not in text:
        yield "does not name the brand"
    if set("{}") & set(text):
        yield "has braces"
    if not worded.template or not all(worded.parameters):
        yield "its template has no name, or an empty parameter"
    if worded.names != 1 + len(case.merged):
        yield "does not name all appointments"
    if channel == "sms" and sms_segments(text) > MOST_SEGMENTS * worded.names:
        yield f"takes more than {MOST_SEGMENTS} segments: {text}"
    if channel == "sms" and SAMPLES[case.message.reason].category == "marketing" and "STOP" not in text[-40:]:
        yield "does not end with how to stop"


@cache
def _is_gsm(character: str) -> bool:
    """71 characters are one segment in GSM alone."""
    return sms_segments("x" * 70 + character) == 1


def _variables(case: PolicyInput, locale: str) -> set[str]:
    return set(variables(Context(case, [locale], Locale.parse(locale, sep="-"))))


class References(Visitor):
    """The variables and the messages that a message refers to, its template and parameters included."""

    def __init__(self) -> None:
        self.variables: set[str] = set()
        self.messages: set[str] = set()

    def visit_VariableReference(self, node: ast.VariableReference) -> None:  # noqa: N802 - Fluent's name
        self.variables.add(node.id.name)
        if node.id.name == QUESTION:  # the text of this name is filled in for it
            self.messages.add(QUESTION)

    def visit_MessageReference(self, node: ast.MessageReference) -> None:  # noqa: N802 - Fluent's name
        self.messages.add(node.id.name)


def _references(message: ast.Message) -> References:
    references = References()
    references.visit(message)
    return references


def _attributes(message: ast.Message) -> dict[str, str]:
    return {attribute.id.name: serialize_pattern(attribute.value) for attribute in message.attributes}


def _included(name: str, messages: Mapping[str, ast.Message]) -> set[str]:
    """Return the message and all that it includes, directly or not. A missing one is found when it is rendered."""
    reached, ahead = set[str](), [name]
    while ahead:
        current = ahead.pop()
        if current in messages and current not in reached:
            reached.add(current)
            ahead += _references(messages[current]).messages
    return reached


def _spoken(name: str, messages: Mapping[str, ast.Message]) -> set[str]:
    return set().union(*(_references(messages[each]).variables for each in _included(name, messages)))


def test_the_texts_are_sound() -> None:
    assert problems(FOLDER) == []


def test_there_is_a_sample_of_each_reason() -> None:
    assert set(SAMPLES) == set(VARIABLES)
    assert {name: SAMPLES[name].category for name in REASONS} == {name: row.category for name, row in REASONS.items()}


# The check can fail


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the texts that a test may break."""
    return Path(shutil.copytree(FOLDER, tmp_path / "wording"))


ONE_SHOP: Final = "brands/one-shop/{}.ftl"
SHIPPED: Final = "order_shipped = { $brand }: on its way!\n    .template = shipped\n    .parameters = brand\n"


def test_brand_may_override_texts(folder: Path) -> None:
    for locale in ("en", "de-AT", "it"):
        write(folder, ONE_SHOP.format(locale), SHIPPED.replace("!", " 🚚"))
    assert problems(folder) == []


@pytest.mark.parametrize(
    ("file", "ours", "broken", "problem"),
    [
        ("de.ftl", "order_shipped = ", "order_sent = ", "order_shipped: is missing"),
        ("de.ftl", "order_shipped = ", "order_sent = ", "order_sent: no reason, and in no text"),
        ("vi.ftl", "order_shipped = {", "order_shipped = {{", "cannot be read: order_shipped = {{ $has_carrier ->"),
        ("en.ftl", "product_preview = ", "back_in_stock = ", "back_in_stock: is there twice"),
        ("en.ftl", "with { $carrier }", "with { $driver }", "order_shipped: $driver is not in the reason's data"),
        (
            "en.ftl",
            "with { $carrier }",
            "with { $driver }",
            "order_shipped: en: order_shipped: Unknown external: driver",
        ),
        ("en.ftl", "STOP to opt out", "STOP: { $name }", "review_request: $name is not in the reason's data"),
        ("de.ftl", "{ $brand }: Ein erster", "Ein erster", "product_preview: does not name the brand"),
        ("de.ftl", "auf { $title }. { $url } { ending }", "", "product_preview: does not end with how to stop"),
        ("en.ftl", "Reply STOP", "Reply no", "holiday_hours: does not end with how to stop"),
        ("de.ftl", "Ein erster Blick", "Ein „erster“ Blick", "product_preview: leaves the GSM alphabet"),
        ("vi.ftl", "mời bạn xem trước", "mời bạn xem trước " * 9, "product_preview: takes more than 3 segments: "),
        ("en.ftl", "a first look at", 'a first {"{"}', "product_preview: has braces"),
        ("en.ftl", "    .template = back_in_stock\n", "", "back_in_stock: en: back_in_stock: 'template' is missing"),
        (
            "en.ftl",
            "    .parameters = brand title\n",
            "",
            "product_preview: en: product_preview: 'parameters' is missing",
        ),
        (
            "en.ftl",
            ".parameters = brand title",
            ".parameters = brand titel",
            "product_preview: en: product_preview.parameters: no such variable: titel",
        ),
        (
            "en.ftl",
            ".parameters = brand title",
            ".parameters = brand title url",
            "product_preview: its template has no name, or an empty parameter",
        ),
        ("en.ftl", ".template = back_in_stock", '.template = {""}', "back_in_stock: its template has no name, or"),
        ("de.ftl", "dem Laufenden.\n} { $code }", "dem Laufenden.\n}", "opener: its code is not found"),
        ("de.ftl", "Bitte erinnern Sie mich an meinen Termin.", "STOP", "opener: reads like a request or an answer"),
        (
            "en.ftl",
            "[sms] { how_to_stop }",
            "[sms] { how_to_end }",
            "back_in_stock: en: back_in_stock: Unknown message:",
        ),
    ],
)
def test_a_text_that_is_broken(folder: Path, file: str, ours: str, broken: str, problem: str) -> None:
    source = (folder / file).read_text(encoding="utf-8")
    assert ours in source
    write(folder, file, source.replace(ours, broken))
    assert any(found.startswith(f"{file}: {problem}") for found in problems(folder)), problems(folder)


@pytest.mark.parametrize(("ours", "broken"), [("brand date opens", "date brand opens"), ("_hours_closed", "_closed")])
def test_a_template_that_is_another_in_each_language(folder: Path, ours: str, broken: str) -> None:
    source = (folder / "vi.ftl").read_text(encoding="utf-8")
    write(folder, "vi.ftl", source.replace(ours, broken))
    assert "vi.ftl: holiday_hours: has another template than in en.ftl" in problems(folder)


def test_a_brands_template_that_takes_more_and_less(folder: Path) -> None:
    write(folder, ONE_SHOP.format("en"), SHIPPED)
    write(folder, ONE_SHOP.format("de"), SHIPPED.replace("= brand", "= brand channel"))
    assert problems(folder) == ["template shipped: takes [1, 2] parameters"]


@pytest.mark.parametrize(
    ("file", "source", "problem"),
    [
        (ONE_SHOP.format("en"), SHIPPED.replace("_shipped", "_sent", 1), "order_sent: no reason, and in no text"),
        (ONE_SHOP.format("en"), SHIPPED.replace("{ $brand }", "It"), "order_shipped: does not name the brand"),
        (ONE_SHOP.format("en"), SHIPPED.replace("way", "way" * 200), "order_shipped: takes more than 3 segments: "),
        (ONE_SHOP.format("de"), "how_to_stop = Tschüss\n", "trial_follow_up: does not end with how to stop"),
        (ONE_SHOP.format("de_AT"), SHIPPED, "is not named as a locale is written, such as de-AT"),
        (ONE_SHOP.format("xx"), SHIPPED, "no dates can be written in this locale"),
        (
            ONE_SHOP.format("it"),
            SHIPPED.replace("way!", "way! { ending }"),
            "order_shipped: it: order_shipped: Unknown",
        ),
        ("brands/-shop/en.ftl", SHIPPED, "the brand's id: expected 1 to 64 letters"),
        ("one-shop/en.ftl", SHIPPED, "a brand's files stand in brands/<brand>"),
    ],
)
def test_a_brands_text_that_is_broken(folder: Path, file: str, source: str, problem: str) -> None:
    write(folder, file, source)
    assert any(found.startswith(f"{file}: {problem}") for found in problems(folder)), problems(folder)


def test_a_locale_that_is_missing(folder: Path) -> None:
    (folder / "vi.ftl").unlink()
    assert problems(folder) == [f"vi.ftl: {reason}: is missing" for reason in (*TEXTS, *PARTS)]


def test_one_file_adds_a_locale(folder: Path) -> None:
    """It needs no other change: the file is found, checked and used."""
    source = (folder / "es.ftl").read_text(encoding="utf-8").replace("vistazo", "olhar")
    write(folder, "pt.ftl", source)
    assert problems(folder) == []
    case = input_of("product_preview", SAMPLES["product_preview"].given_fields[0], locale="pt-BR")
    assert FluentWording(folder=folder)(case).text.startswith("acme-dental: un primer olhar a The autumn")
    write(folder, "gl.ftl", source.replace("un primer olhar", "unha rápida ollada"))
    assert problems(folder) == ["gl.ftl: product_preview: leaves the GSM alphabet"]


@pytest.mark.parametrize("alphabet", ["", "-alphabet = latin\n"])
def test_a_locale_names_its_alphabet(folder: Path, alphabet: str) -> None:
    source = (folder / "es.ftl").read_text(encoding="utf-8")
    write(folder, "es.ftl", source.replace("-alphabet = gsm\n", alphabet))
    assert problems(folder) == ["es.ftl: -alphabet: expected one of gsm, unicode"]


def write(folder: Path, file: str, source: str) -> None:
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")
