"""What the shell completes in place of a name: events and reasons. ``reengage --install-completion`` sets it up."""

from reengage.domain.reasons import REASONS


def events(incomplete: str) -> list[str]:
    """Return the events in that begin with the text."""
    from reengage.cli.envelope import EVENT_TYPES  # noqa: PLC0415 - only the completion needs it here

    return [name for name in EVENT_TYPES if name.startswith(incomplete)]


def reasons(incomplete: str) -> list[str]:
    """Return the reasons that begin with the text."""
    return [name for name in REASONS if name.startswith(incomplete)]
