"""Read the pauses that last: those of the whole stack, and those of brands."""

from collections.abc import Iterable
from typing import Any

from reengage.domain.brand import STACK
from reengage.domain.instants import iso
from reengage.domain.pause import stored_pauses
from reengage.ports import BrandReader, Clock


def read_pauses(brands: Iterable[str], *, store: BrandReader, clock: Clock) -> list[dict[str, Any]]:
    """Return what is paused, since when, until when and why; the whole stack first, without ``brand``."""
    now = clock()
    found = []
    for brand in (STACK, *sorted(brands)):
        row = store.read_brand(brand)
        for pause in stored_pauses(row.pauses if row else None):
            if pause.until and pause.until <= now:
                continue
            value = {"brand": brand or None, "scope": pause.scope, "since": iso(pause.at), "why": pause.why}
            value["until"] = iso(pause.until) if pause.until else None
            found.append({name: each for name, each in value.items() if each is not None})
    return found
