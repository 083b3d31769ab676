"""Read the events of a story: which address each is about, and when.

An address is named by its number and its channel, for one number may be used on several channels.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from tests.simulation.faults.people import ZONES
from tests.simulation.faults.settings import Line

SUBJECTS: Final = ("appointment_id", "trial_id", "cart_id", "product_id", "order_id", "item_id", "announcement_id")
IN_SEVERAL: Final = {"+34": ("Europe/Madrid", "Atlantic/Canary")}
"""The zones in which a mobile number may be, if there are several."""


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def at_of(line: Line) -> datetime:
    return instant(line["time"])


def made_at(line: Line) -> datetime:
    """When the contact wrote a message, or else when the event came."""
    return instant(line["detail"].get("sent_at", line["time"]))


def chosen_at(line: Line) -> datetime:
    """When the contact chose: a consent counts by its evidence, which may be older than the event."""
    evidence = line["detail"].get("evidence", {})
    return instant(evidence["when"]) if "when" in evidence else made_at(line)


def zone_of(address: str) -> ZoneInfo:
    """The zone of the person's appointments."""
    return ZoneInfo(next(name for name, form in ZONES if address.startswith(form[:3])))


def subject_of(line: Line) -> str | None:
    return next((line["detail"][name] for name in SUBJECTS if name in line["detail"]), None)


def named(channel: str, address: str) -> str:
    """The name of an address in the model: one number on two channels has two."""
    return f"{address} {channel}"


def number_of(address: str) -> str:
    return address.partition(" ")[0]


def address_of(line: Line) -> str | None:
    contact = line["detail"].get("contact")
    return named(contact["channel"], contact["address"]) if contact else None


def wall(at: datetime, delta: timedelta, zone: ZoneInfo) -> datetime:
    """Some days before or after, at the same time of day."""
    return (at.astimezone(zone) + delta).astimezone(UTC)


def is_chat(address: str) -> bool:
    """Whether it is a number on WhatsApp."""
    return address.endswith(" whatsapp")


def other_address(line: Line) -> str | None:
    """The address that a link, or a move, names beside the contact."""
    other = line["detail"].get("same_as") or line["detail"].get("to")
    return named(other["channel"], other["address"]) if other else None


def linked(lines: Iterable[Line], address: str) -> frozenset[str]:
    """All addresses of the person by the links among the lines."""
    pairs = [(address_of(line), other) for line in lines if (other := other_address(line))]
    found = {address}
    while more := {each for pair in pairs if found & {*pair} for each in pair if each} - found:
        found |= more
    return frozenset(found)
