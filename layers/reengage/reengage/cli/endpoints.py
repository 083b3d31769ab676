"""Endpoints of an Amazon Pinpoint export: what is known of each beside its opt-out, and which are one person."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from reengage.adapters.inbound.eventbridge import contact_at
from reengage.domain.contact import Contact
from reengage.domain.instants import iso, parse_zone
from reengage.errors import InvalidEvent

PINPOINT_CHANNELS = {"SMS": "sms", "VOICE": "sms"}
"""Channel types of Amazon Pinpoint endpoints that are phone numbers; Pinpoint API reference, Endpoints."""

WITHOUT_COUNTERPART = frozenset(
    {
        "ADM",
        "APNS",
        "APNS_SANDBOX",
        "APNS_VOIP",
        "APNS_VOIP_SANDBOX",
        "BAIDU",
        "CUSTOM",
        "EMAIL",
        "GCM",
        "IN_APP",
        "PUSH",
    }
)
"""The channel types that are no conversation by phone."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint. ``wrong_timezone``: the export gives a time zone that does not exist."""

    contact: Contact
    user_id: str | None
    timezone: str | None
    wrong_timezone: bool = False


def flat(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested objects as fields with dotted names: ``User.UserId``, as a CSV export has them."""
    fields: dict[str, Any] = {}
    for name, value in line.items():
        if isinstance(value, dict) and name in ("Demographic", "Location", "User"):
            fields |= {f"{name}.{inner}": content for inner, content in value.items()}
        else:
            fields[name] = value
    return fields


def endpoint_of(fields: Mapping[str, Any], contact: Any) -> Endpoint | None:
    """Return the endpoint of a line, whose names are in lower case; ``None`` if its address is wrong."""
    try:
        parsed = contact_at(contact, "$")
    except InvalidEvent:
        return None
    user_id, zone = fields.get("user.userid"), fields.get("demographic.timezone")
    try:
        timezone = parse_zone(str(zone)).key if zone else None
    except ValueError:
        return Endpoint(parsed, str(user_id) if user_id else None, None, wrong_timezone=True)
    return Endpoint(parsed, str(user_id) if user_id else None, timezone)


def links(endpoints: Sequence[Endpoint], now: datetime) -> list[dict[str, Any]]:
    """Return a ``ContactLinked`` event for each further address of a user, in the order of the file."""
    return [
        {
            "id": f"link:{number}",
            "time": iso(now.replace(microsecond=0)),
            "source": "reengage.import",
            "detail-type": "ContactLinked",
            "detail": {
                "contact": {"brand": first.brand, "channel": first.channel, "address": first.address},
                "same_as": {"channel": other.channel, "address": other.address},
            },
        }
        for number, (first, other) in enumerate(_pairs(endpoints))
    ]


def _pairs(endpoints: Sequence[Endpoint]) -> Iterator[tuple[Contact, Contact]]:
    people: dict[tuple[str, str], dict[Contact, None]] = defaultdict(dict)
    for endpoint in endpoints:
        if endpoint.user_id:
            people[endpoint.contact.brand, endpoint.user_id][endpoint.contact] = None
    for contacts in people.values():
        first, *others = contacts
        yield from ((first, other) for other in others)


def summary(endpoints: Sequence[Endpoint]) -> Iterator[str]:
    """Yield a line for each brand whose endpoints have a user or a time zone."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for endpoint in endpoints:
        counts[endpoint.contact.brand].update(
            {
                "users": bool(endpoint.user_id),
                "zones": bool(endpoint.timezone),
                "wrong": endpoint.wrong_timezone,
            }
        )
    for first, _ in _pairs(endpoints):
        counts[first.brand]["links"] += 1
    for brand, count in sorted(counts.items()):
        if any(count.values()):
            yield (
                f"brand {brand}: {count['users']} addresses with a user id, {count['links']} to link; "
                f"{count['zones']} with a time zone, {count['wrong']} with an unknown one"
            )
