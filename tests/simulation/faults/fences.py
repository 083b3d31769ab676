"""Remove one fence of the product at a time: the judge must notice it, or its silence proves nothing."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final
from unittest.mock import patch

from reengage.adapters.memory import MemoryStore, erasure
from reengage.domain import policy, policy_input, questions, recipient
from reengage.domain.brand import Brand
from reengage.domain.business_events import BusinessEvent
from reengage.domain.caps import CapUsage
from reengage.domain.message import State
from reengage.domain.openers import Opener
from reengage.domain.planning import planned_messages
from reengage.domain.policy_input import PolicyInput
from reengage.domain.preferences import Preferences
from reengage.domain.subject import Subject
from reengage.domain.track import Track
from reengage.usecases import (
    answer_question,
    configure_brand,
    link_contact,
    openers,
    outcome,
    record_choice,
    send_message,
)

APPLY: Final = Brand.apply


@contextmanager
def without_rules(*names: str) -> Iterator[None]:
    """Decide without these rules."""
    rules = MappingProxyType({name: rule for name, rule in policy.RULES.items() if name not in names})
    with patch.object(policy, "RULES", rules):
        yield


@contextmanager
def without_claim() -> Iterator[None]:
    """Give a message to every run that asks for it, in whatever state."""
    claim = MemoryStore.claim

    def claims(store: MemoryStore, due: Any, *, claim_id: str, at: Any) -> Any:
        row = store.read_message(due.key)
        if claimed := claim(store, due, claim_id=claim_id, at=at):
            return claimed
        in_hand = row is not None and row.state is State.SENDING
        return replace(row, claim_id=claim_id) if row and in_hand else None

    with patch.object(MemoryStore, "claim", claims):
        yield


@contextmanager
def without_age_of_the_decision() -> Iterator[None]:
    """Hand over a message however old the read is."""
    long = timedelta(minutes=5)
    with patch.object(send_message, "PREPARE_WITHIN", long), patch.object(send_message, "SNAPSHOT_VALID_FOR", long):
        yield


@contextmanager
def without_settle_condition() -> Iterator[None]:
    """Settle a message without storing it: its row stays as it was claimed."""
    with patch.object(MemoryStore, "settle", lambda _store, _message: True):
        yield


@contextmanager
def with_abandoned_claims_retried() -> Iterator[None]:
    """Send a message again after its run died."""

    def retried(sender: Any, message: Any, now: Any) -> Any:
        if now >= message.claimed_at + sender.claim_ttl:
            sender.store.release(replace(message, due_at=now))

    with patch.object(send_message.Sender, "_expire_claim", retried):
        yield


@contextmanager
def without_quiet_hours() -> Iterator[None]:
    """Decide without quiet hours, and set no instant before which the provider must deliver."""
    with (
        without_rules("quiet_hours", "unknown_timezone"),
        patch.object(outcome, "deliver_before", lambda context: context.message.valid_until),
    ):
        yield


@contextmanager
def without_validity() -> Iterator[None]:
    """Send what is not valid any more."""
    with without_rules("too_late"), patch.object(outcome, "deliver_before", _in_a_year):
        yield


def _in_a_year(context: Any) -> Any:
    return context.now + timedelta(days=365)


@contextmanager
def without_cap_reservation() -> Iterator[None]:
    """Reserve nothing of a cap: whatever was sent, the cap looks unused."""
    with patch.object(send_message.Sender, "_reserve_cap", lambda *_: True):
        yield


@contextmanager
def without_cap_comparison() -> Iterator[None]:
    """Reserve a cap although another run has reserved some of it since the read."""
    reserve = MemoryStore.reserve_cap

    def reserves(store: MemoryStore, message: Any, _: Any, *, at: Any, retention: Any) -> bool:
        stored = store.read_snapshot(message).cap_usage
        return reserve(store, message, stored, at=at, retention=retention)

    with patch.object(MemoryStore, "reserve_cap", reserves):
        yield


@contextmanager
def without_erasure_mark() -> Iterator[None]:
    """Look at no mark that an erasure leaves: an event in flight brings the contact back."""
    with patch.object(Preferences, "erased_since", lambda *_: False):
        yield


@contextmanager
def without_deletion() -> Iterator[None]:
    """Erase a contact without deleting anything."""
    with patch.object(MemoryStore, "erase", lambda *_, **__: 0):
        yield


@contextmanager
def without_refusals_of_links() -> Iterator[None]:
    """Look at the opt-outs of the address alone, and copy none to the person's other addresses."""
    with (
        patch.object(Preferences, "with_refusals_of", lambda preferences, _: preferences),
        patch.object(record_choice, "apply_to_links", lambda *_, **__: None),
        patch.object(link_contact, "apply_to_links", lambda *_, **__: None),
    ):
        yield


@contextmanager
def without_caps_of_links() -> Iterator[None]:
    """Count the messages to the address alone."""
    with patch.object(CapUsage, "of_person", lambda usage: next(iter(usage.values()))):
        yield


@contextmanager
def without_caps_of_channels() -> Iterator[None]:
    """Count the messages to the number's own channel, and to linked addresses."""
    with patch.object(policy_input, "_is_counted", lambda address, all_: address is all_[0] or address.is_linked):
        yield


@contextmanager
def without_named_channel() -> Iterator[None]:
    """Write to the cheapest channel of the number, whichever the event names."""
    elsewhere = PolicyInput.elsewhere

    def all_channels(context: PolicyInput, **_: bool) -> list[PolicyInput]:
        return elsewhere(context, on_all_channels=True)

    with patch.object(PolicyInput, "elsewhere", all_channels):
        yield


@contextmanager
def without_interest_on_channels() -> Iterator[None]:
    """Look at the product, or the interest, of the message's own channel alone."""
    with patch.object(PolicyInput, "newest_elsewhere", None):
        yield


@contextmanager
def without_departures() -> Iterator[None]:
    """Write to everyone that a subject ever had, also to who has left it."""
    with patch.object(Track, "_takes_part", lambda *_: True):
        yield


@contextmanager
def without_people_of_orders() -> Iterator[None]:
    """Take each event about an order as one about all of its people."""

    def person(event: BusinessEvent) -> Any:
        return event.contact if event.subject.kind in ("appointment", "trial") else None

    with patch.object(BusinessEvent, "person", property(person)):
        yield


@contextmanager
def without_new_settings() -> Iterator[None]:
    """Let a brand keep its first settings."""
    with patch.object(Brand, "apply", lambda brand, *given: brand if brand.versions else APPLY(brand, *given)):
        yield


@contextmanager
def without_recheck_of_holds() -> Iterator[None]:
    """Let a message wait until its hold ends, although the brand has other settings since."""
    with patch.object(configure_brand, "recheck_brand", lambda *_, **__: 0):
        yield


@contextmanager
def without_moves() -> Iterator[None]:
    """Write to an address that the person has left."""
    with patch.object(Preferences, "left_since", lambda *_: False):
        yield


@contextmanager
def without_failed_addresses() -> Iterator[None]:
    """Forget that a message was tried at an address, and did not arrive."""
    choose = recipient.choose

    def chooses(context: Any, **given: Any) -> Any:
        return choose(replace(context, message=replace(context.message, undelivered_to=())), **given)

    with patch.object(send_message, "choose", chooses):
        yield


@contextmanager
def without_doubts() -> Iterator[None]:
    """Bind an answer to a question, although several are open, or a person of the business wrote."""
    with patch.object(questions, "_doubt", lambda *_: None):
        yield


@contextmanager
def without_times_of_questions() -> Iterator[None]:
    """Bind an answer to an appointment that was moved or cancelled, or is over."""
    with patch.object(questions, "_status", lambda *_: None):
        yield


@contextmanager
def without_named_questions() -> Iterator[None]:
    """Look at no button and no quote."""
    bind = questions.bind

    def binds(given: Any, to: Any, **rest: Any) -> Any:
        return bind(given, replace(to, payload=None, quoted_message_id=None), **rest)

    with patch.object(answer_question, "bind", binds):
        yield


@contextmanager
def without_former_answers() -> Iterator[None]:
    """Take an answer that is repeated for another one."""
    with patch.object(questions._Question, "answers", lambda *_: False):
        yield


@contextmanager
def without_retried_answers() -> Iterator[None]:
    """Take an answer whose event is retried for one that is repeated."""
    answers, is_open = questions._Question.answers, questions._Question.is_open
    with (
        patch.object(questions._Question, "answers", lambda question, given, _: answers(question, given, "")),
        patch.object(questions._Question, "is_open", lambda question, _: is_open(question, "")),
    ):
        yield


@contextmanager
def without_used_codes() -> Iterator[None]:
    """Let a code bind each sender."""
    with (
        patch.object(Opener, "is_valid", lambda opener, at, _: at < opener.expires_at),
        patch.object(MemoryStore, "use_opener", lambda *_, **__: True),
    ):
        yield


@contextmanager
def without_ends_of_codes() -> Iterator[None]:
    """Look at the appointment as it was before its last change: a code counts after a cancellation."""

    def former(subject: Subject) -> Any:
        return planned_messages(replace(subject, tracks=subject.previous) if subject.previous else subject)

    with patch.object(openers, "planned_messages", former):
        yield


@contextmanager
def without_erased_subjects() -> Iterator[None]:
    """Let an erasure leave the appointments of the contact."""
    with patch.object(erasure, "without_contact", lambda subject, *_: subject):
        yield


@contextmanager
def without_open_windows() -> Iterator[None]:
    """Let a code divert the messages of a person who is reached."""
    with patch.object(openers, "_is_reached", lambda *_, **__: False):
        yield


FENCES: Final[Mapping[str, tuple[Callable[[], Any], str]]] = {
    "claim": (without_claim, "at_most_once"),
    "abandoned claim": (with_abandoned_claims_retried, "at_most_once"),
    "settlement": (without_settle_condition, "one_outcome"),
    "version": (lambda: without_rules("superseded", "cancelled"), "newest_version"),
    "opt-out": (lambda: without_rules("opted_out"), "opt_out"),
    "window": (lambda: without_rules("window_closed", "no_conversation"), "window"),
    "pause": (lambda: without_rules("paused"), "pause"),
    "quiet hours": (without_quiet_hours, "quiet_hours"),
    "age of the decision": (without_age_of_the_decision, "fresh_decision"),
    "cap reservation": (without_cap_reservation, "cap"),
    "cap comparison": (without_cap_comparison, "cap"),
    "erasure mark": (without_erasure_mark, "privacy"),
    "consent": (lambda: without_rules("no_consent"), "consent"),
    "conversation": (lambda: without_rules("in_conversation"), "in_conversation"),
    "validity": (without_validity, "validity"),
    "deletion by an erasure": (without_deletion, "privacy"),
    "channel window": (lambda: without_rules("channel_window"), "channel_window"),
    "opt-outs of links": (without_refusals_of_links, "opt_out"),
    "caps of links": (without_caps_of_links, "cap"),
    "caps of channels": (without_caps_of_channels, "cap"),
    "named channel": (without_named_channel, "channel"),
    "interest on channels": (without_interest_on_channels, "newest_version"),
    "people who left": (without_departures, "newest_version"),
    "people of an order": (without_people_of_orders, "liveness"),
    "new settings": (without_new_settings, "quiet_hours"),
    "recheck of holds": (without_recheck_of_holds, "liveness"),
    "left addresses": (without_moves, "left_address"),
    "tried addresses": (without_failed_addresses, "at_most_once"),
    "only open question": (without_doubts, "answer"),
    "time of a question": (without_times_of_questions, "answer"),
    "named question": (without_named_questions, "answer"),
    "repeated answer": (without_former_answers, "answer"),
    "retried answer": (without_retried_answers, "answer"),
    "used code": (without_used_codes, "opener"),
    "end of a code": (without_ends_of_codes, "opener"),
    "erased subject": (without_erased_subjects, "opener"),
    "open window": (without_open_windows, "opener"),
}
"""Each fence: how it is removed, and the guarantee that the judge then finds broken."""

RARE: Final = frozenset({"validity"})
"""Another fence covers most of this one's cases: hundreds of stories are needed to notice that it is missing."""
