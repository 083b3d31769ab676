"""Notice a provider that takes messages and reports nothing: perhaps no one delivers them."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from reengage.domain.silence import Silence, silence_of
from reengage.ports import SilenceStore


def note_handed_over(handed_over: Mapping[str, int], *, store: SilenceStore, now: datetime) -> timedelta:
    """Add what a run handed over, by name of the silence; return how long the longest silence has lasted.

    A silence of enough messages is not written again. Two runs may write the same one: then the first one counts.
    """
    known = dict(store.read_silences())
    for name, messages in handed_over.items():
        before = known.get(name)
        after = (before or Silence(now, 0)).with_more(messages)
        if after != before and store.write_silence(name, after, replacing=before):
            known[name] = after
    return max((silence.lasted(now) for silence in known.values()), default=timedelta())


def end_silence(provider: str | None, channel: str, *, store: SilenceStore) -> None:
    """A receipt came. One read; a write only if a silence is stored."""
    if provider and store.read_silence(name := silence_of(provider, channel)):
        store.end_silence(name)
