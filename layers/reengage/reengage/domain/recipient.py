"""Choose the person's address for a message: one with an open window, the cheapest first."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from .contact import CHANNELS, Contact
from .person import is_free
from .policy import Action, Decision, decide
from .policy_input import PolicyInput

ELSEWHERE: Final = frozenset({"no_conversation", "window_closed", "channel_window"})
"""The rules that stop a message at one address only. A message that another rule stops is sent to no address."""

Position = Callable[[Contact], int]
"""The position of the contact's route among the stack's routes: the first row is preferred."""


IsBlocked = Callable[[Contact], bool]
"""Whether no route to the contact takes a message now."""


Choose = Callable[[PolicyInput], tuple[PolicyInput, Decision]]
"""Decide by which address a message goes, and whether."""


def choose(
    context: PolicyInput, position: Position = lambda _: 0, is_blocked: IsBlocked = lambda _: False
) -> tuple[PolicyInput, Decision]:
    """Decide on the message at each of the person's addresses, and return the one to use with its decision.

    Another channel of the number counts if the contact's own is closed, blocked or failed, and not refused. An address
    that did not deliver the message before is left out. If no address may be used, the rule is that of an address that
    can be reached, if there is one. A blocked address is used only if every other one is blocked, too: then the message
    waits.
    """
    own, failed = decide(context), context.message.undelivered_to
    is_final = own.action is Action.SKIP and own.rule not in ELSEWHERE
    if is_final or context.category == "reply" or not (context.addresses or failed):
        return context, own
    found = _found(context, own, is_blocked)
    if sends := _with(found, Action.SEND):
        usable = [pair for pair in sends if not is_blocked(pair[0].message.recipient)]
        chosen, decision = min(usable or sends, key=lambda pair: _order(pair[0], position))
        return chosen, replace(decision, facts={**decision.facts, **_why(chosen)})
    if holds := _with(found, Action.HOLD):
        return min(holds, key=lambda pair: pair[1].until or context.now)
    if context.message.contact in failed:
        return context, Decision(Action.SKIP, None, {"decided_at": own.facts["decided_at"]})
    reached = [decision for _, decision in found if decision.rule not in ELSEWHERE or "held_by" in decision.facts]
    return context, reached[0] if reached else own


def _found(context: PolicyInput, own: Decision, is_blocked: IsBlocked) -> list[tuple[PolicyInput, Decision]]:
    """Return the input and the decision for each address at which the message did not fail before."""
    contact, failed = context.message.contact, context.message.undelivered_to
    is_shut = own.rule in ELSEWHERE or contact in failed or is_blocked(contact)
    elsewhere = [(other, decide(other)) for other in context.elsewhere(on_all_channels=is_shut)]
    return [pair for pair in [(context, own), *elsewhere] if pair[0].message.recipient not in failed]


def decide_at(context: PolicyInput, recipient: Contact) -> tuple[PolicyInput, Decision] | None:
    """Decide on the message at one of the person's addresses; ``None`` if it may not go there."""
    own = decide(context)
    if own.action is Action.SKIP and own.rule not in ELSEWHERE:
        return None
    found = (each for each in (context, *context.elsewhere()) if each.message.recipient == recipient)
    at = next(found, None)
    return None if at is None or recipient in context.message.undelivered_to else (at, decide(at))


def _with(found: list[tuple[PolicyInput, Decision]], action: Action) -> list[tuple[PolicyInput, Decision]]:
    return [pair for pair in found if pair[1].action is action]


def _order(context: PolicyInput, position: Position) -> tuple[float, ...]:
    """Return the order in which the address is preferred.

    A broadcast, and a product that was viewed on several channels, goes to the address that was used last. Any other
    message goes to the free address, then by route, templates last.
    """
    recipient, conversation = context.message.recipient, context.conversation
    is_viewed_on_channels = any(each.has_interest and not each.is_linked for each in context.addresses)
    if conversation and (context.message.reason_spec.audience or is_viewed_on_channels):
        return (-conversation.last_inbound_at.timestamp(),)
    has_templates = CHANNELS[recipient.channel].free_text_for is not None
    price = 0 if is_free(recipient, conversation, context.now) else 1 + has_templates
    return price, position(recipient), recipient != context.message.contact


def _why(chosen: PolicyInput) -> dict[str, Any]:
    """Return the fact that the message is sent to another address than planned."""
    message = chosen.message
    return {} if message.recipient == message.contact else {"instead_of": message.contact.channel}
