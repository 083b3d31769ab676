"""A business says how its brand presents itself."""

from reengage.domain.brand import Brand
from reengage.domain.commands import ConfigureBrand
from reengage.ports import BrandStore
from reengage.usecases.retry_conflicts import retry_conflicts


def configure_brand(command: ConfigureBrand, *, store: BrandStore) -> bool:
    """Store the fields that no newer event has set; return whether anything changed. Raises ``WriteConflict``."""

    def attempt() -> bool | None:
        before = store.read_brand(command.brand) or Brand(command.brand)
        after = before.apply(command.version, command.fields)
        if after == before:
            return False
        if store.write_brand(after):
            return True
        return None

    return retry_conflicts(attempt, "the brand")
