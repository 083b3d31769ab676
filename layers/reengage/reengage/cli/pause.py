"""``pause`` and ``resume``: hold what a stack, a brand, marketing or one reason sends, and end it."""

import getpass
from typing import Annotated, Any

import typer

from reengage.cli import stack as stacks
from reengage.cli.console import ExitCode, UsageError, command, write
from reengage.cli.explain import StackOption
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
    stacks.put_events(stack, [{"detail-type": "SendingPaused", "detail": detail}])
    write(f"Paused: {brand or 'the whole stack'}, {scope}{f', until {until}' if until else ''}.")
    return ExitCode.DONE


@command
def resume(brand: BrandOption = "", scope: ScopeOption = "all", stack: StackOption = "reengage") -> ExitCode:
    """End a pause of the same brand and scope; messages that are still valid are sent in order of deadline.

    Example: reengage resume --scope marketing
    """
    stacks.put_events(stack, [{"detail-type": "SendingResumed", "detail": _detail(stack, brand, scope)}])
    write(f"Resumed: {brand or 'the whole stack'}, {scope}.")
    return ExitCode.DONE


def _detail(stack: str, brand: str, scope: str) -> dict[str, Any]:
    """Return what both events need. The bus has whole seconds only: a resume in its pause's second would be lost."""
    if scope not in SCOPES:
        raise UsageError(f'unknown --scope "{scope}"; use {", ".join(SCOPES)}')
    occurred_at = stacks.describe(stack).now().isoformat(timespec="microseconds")
    return {"scope": scope, "occurred_at": occurred_at, **({"brand": brand} if brand else {})}
