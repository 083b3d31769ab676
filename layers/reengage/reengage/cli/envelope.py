"""Build an event in from flags: its type's fields, completed with what a first try needs."""

import json
import secrets
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Annotated, Any, Final, Union, get_args, get_origin

import msgspec

from reengage.adapters.inbound.event_types import EVENT_SCHEMAS, MessageReceived
from reengage.cli.console import UsageError
from reengage.domain.instants import Duration, iso

UNITS: Final = {"d": "days", "h": "hours", "m": "minutes"}
FARTHEST: Final = timedelta(days=3650)
EVENT_TYPES: Mapping[str, type[msgspec.Struct]] = {"MessageReceived": MessageReceived, **EVENT_SCHEMAS}
EXAMPLES: Mapping[str, Callable[[str, datetime], Any]] = {
    "Instant": lambda _, at: iso(at.replace(second=0, microsecond=0)),
    "Identifier": lambda name, _: f"{name.removesuffix('_id')}-{secrets.token_hex(3)}",
    "Day": lambda _, at: at.date().isoformat(),
    "Url": lambda _, __: "https://example.com/",
    "list": lambda _, __: ["Example item"],
    "bool": lambda _, __: True,
    "str": lambda name, _: f"Example {name.replace('_', ' ')}",
}
"""By the class of a required field: an example value from its name and an instant ahead."""


def build(
    detail_type: str, *, contact: Mapping[str, str], brand: str, fields: Sequence[str], ahead: str, now: datetime
) -> dict[str, Any]:
    """Return an envelope of ``detail_type``.

    ``fields`` are ``name=value``, the value as JSON or else as text. A required field that is not given gets an example
    value; an instant lies ``ahead`` of ``now`` (``2d``, ``90m``, or an ISO 8601 duration). Raises ``UsageError``.
    """
    if detail_type not in EVENT_TYPES:
        close = get_close_matches(detail_type, EVENT_TYPES, n=1)
        hint = f"did you mean {close[0]}?" if close else f"use one of {', '.join(sorted(EVENT_TYPES))}"
        raise UsageError(f'unknown event "{detail_type}"; {hint}')
    detail: dict[str, Any] = {"contact": dict(contact)} if contact else {}
    if brand and not contact:
        detail["brand"] = brand
    detail |= dict(_given(fields, EVENT_TYPES[detail_type]))
    _check_names(detail_type, detail)
    at = now + parse_ahead(ahead)
    for field in msgspec.structs.fields(EVENT_TYPES[detail_type]):
        if field.required and field.name not in detail:
            when = now if field.name == "sent_at" else at
            detail[field.name] = _example(field.name, field.type, when)
    return {"time": iso(now), "source": "reengage.cli", "detail-type": detail_type, "detail": detail}


def _check_names(detail_type: str, detail: Mapping[str, Any]) -> None:
    known = [field.name for field in msgspec.structs.fields(EVENT_TYPES[detail_type])]
    for name in detail:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"use one of {', '.join(known)}"
            raise UsageError(f'unknown field "{name}" of {detail_type}; {hint}')


def parse_ahead(text: str) -> timedelta:
    """Parse ``2d``, ``3h``, ``90m`` or an ISO 8601 duration of at most ten years. Raises ``UsageError``."""
    try:
        if text[:-1].isdecimal() and text[-1:] in UNITS:
            ahead = timedelta(**{UNITS[text[-1]]: int(text[:-1])})
        else:
            duration = Duration.parse(text)
            ahead = timedelta(days=duration.days) + duration.exact
    except (ValueError, OverflowError) as error:
        raise UsageError(f'--in "{text}": expected 2d, 3h, 90m or an ISO 8601 duration such as P2D') from error
    if ahead > FARTHEST:
        raise UsageError(f'--in "{text}": expected at most {FARTHEST.days}d')
    return ahead


def _given(fields: Sequence[str], of: type[msgspec.Struct]) -> Iterator[tuple[str, Any]]:
    """Yield each name and value; a number stays text, such as the answer "1", if the field takes no number."""
    types_of = {field.name: set(_leaves(field.type)) for field in msgspec.structs.fields(of)}
    for field in fields:
        name, equals, text = field.partition("=")
        if not equals or not name:
            raise UsageError(f'--set "{field}": expected name=value, for example --set location="12 Garden Street"')
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        is_text = isinstance(value, bool | int | float) and not types_of.get(name, set()) & {bool, int, float}
        yield name, text if is_text else value


def _example(name: str, of: Any, at: datetime) -> Any:
    """Return a value for a required field: the first row of ``EXAMPLES`` that its annotation names."""
    classes = {inner.__name__ for inner in _leaves(of) if isinstance(inner, type)}
    for known, example in EXAMPLES.items():
        if known in classes:
            return example(name, at)
    raise UsageError(f"{name} is required: give it with --set {name}=…")


def _leaves(of: Any) -> Iterator[Any]:
    """Yield the classes that an annotation is made of, not those inside containers."""
    origin = get_origin(of)
    if origin is Annotated:
        yield from _leaves(get_args(of)[0])
    elif origin in (Union, types.UnionType):
        for inner in get_args(of):
            yield from _leaves(inner)
    else:
        yield origin or of
