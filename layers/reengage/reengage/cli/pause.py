"""``pause`` and ``resume``: hold what a stack, a brand, marketing or one reason sends, and end it."""

import getpass
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from reengage.cli import stack as stacks
from reengage.cli.brands import brand_hint
from reengage.cli.checks import present_pauses
from reengage.cli.console import ExitCode, UsageError, command, warn, write
from reengage.cli.explain import StackOption
from reengage.cli.inspection import Inspection
from reengage.domain.brand import STACK
from reengage.domain.instants import parse_instant
from reengage.domain.reasons import REASONS

BrandOption = Annotated[str, typer.Option("--brand", help="only this brand; without it, the whole stack")]
ScopeOption = Annotated[str, typer.Option("--scope", help="all, marketing, or a reason such as cart_reminder")]
SCOPES = ("all", "marketing", *REASONS)


@command
def pause(
    why: Annotated[str, typer.Option("--why", help="why; it is stored and shown")] = "",
    brand: BrandOption = "",
    scope: ScopeOption = "all",
    until: Annotated[str, typer.Option("--until", help="instant at which it ends, such as 2026-12-01T08:00:00Z")] = "",
    stack: StackOption = "reengage",
) -> ExitCode:
    """Hold all sending within two seconds, replies included.

    Example: reengage pause --why "wrong text" --scope marketing
    """
    more = {"why": f"{why or 'no reason given'} (by {getpass.getuser()})"}
    if until:
        try:
            more["until"] = parse_instant(until).isoformat()
        except ValueError as error:
            raise UsageError(f'--until "{until}": {error}') from error
    detail = _detail(stack, brand, scope) | more
    if until and more["until"] <= detail["occurred_at"]:
        raise UsageError(f'--until "{until}": expected an instant in the future')
    return _put(stack, "SendingPaused", detail, f", until {until}" if until else "")


@command
def resume(brand: BrandOption = "", scope: ScopeOption = "all", stack: StackOption = "reengage") -> ExitCode:
    """End a pause of the same brand and scope; messages that are still valid are sent in order of deadline.

    Example: reengage resume --scope marketing
    """
    detail = _detail(stack, brand, scope)
    was_paused = stacks.if_readable(lambda: (brand, scope) in _pauses(Inspection.of(stack), [brand]))
    code = _put(stack, "SendingResumed", detail, has_effect=bool(was_paused))
    # Afterwards: to find all brands, it may read much of the table.
    for other, held in stacks.if_readable(lambda: _pauses(Inspection.of(stack))) or ():
        if (other, held) != (brand, scope):
            warn(f"Still paused: {other or 'the whole stack'}, {held}.")
    if was_paused is False:
        warn("No such pause was stored.")
    return code


def _pauses(inspection: Inspection, brands: Iterable[str] | None = None) -> list[tuple[str, str]]:
    """Return the brand and the scope of each pause of ``brands``; without them, of the stack and of all brands."""
    of = (STACK, *inspection.brands, *inspection.misspelt) if brands is None else brands
    return [(brand, pause.scope) for brand, pause in present_pauses(inspection, of)]


def _put(stack: str, detail_type: str, detail: dict[str, Any], ends: str = "", *, has_effect: bool = False) -> ExitCode:
    """Put the event on the bus, whatever its brand; a brand that the stack does not know is a finding.

    The brand is looked up afterwards: that may read much of the table, and a pause must not wait for it.
    ``has_effect``: the event is known to change something, whatever the brand.
    """
    brand = detail.get("brand", "")
    stacks.put_events(stack, [{"detail-type": detail_type, "detail": detail}])
    write(f"{detail_type.removeprefix('Sending')}: {brand or 'the whole stack'}, {detail['scope']}{ends}.")
    if not has_effect and (hint := brand_hint(stack, brand)):
        warn(f"Probably without effect: {hint}")
        return ExitCode.FINDING
    return ExitCode.DONE


def _detail(stack: str, brand: str, scope: str) -> dict[str, Any]:
    """Return what both events need. The bus has whole seconds only: a resume in its pause's second would be lost."""
    if scope not in SCOPES:
        raise UsageError(f'unknown --scope "{scope}"; use {", ".join(SCOPES)}')
    occurred_at = stacks.describe(stack).now().isoformat(timespec="microseconds")
    return {"scope": scope, "occurred_at": occurred_at, **({"brand": brand} if brand else {})}
