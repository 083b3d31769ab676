"""Look again, before a message is sent, whether the person needs it: by what they received before.

| the message | what the person received | result |
|---|---|---|
| a correction | see ``corrections.py`` | see there |
| about a subject whose events name another linked address, too | the same message, planned for that address | skipped |
| the same | the same message is in a sender's hands | it waits for the outcome |
| any other | any | needed, without a read |

Messages are planned for each address that events name, until a link shows that two of them are one person.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from reengage.domain.message import HANDED_OVER, MessageKey, State
from reengage.domain.policy import PolicyInput
from reengage.ports import RunStore
from reengage.usecases.corrections import Verdict, look_again


class Need(NamedTuple):
    """``context``: that of a correction has the reason of the message that it corrects. ``facts`` are of the skip."""

    verdict: Verdict
    context: PolicyInput
    facts: Mapping[str, Any] = MappingProxyType({})


SAME_PERSON: Final = MappingProxyType({"same_person": True})
NOT_CORRECTED: Final = MappingProxyType({"corrects": None})


def need_of(context: PolicyInput, store: RunStore) -> Need:
    """Return whether the person needs the message; only a correction and a person with aliases take a read."""
    if context.message.reason_spec.correction:
        verdict, corrects = look_again(context.message, store, context.all_addresses)
        return Need(verdict, replace(context, corrects=corrects), NOT_CORRECTED)
    rows = [row for key in _keys_at_aliases(context) if (row := store.read_message(key))]
    # A run that has both by one claim, for one text, skips the other one.
    states = {row.state for row in rows if row.claim_id != context.message.claim_id}
    if State.SENDING in states:
        return Need("wait", context)
    return Need("not_needed" if states & {*HANDED_OVER} else "needed", context, SAME_PERSON)


def _keys_at_aliases(context: PolicyInput) -> list[MessageKey]:
    """Return the keys of the same message at the person's other addresses that the subject's events name."""
    subject, message = context.subject, context.message
    if subject is None or not subject.aliases:
        return []
    named = [address for address in context.all_addresses if address.person in subject.aliases]
    used = [contact for contact in map(subject.reached_at, named) if contact != message.contact]
    return [replace(message, contact=contact).key for contact in dict.fromkeys(used)]
