"""A schema of ``events/schemas/in`` and the app accept the same events."""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reengage.adapters.inbound import decoding
from reengage.adapters.inbound.eventbridge import inbound_message, parse_business_event, receipt
from reengage.errors import InvalidEvent
from tests.property.schema_values import ANY, values

FOLDER: Final = Path(__file__).parents[2] / "events" / "schemas" / "in"
NAMES: Final = sorted(path.stem for path in FOLDER.glob("*.json"))
TIME: Final = "2026-12-01T09:00:00Z"

BEYOND_A_SCHEMA: Final = (
    r"\.until: expected an instant after the pause began",
    r"\.(same_as|to): expected another address than the contact's own",
    r"\.valid_until: expected an instant at least one minute after \$\.detail\.send_at",
    r"\.send_at: expected an instant before the end of \$\.detail\.date",
    r"\.(remind_before|follow_up)\[\d+\]: expected at least one minute between two offsets",
    r"\.(items|cause|evidence|texts): expected at most \d+ bytes of JSON",
    r"\$\.detail\.texts\.",
)
"""Errors that JSON Schema cannot express (events/README.md, "What a schema cannot say")."""

LONGEST_ID: Final = 128
"""Characters: four bytes each at most, and the app takes 512 bytes."""

WRONG_OR_RARE: Final[tuple[Any, ...]] = (
    *("", " ", "x", "\n", "a" * 600, "é" * 200, "null", "0", "a\u0007b"),
    *("2026-12-01T09:00:00+01:00", "2026-12-01T09:00:00", "2026-02-30T09:00:00Z", "2028-02-29T09:00:00Z"),
    *("2026-02-29T09:00:00Z", "2026-12-01 09:00Z", "20261201T090000,5+0100", "2026-W49-2T09:00Z", "1970-12-31T23:59Z"),
    *("9000-01-01T00:00Z", "2026-12-01T24:00Z", "2026-12-01T09.5Z", "2026-12-01", "2026-12-01T09:00Z\n"),
    *("Europe/Berlin", "Europe/Atlantis", "europe/berlin", "UTC", "Factory", "../UTC", "Etc/GMT+5"),
    *("P1D", "-P1D", "PT30S", "PT59.9S", "PT1M", "P0D", "PT0S", "P", "PT", "P1DT", "P3660D", "P3661D", "PT0.5H", "P1Y"),
    *("20:00-09:00", "20:00-20:00", "Mon-Sat 20:00-09:00, Sun 20:00-12:00", "Mon 20:00-09:00, Mon 21:00-09:00"),
    *("Mon-Fri 20:00-09:00,Sat-Sun 22:00-10:00", "Mon-Wed 20:00-09:00, Tue 21:00-09:00", "Sat-Mon 20:00-09:00"),
    *(
        "1/P1D,3/P7D",
        "0/P1D",
        "1/P1M",
        "1/PT0S",
        "10000/P1D",
        "1/P1D,",
        "sms=1,whatsapp=80",
        "sms=0",
        "fax=1",
        "sms=0.5",
    ),
    *("wait", "warn,trial_follow_up=pull_forward", "warn,nothing=wait", "stop", " STOP ", "hold", "all", "marketing"),
    *(
        "https://example.com/a?b=1",
        "ftp://example.com",
        "https://a b",
        "https://" + "a" * 2040,
        "https://" + "a" * 2041,
    ),
    *("2026-12-24", "20261224", "2026-02-30", "2026-W52-4", "09:30", "0930", "9:30", "09:30:00", "09:30:01", "24:00"),
    *("en", "de-AT", "en_US", "english", "e", "en-" + "a" * 40, "sms", "fax", "delivered", "required", "text", "Image"),
    *(
        "+12025550101",
        "+1202555010",
        "+120255501011",
        "12025550101",
        "+49 1511 2345678",
        "004915112345678",
        "+999123456",
    ),
    *("Ada.Example", "acme-dental", "-acme", "a" * 65),
    *(0, 1.5, True, False, None, [], {}, ["P1D"], ["P1D", 1], {"en": "Hello"}, {"en": ""}, {"e": "x"}, {"when": TIME}),
    *(
        {"when": None},
        {"when": "soon"},
        {"channel": "sms", "address": "+12025550101"},
        ["closed"],
        ["location"],
        ["brand"],
    ),
    *({"en": {"cart_reminder": "Hi"}}, [{"name": "Shoe"}, "Shoe"], ["a" * 600], ["x"] * 101, ["x"] * 11),
)
"""Values for any field: of right and wrong types and forms."""


@cache
def schema(name: str) -> Mapping[str, Any]:
    read: Mapping[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return read


@cache
def validator(name: str) -> Any:
    return jsonschema.Draft7Validator(schema(name))


def envelope(name: str, detail: Any, time: Any = TIME) -> dict[str, Any]:
    return {"detail-type": name, "time": time, "detail": detail}


def errors_of_the_app(event: Mapping[str, Any]) -> list[str]:
    """Decode the event as its function does. A field that is left out of a person's message counts as an error."""
    decode = {"MessageReceived": inbound_message, "DeliveryReported": receipt}.get(
        event["detail-type"], parse_business_event
    )
    with warnings_of_the_decoder() as left_out:
        try:
            decode(event)
        except InvalidEvent as error:
            return list(error.errors)
    return left_out


@contextmanager
def warnings_of_the_decoder() -> Iterator[list[str]]:
    found: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: found.append(record.getMessage())  # type: ignore[method-assign] # a spy
    log = logging.getLogger(decoding.__name__)
    log.addHandler(handler)
    try:
        yield found
    finally:
        log.removeHandler(handler)


def names_its_brand_twice(detail: Any) -> bool:
    return isinstance(detail, dict) and detail.get("brand") is not None and detail.get("contact") is not None


def has_a_long_id(detail: Any) -> bool:
    """Whether an id of another alphabet has more characters than the schema takes; the app counts bytes."""
    found = detail.values() if isinstance(detail, dict) else ()
    return any(isinstance(value, str) and not value.isascii() and len(value) > LONGEST_ID for value in found)


def check_same_verdict(event: Mapping[str, Any]) -> None:
    errors = errors_of_the_app(event)
    if validator(event["detail-type"]).is_valid(event):
        assert all(any(re.search(known, error) for known in BEYOND_A_SCHEMA) for error in errors)
    else:
        assert errors or names_its_brand_twice(event["detail"]) or has_a_long_id(event["detail"])


@cache
def details(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Details whose single fields are right."""
    return values(schema(name)["definitions"][name], schema(name))


@cache
def instants() -> st.SearchStrategy[str]:
    return values(schema("ContactErased")["definitions"]["Instant"], schema("ContactErased"))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_app_accepts_what_the_schema_accepts(name: str, data: st.DataObject) -> None:
    detail = data.draw(details(name))
    if names_its_brand_twice(detail):
        del detail["brand"]
    check_same_verdict(envelope(name, detail, data.draw(instants())))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_schema_and_app_agree_on_wrong_events(name: str, data: st.DataObject) -> None:
    detail = data.draw(details(name))
    fields = sorted(schema(name)["definitions"][name]["properties"])
    for field in data.draw(st.lists(st.sampled_from(fields), min_size=1, max_size=3)):
        if data.draw(st.booleans()):
            detail[field] = data.draw(st.sampled_from(WRONG_OR_RARE))
        else:
            detail.pop(field, None)
    contact = detail.get("contact")
    if isinstance(contact, dict) and data.draw(st.booleans()):
        part = data.draw(st.sampled_from(("brand", "channel", "address")))
        detail["contact"] = {**contact, part: data.draw(st.sampled_from(WRONG_OR_RARE))}
    check_same_verdict(envelope(name, detail))


@given(ANY, ANY)
def test_schema_and_app_agree_on_wrong_envelopes(detail: Any, time: Any) -> None:
    check_same_verdict(envelope("ContactErased", detail, time))


def test_an_unknown_field_is_valid_for_both() -> None:
    contact = {"brand": "acme", "channel": "sms", "address": "+12025550101"}
    check_same_verdict(envelope("ContactErased", {"contact": contact, "reason": "moved"}))
    assert validator("ContactErased").is_valid(envelope("ContactErased", {"contact": contact, "reason": "moved"}))
