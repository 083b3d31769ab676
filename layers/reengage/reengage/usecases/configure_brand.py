"""A business says how its brand presents itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from reengage.domain.brand import Brand
from reengage.errors import WriteConflict
from reengage.ports import Store

TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class ConfigureBrand:
    """``fields`` holds only what the event gave."""

    brand: str
    version: int
    fields: Mapping[str, Any]


def configure_brand(said: ConfigureBrand, *, store: Store) -> bool:
    """Stores what no newer event has said already; answers whether anything changed. Raises ``Contended``."""
    for _ in range(TRIES):
        before = store.read_brand(said.brand) or Brand(said.brand)
        after = before.apply(said.version, said.fields)
        if after == before:
            return False
        if store.write_brand(after):
            return True
    raise WriteConflict(f"the brand kept changing through {TRIES} tries")
