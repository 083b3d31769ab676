"""Share what is due among several invocations, if it is more than one run can send in its time.

The run that the schedule starts invokes its own function once for each further group of shards. Those runs invoke
nothing: the depth is one, so Lambda's loop detection never acts. Two runs of one shard are safe: the claim decides.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

MESSAGES_PER_RUN: Final = 1000
"""What a run sends well within its 40 seconds, with 24 workers and a provider that answers in 200 ms."""


@dataclass(frozen=True, slots=True)
class FanOut:
    """``invoke`` starts another run for some shards, or raises. ``most``: runs at once, this one included."""

    invoke: Callable[[Sequence[int]], None]
    most: int


def shard_groups(due: Mapping[int, int], most: int) -> list[list[int]]:
    """Return groups of shards of about equal size for as many runs as are needed, ``most`` at most.

    ``due`` is how many messages are due in each shard. With one group, there is nothing to share.
    """
    by_size = sorted((shard for shard, count in due.items() if count), key=lambda shard: -due[shard])
    wanted = min(most, math.ceil(sum(due.values()) / MESSAGES_PER_RUN), len(by_size))
    groups: list[list[int]] = [[] for _ in range(max(wanted, 1))]
    for shard in by_size:
        min(groups, key=lambda group: sum(due[each] for each in group)).append(shard)
    return groups
