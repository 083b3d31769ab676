"""Decode JSON into the types of ``event_types``: field by field, and each error has its field's path."""

import json
import logging
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from functools import cache, partial
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

import msgspec
from msgspec import UNSET, Struct, UnsetType

from reengage.domain.contact import normalise_address
from reengage.errors import InvalidEvent

from .event_types import MAX_BYTES, AddressFields, ContactFields, Evidence, MessageReceived
from .field_types import CheckedText, Document, Instant

CLOSE = 0.8
"""Similarity from which an unknown name counts as misspelled: one letter of five; difflib's ratio."""

Decoder = Callable[[Any, str, list[str]], Any]
"""Decode a value at a path; what is wrong goes to the list of errors."""

_log = logging.getLogger(__name__)


def given[T](value: T | UnsetType) -> T | None:
    return None if isinstance(value, UnsetType) else plain(value)


def plain(value: Any) -> Any:
    """Convert the checked str subclasses of this module back to plain str."""
    match value:
        case str():
            return str(value)
        case list():
            return [plain(item) for item in value]
        case dict():
            return {str(name): plain(item) for name, item in value.items()}
        case _:
            return value


def decode_detail(event: Any, types: Mapping[str, type[Struct]], *, names: Collection[str] = ()) -> Struct:
    """Return the event's detail in the type that its detail-type names.

    ``names``: what the sender may have meant, if that is more than ``types``. Raises ``InvalidEvent``.
    """
    if not isinstance(event, dict):
        raise InvalidEvent(["$: expected an EventBridge event, a JSON object"])
    errors: list[str] = []
    _decode(event.get("time"), Instant, "$.time", errors)
    name = event.get("detail-type")
    wanted = types.get(name) if isinstance(name, str) else None
    if wanted is None:
        close = get_close_matches(name, names or types, n=1, cutoff=CLOSE) if isinstance(name, str) else []
        hint = f"did you mean {close[0]}? " if close else ""
        errors.append(f"$.detail-type: {hint}expected one of {', '.join(names or types)}")
        raise InvalidEvent(errors)
    detail = _decode(event.get("detail"), wanted, "$.detail", errors)
    if errors:
        raise InvalidEvent(errors)
    assert isinstance(detail, Struct)
    return detail


def misspelled_fields(event: Any, types: Mapping[str, type[Struct]]) -> list[str]:
    """Return a hint for each field of an accepted event that is unknown, and close to a known one.

    Other unknown fields are a sender's own business. A hint quotes only names that are nearly those of this app.
    """
    wanted, detail = types[event["detail-type"]], event["detail"]
    known = [field.name for field in fields_of(wanted)]
    hints = []
    for name in detail:
        close = [] if name in known else get_close_matches(name, known, n=1, cutoff=CLOSE)
        if close and close[0] not in detail:
            hints.append(f"$.detail.{name}: unknown field; did you mean {close[0]}?")
    return hints


def _decode(value: Any, wanted: Any, path: str, errors: list[str]) -> Any:
    """``value`` as ``wanted``; what is wrong goes to ``errors``, each with its path. msgspec stops at the first."""
    return _decoder(wanted)(value, path, errors)


@cache
def _decoder(wanted: Any) -> Decoder:
    """Return how a value of the type is decoded."""
    if wanted in (ContactFields, AddressFields):
        return lambda value, path, errors: decode_address(value, wanted, path, errors)
    if wanted is Evidence:
        return _decode_evidence
    if isinstance(wanted, type) and issubclass(wanted, Struct):
        return lambda value, path, errors: decode_fields(value, wanted, path, errors)
    allowed, most = get_args(wanted) if get_origin(wanted) is Literal else None, MAX_BYTES.get(wanted)
    return partial(_convert, wanted=wanted, allowed=allowed, most=most)


def _convert(
    value: Any, path: str, errors: list[str], *, wanted: Any, allowed: tuple[Any, ...] | None, most: int | None
) -> Any:
    if allowed is not None and value not in allowed:
        # msgspec would quote the value, which may be anything, and errors are logged.
        errors.append(f"{path}: expected one of {', '.join(allowed)}")
        return None
    try:
        written = _encoder().encode(value).encode()
        read = msgspec.convert(value, wanted, dec_hook=_check)
    except (msgspec.ValidationError, RecursionError, ValueError) as error:
        inside, problem = _problem(error)
        errors.append(f"{path}{inside}: {problem}")
        return None
    if most is not None and len(written) > most:
        errors.append(f"{path}: expected at most {most} bytes of JSON")
        return None
    return read


@cache
def _encoder() -> json.JSONEncoder:
    """Refuse what JSON or a database cannot hold: infinity, and half of a surrogate pair."""
    return json.JSONEncoder(ensure_ascii=False, allow_nan=False)


def _problem(error: Exception) -> tuple[str, str]:
    """Return the path inside the value, and what is wrong there."""
    match error:
        case msgspec.ValidationError():
            # msgspec ends with the path inside the value, such as "- at `$[1]`".
            what, _, inside = str(error).partition(" - at `$")
            return inside.removesuffix("`"), f"{what[:1].lower()}{what[1:]}"
        case UnicodeEncodeError():  # half of a surrogate pair: JSON lets it through, and no database takes it
            return "", "expected valid Unicode"
        case RecursionError():
            return "", "expected fewer nested values"
        case _:  # a number such as 1e400 is read as infinity, which JSON cannot hold
            return "", "expected finite numbers"


def decode_fields[T: Struct](value: Any, wanted: type[T], path: str, errors: list[str]) -> T | None:
    if not isinstance(value, dict):
        errors.append(f"{path}: expected an object")
        return None
    found = len(errors)
    read: dict[str, Any] = {}
    for field in fields_of(wanted):
        content = value.get(field.name)
        if content is None:  # many systems write null for what they leave out
            errors += [f"{path}.{field.name}: is required"] if field.required else []
            continue
        wrong: list[str] = []
        read[field.name] = field.decode(content, f"{path}.{field.name}", wrong)
        if wrong and wanted is MessageReceived and not field.required:
            # Drop an invalid optional field and keep the message: it may be a STOP.
            _log.warning("left out: %s", "; ".join(wrong))
            del read[field.name]
            continue
        errors += wrong
    return wanted(**read) if len(errors) == found else None


def decode_contact(value: Any, path: str, errors: list[str]) -> ContactFields | None:
    return decode_address(value, ContactFields, path, errors)


def decode_address[T: (ContactFields, AddressFields)](
    value: Any, wanted: type[T], path: str, errors: list[str]
) -> T | None:
    """Decode an address into its normal form, which depends on the channel."""
    fields = decode_fields(value, wanted, path, errors)
    if fields is None:
        return None
    try:
        return msgspec.structs.replace(fields, address=normalise_address(fields.channel, fields.address))
    except ValueError as error:
        errors.append(f"{path}.address: {error}")
        return None


def _decode_evidence(value: Any, path: str, errors: list[str]) -> Evidence | None:
    """Of its fields only ``when`` is ours to check; a consent alone needs one."""
    found = len(errors)
    whole = _decode(value, Document, path, errors) or {}
    content = whole.get("when")
    when = UNSET if content is None else _decode(content, Instant, f"{path}.when", errors)
    return Evidence(whole, when) if len(errors) == found else None


class Field(NamedTuple):
    """A field of an event's schema: its type if it is present, and how that is decoded."""

    name: str
    type: Any
    required: bool
    decode: Decoder


@cache
def fields_of(schema: type[Struct]) -> tuple[Field, ...]:
    """Read a schema's fields once: that takes as long as decoding an event."""
    fields = ((field.name, _required(field.type), field.required) for field in msgspec.structs.fields(schema))
    return tuple(Field(name, wanted, required, _decoder(wanted)) for name, wanted, required in fields)


def _required(wanted: Any) -> Any:
    """The type without its "or left out"."""
    parts = [part for part in get_args(wanted) if part is not UnsetType]
    if UnsetType not in get_args(wanted) or get_origin(wanted) in (Annotated, Literal):
        return wanted
    union = parts[0]
    for part in parts[1:]:
        union = union | part
    return union


def _check(wanted: type, value: Any) -> Any:
    """Msgspec asks here for what it does not know: our checked texts."""
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {type(value).__name__}")
    assert issubclass(wanted, CheckedText)
    return wanted(wanted.check(value))
