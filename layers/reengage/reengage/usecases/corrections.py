"""Correct what a person last received about an appointment, if that is false now.

| the newest message about the appointment that was handed over | the appointment now | result |
|---|---|---|
| none | any | nothing: the person knows nothing false |
| names the present time | takes place | nothing |
| names another time | takes place | `appointment_moved` |
| `appointment_cancelled` | takes place | `appointment_moved`, with the words of an appointment that is on again |
| `appointment_cancelled` | is cancelled | nothing |
| any other | is cancelled | `appointment_cancelled` |
| the person asked for this very change by an answer | any | nothing |
| is still in a sender's hands | any | planned; the sender looks again before it sends |
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, Literal

from reengage.domain.contact import Contact
from reengage.domain.message import ScheduledMessage, State
from reengage.ports import QuestionReader

CANCELLED: Final = "appointment_cancelled"

Verdict = Literal["needed", "not_needed", "wait"]


def sent_about(
    correction: ScheduledMessage, store: QuestionReader, addresses: Iterable[Contact] = ()
) -> list[ScheduledMessage]:
    """Read the messages about the same appointment that were handed over to the person, oldest first.

    ``addresses`` are the person's other ones: an earlier event may have named another address.
    """
    contacts = dict.fromkeys([correction.contact, *addresses])
    found = (row for contact in contacts for row in store.sent_about_appointments(contact))
    rows = [row for row in found if row.subject == correction.subject]
    return sorted(rows, key=lambda row: row.claimed_at or row.planned_at)


def is_needed(correction: ScheduledMessage, sent: Sequence[ScheduledMessage]) -> bool:
    """Return whether what the contact was sent last is no longer true, and the contact did not ask for the change."""
    last = sent[-1] if sent else None
    if last is None:
        return False
    kind, was_cancelled = correction.reason_spec.correction, last.reason == CANCELLED
    if kind == "cancelled":
        return not was_cancelled and not _is_asked_for(last, sent, "cancel_requested")
    if was_cancelled:
        return True
    return last.anchor_at != correction.anchor_at and not _is_asked_for(last, sent, "reschedule_requested")


def _is_asked_for(last: ScheduledMessage, sent: Sequence[ScheduledMessage], answer: str) -> bool:
    """Whether that is the newest answer to the messages that name the same time as the last one."""
    answers = [row.answer for row in sent if row.answer and row.anchor_at == last.anchor_at]
    newest = max(answers, key=lambda given: given.at, default=None)
    return newest is not None and newest.answer == answer


def numbered(correction: ScheduledMessage, sent: Sequence[ScheduledMessage]) -> ScheduledMessage:
    """Return the correction with a key of its own, if the same was sent before: a visit may be moved back and again."""
    same = sum((row.reason, row.anchor_at) == (correction.reason, correction.anchor_at) for row in sent)
    return replace(correction, offset=f"{correction.offset}.{same + 1}") if same else correction


def look_again(
    correction: ScheduledMessage, store: QuestionReader, addresses: Iterable[Contact] = ()
) -> tuple[Verdict, str | None]:
    """Return whether the correction is needed when it is due, and the reason of the message that it corrects."""
    sent = [row for row in sent_about(correction, store, addresses) if row.key != correction.key]
    if any(row.state is State.SENDING for row in sent):
        return "wait", None
    return ("needed", sent[-1].reason) if is_needed(correction, sent) else ("not_needed", None)
