"""Publish the content of a provider's call, and keep what could not be parsed."""

from collections.abc import Callable, Sequence
from typing import Any

from reengage.domain.events_out import OutEvent
from reengage.errors import InvalidEvent, NotPublished
from reengage.ports import Publish


def relay_provider_call(
    call: Any,
    events: Sequence[OutEvent],
    errors: Sequence[str],
    *,
    publish: Publish,
    count_unpublished: Callable[[int], None],
    reject: Callable[[Any, InvalidEvent], Any],
) -> None:
    """Publish the events, then reject the call if it has errors.

    The events come first: an entry that cannot be kept must not delay the others. Raises ``NotPublished``; the provider
    then sends the call again.
    """
    try:
        publish(events)
    except NotPublished as error:
        count_unpublished(error.failed)
        raise
    if errors:
        reject(call, InvalidEvent(errors))
