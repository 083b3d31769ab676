"""Change a brand's name, texts and settings."""

from reengage.domain.brand import Brand
from reengage.domain.commands import ConfigureBrand
from reengage.ports import Clock, HeldStore
from reengage.usecases.recheck_settings import HOLDING, recheck_brand
from reengage.usecases.retry_conflicts import retry_conflicts


def configure_brand(command: ConfigureBrand, *, store: HeldStore, clock: Clock) -> bool:
    """Store the fields that no newer event has set; return whether anything changed. Raises ``WriteConflict``.

    If a field decides until when messages are held, the held ones are decided anew. So is it if the event is repeated:
    the first attempt may have stopped before.
    """

    def attempt() -> tuple[bool, Brand] | None:
        before = store.read_brand(command.brand) or Brand(command.brand)
        after = before.apply(command.version, command.fields)
        return (after != before, after) if after == before or store.write_brand(after) else None

    changed, brand = retry_conflicts(attempt, "the brand")
    if any(brand.versions.get(name) == command.version for name in HOLDING & command.fields.keys()):
        recheck_brand(command.brand, store=store, now=clock())
    return changed
