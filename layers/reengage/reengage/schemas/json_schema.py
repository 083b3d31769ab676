"""JSON Schemas of the events in and out, from the types that decode them and the types of ``events_out``.

Only keywords that draft 04, draft 07 and 2020-12 share are used, so that an EventBridge schema registry, editors and
validators all understand them.
"""

import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin
from zoneinfo import available_timezones

from msgspec import Meta, Struct

from reengage.adapters.inbound import field_types as fields
from reengage.adapters.inbound import patterns
from reengage.adapters.inbound.decoding import fields_of
from reengage.adapters.inbound.event_types import (
    BUSINESS_EVENTS,
    EVENTS_IN,
    AddressFields,
    BrandConfigured,
    ContactFields,
    Evidence,
)
from reengage.adapters.inbound.eventbridge import clearable_fields
from reengage.domain.contact import CHANNELS
from reengage.domain.instants import parse_zone
from reengage.domain.reasons import REASONS
from reengage.domain.subject import EVENT_TYPES, OF_ONE_CONTACT

from . import text_patterns
from .phone_numbers import phone_pattern

DRAFT: Final = "http://json-schema.org/draft-07/schema#"

Schema = dict[str, Any]

NULL: Final[Schema] = {"type": "null"}

TEXTS: Final[Mapping[type[fields.CheckedText], tuple[str, str]]] = {
    fields.Brand: (text_patterns.BRAND, "The id of a brand."),
    fields.Instant: (patterns.INSTANT, "An ISO 8601 instant with an offset, such as 2026-12-01T09:00:00+01:00."),
    fields.Ahead: (text_patterns.AHEAD, "An ISO 8601 duration of at least a minute, such as P1D or PT2H."),
    fields.Offset: (text_patterns.OFFSET, "An ISO 8601 duration, such as -P3D or P1D."),
    fields.Day: (patterns.DAY, "A day, such as 2026-12-24."),
    fields.Opening: (patterns.OPENING, "A time of the day in whole minutes, such as 09:30."),
    fields.Identifier: (text_patterns.IDENTIFIER, "An id of yours, of at most 512 bytes."),
    fields.Asks: (text_patterns.ASKS, "stop, stop_marketing, start or help."),
    fields.HoursText: (text_patterns.HOURS, "Quiet hours, such as 20:00-09:00; empty for none."),
    fields.CapsText: (text_patterns.CAPS, "Frequency caps, such as 1/P1D,3/P7D; empty for none."),
    fields.LengthText: (text_patterns.LENGTH, "A length of days or hours, such as P7D; empty for off."),
    fields.WhenClosingText: (text_patterns.WHEN_CLOSING, "Such as wait,trial_follow_up=pull_forward."),
    fields.RatesText: (text_patterns.RATES, "Messages a second, such as sms=1,whatsapp=80; empty for no limit."),
}
"""By type of a field: the pattern and the description."""

_PHONE_CHANNELS: Final = ("sms", "rcs")


def events_in() -> Iterator[tuple[str, Schema]]:
    """Yield each event that the app receives, with its schema."""
    for name, detail in EVENTS_IN.items():
        yield name, event_schema(name, detail, rules=list(_rules(name, detail)))


def event_schema(name: str, detail: type[Struct], rules: list[Schema] | None = None, source: str = "") -> Schema:
    """Return the schema of an event as EventBridge delivers it; ``detail`` alone is ``#/definitions/<name>``."""
    refs: dict[str, Schema] = {}
    body = _object(detail, refs)
    if rules:
        body["allOf"] = rules
    if "Instant" not in refs:
        refs["Instant"] = _checked_text(fields.Instant)
    envelope: dict[str, Schema] = {
        "id": {"description": "EventBridge's id of the event."},
        "source": {"enum": [source]} if source else {"description": "Your system's name; any but reengage."},
        "detail-type": {"enum": [name]},
        "time": _ref("Instant"),
        "detail": _ref(name),
    }
    return {
        "$schema": DRAFT,
        "title": name,
        "description": " ".join((detail.__doc__ or f"The event {name}.").split()),
        "type": "object",
        "required": ["detail-type", "time", "detail"],
        "properties": envelope,
        "definitions": {name: body, **dict(sorted(refs.items()))},
    }


def _ref(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


def _object(struct: type[Struct], refs: dict[str, Schema]) -> Schema:
    properties: dict[str, Schema] = {}
    for field in fields_of(struct):
        schema = _schema(field.type, refs)
        properties[field.name] = schema if field.required else {"anyOf": [schema, NULL]}
    result: Schema = {"type": "object", "properties": properties}
    if required := [field.name for field in fields_of(struct) if field.required]:
        result["required"] = required
    return result


def _schema(of: Any, refs: dict[str, Schema]) -> Schema:  # noqa: PLR0911 - one row for each kind of type
    """Return the schema of a type; what has a name goes to ``refs``."""
    if isinstance(of, type) and issubclass(of, fields.CheckedText | Struct):
        name = NAMES.get(of, of.__name__)
        if name not in refs:
            refs[name] = _checked_text(of) if issubclass(of, fields.CheckedText) else _struct(of, refs)
        return _ref(name)
    origin, arguments = get_origin(of), get_args(of)
    if origin is Annotated:
        schema = _schema(arguments[0], refs)
        for meta in arguments[1:]:
            schema |= _bounds(meta, schema.get("type", ""))
        return schema
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema(argument, refs) for argument in arguments]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is list:
        return {"type": "array", "items": _schema(arguments[0], refs)}
    if origin is dict:
        return {"type": "object"} if arguments[1] is Any else _map(arguments[0], arguments[1], refs)
    return {} if of is Any else {"type": {str: "string", bool: "boolean", int: "integer"}[of]}


def _map(key: Any, value: Any, refs: dict[str, Schema]) -> Schema:
    """Return the schema of an object with keys of a pattern, such as locales."""
    schema = _schema(key, refs)
    pattern = schema.get("pattern", "")
    if "maxLength" in schema:
        pattern = f"^(?=.{{0,{schema['maxLength']}}}{patterns.END}){pattern.removeprefix('^')}"
    if not pattern:
        return {"type": "object", "additionalProperties": _schema(value, refs)}
    return {"type": "object", "patternProperties": {pattern: _schema(value, refs)}, "additionalProperties": False}


def _bounds(meta: Meta, of: str) -> Schema:
    """Return the keywords of msgspec's bounds; they depend on the type."""
    least, most = {"string": ("minLength", "maxLength"), "array": ("minItems", "maxItems")}.get(
        of, ("minProperties", "maxProperties")
    )
    found = {
        least: meta.min_length,
        most: meta.max_length,
        "pattern": meta.pattern.replace(r"\Z", patterns.END) if meta.pattern else None,
        "description": meta.description,
    }
    return {name: value for name, value in found.items() if value not in (None, "")}


def _checked_text(of: type[fields.CheckedText]) -> Schema:
    if of in ENUMS:
        return {"enum": ENUMS[of]}
    if of is fields.Zone:
        return {"enum": zones(), "description": "An IANA time zone, such as Europe/Berlin."}
    if of is fields.Url:
        return {"type": "string", "pattern": text_patterns.URL, "maxLength": fields.MAX_URL}
    pattern, description = TEXTS[of]
    return {"type": "string", "pattern": pattern, "description": description}


ENUMS: Final[Mapping[type[fields.CheckedText], list[str]]] = {
    fields.Channel: list(CHANNELS),
    fields.PauseScope: ["all", "marketing", *REASONS],
}


def zones() -> list[str]:
    """Return the time zones that the app knows."""
    names = []
    for name in sorted(available_timezones()):
        try:
            names.append(parse_zone(name).key)
        except ValueError:
            continue
    return names


def _struct(of: type[Struct], refs: dict[str, Schema]) -> Schema:
    if of in (ContactFields, AddressFields):
        return _address(of, refs)
    if of is Evidence:
        return {
            "type": "object",
            "properties": {"when": {"anyOf": [_schema(fields.Instant, refs), NULL]}},
            "description": "Where, when and by which wording the person agreed; at most 4,096 bytes.",
        }
    return _object(of, refs)


def _address(of: type[Struct], refs: dict[str, Schema]) -> Schema:
    """Return the schema of a contact, or of another address: what an address may be depends on its channel."""
    names = [field.name for field in fields_of(of)]
    refs["PhoneNumber"] = {
        "type": "string",
        "pattern": phone_pattern(plus=r"(?:tel:\+|\+|00)"),
        "description": "A phone number with its country code, such as +4915112345678.",
    }
    refs["WhatsAppAddress"] = {
        "anyOf": [
            {"type": "string", "pattern": phone_pattern(plus=r"(?:tel:\+|\+|00|(?=[1-9]))")},
            {"type": "string", "pattern": text_patterns.USER_ID},
        ],
        "description": "A phone number, with or without the +, or the id of a WhatsApp user.",
    }
    refs["ConversationId"] = {"type": "string", "pattern": text_patterns.CONVERSATION}
    addresses = {
        **dict.fromkeys(_PHONE_CHANNELS, "PhoneNumber"),
        "whatsapp": "WhatsAppAddress",
        "google_business_messages": "ConversationId",
    }
    brand = {"brand": _schema(fields.Brand, refs)} if "brand" in names else {}
    forms = []
    for address in dict.fromkeys(addresses.values()):
        channels = [channel for channel in CHANNELS if addresses[channel] == address]
        forms.append({"properties": {"channel": {"enum": channels}, "address": _ref(address)}})
    return {
        "type": "object",
        "required": names,
        "properties": {**brand, "channel": {"enum": list(CHANNELS)}, "address": {"type": "string"}},
        "anyOf": forms,
    }


NAMES: Final[Mapping[type, str]] = {ContactFields: "Contact", AddressFields: "Address", fields.Zone: "TimeZone"}
"""The names of definitions that differ from their types' names."""


# --- What the fields of an event say about one another ---------------------------------------------------------------


def _given(name: str) -> Schema:
    return {"required": [name], "not": {"properties": {name: NULL}}}


def _left_out(*names: str) -> Schema:
    return {"properties": dict.fromkeys(names, NULL)}


def _rules(name: str, detail: type[Struct]) -> Iterator[Schema]:
    """Yield what the decoder checks beyond single fields (``adapters/inbound/eventbridge.py``)."""
    if name in BUSINESS_EVENTS or detail is BrandConfigured:
        of_one_contact = name in EVENT_TYPES and EVENT_TYPES[name].kind in OF_ONE_CONTACT
        with_contact = {**_given("contact"), **_left_out("brand")}
        yield with_contact if of_one_contact else {"anyOf": [with_contact, {**_given("brand"), **_left_out("contact")}]}
        yield from _rules_of_cleared(name)
    if name == "HolidayHoursAnnounced":
        closed = {"required": ["closed"], "properties": {"closed": {"enum": [True]}, "opens": NULL, "closes": NULL}}
        hours = {"allOf": [_given("opens"), _given("closes"), {"properties": {"closed": {"enum": [False, None]}}}]}
        yield {"anyOf": [closed, hours]}
    if name in ("ContactOptedIn", "ConsentChanged"):
        when = {"required": ["evidence"], "properties": {"evidence": {"type": "object", **_given("when")}}}
        yield when if name == "ContactOptedIn" else {"anyOf": [{"properties": {"marketing": {"enum": [False]}}}, when]}


def _rules_of_cleared(name: str) -> Iterator[Schema]:
    """Yield that only an optional field can be cleared, and not one that the event gives."""
    allowed = clearable_fields(name)
    if allowed is None:
        return
    if not allowed:
        yield {"properties": {"cleared": {"anyOf": [{"type": "array", "maxItems": 0}, NULL]}}}
        return
    items = {"type": "array", "items": {"enum": sorted(allowed)}}
    yield {"properties": {"cleared": {"anyOf": [items, NULL]}}}
    for field in sorted({field.name for field in fields_of(EVENTS_IN[name])} & allowed):
        without = {"properties": {"cleared": {"anyOf": [{"items": {"not": {"enum": [field]}}}, NULL]}}}
        yield {"anyOf": [_left_out(field), without]}
