"""The content of a provider's call as events in, in the form in which business systems publish them.

The webhook endpoint parses a call; functions behind the bus handle it, because the bus keeps and retries what fails.
Each message of a call is an event of its own, and other systems on the bus receive them too.
"""

from collections.abc import Sequence
from typing import Any, Final, Protocol

from reengage.domain.commands import LinkContact, MoveContact, RecordAgentReply, RecordChoice, RecordDelivery
from reengage.domain.contact import Contact
from reengage.domain.conversation import InboundMessage
from reengage.domain.events_out import OutEvent, out_event

from .parsing import ParsedCall


class Relay(Protocol):
    """The use case ``relay_provider_call``, with its ports bound."""

    def __call__(self, call: Any, events: Sequence[OutEvent], errors: Sequence[str]) -> None: ...


SOURCE: Final = "reengage.webhook"
"""Not ``reengage``: the app's rules exclude that source."""


def to_bus_events(call: ParsedCall) -> list[OutEvent]:
    """Return the events of a call: links first, so that a STOP by one address finds the other, then choices."""
    return [
        *map(_link, call.links),
        *map(_move, call.moves),
        *map(_choice, call.choices),
        *map(_message, call.messages),
        *map(_receipt, call.receipts),
        *map(_agent_reply, call.agent_replies),
    ]


def _message(message: InboundMessage) -> OutEvent:
    return out_event(
        "MessageReceived",
        message.contact,
        message_id=message.message_id,
        sent_at=message.sent_at,
        text=message.text,
        kind=message.kind,
        asks=message.asks,
        locale=message.locale,
        timezone=message.timezone,
        display_name=message.display_name,
        quoted_message_id=message.quoted_message_id,
        payload=message.payload,
    )


def _receipt(receipt: RecordDelivery) -> OutEvent:
    return out_event(
        "DeliveryReported",
        receipt.contact,
        scheduled_message_id=receipt.scheduled_message_id,
        status=receipt.status,
        provider_message_id=receipt.provider_message_id,
        error=receipt.error,
        occurred_at=receipt.at,
    )


def _choice(made: RecordChoice) -> OutEvent:
    contact, choice = made.contact, made.choice
    evidence = {"when": choice.at.isoformat(), "told_by": "provider", "cause": choice.cause}
    detail: dict[str, Any] = {"occurred_at": choice.at, "evidence": evidence}
    if made.topic == "marketing":
        return out_event("ConsentChanged", contact, marketing=choice.allowed, **detail)
    if choice.allowed:
        return out_event("ContactOptedIn", contact, cause=choice.cause, **detail)
    return out_event("ContactOptedOut", contact, cause=choice.cause, occurred_at=choice.at)


def _link(link: LinkContact) -> OutEvent:
    return out_event("ContactLinked", link.contact, same_as=_address(link.same_as), occurred_at=link.at)


def _move(move: MoveContact) -> OutEvent:
    return out_event("ContactMoved", move.contact, to=_address(move.to), occurred_at=move.at)


def _agent_reply(reply: RecordAgentReply) -> OutEvent:
    return out_event("AgentReplied", reply.contact, occurred_at=reply.at)


def _address(contact: Contact) -> dict[str, str]:
    return {"channel": contact.channel, "address": contact.address}
