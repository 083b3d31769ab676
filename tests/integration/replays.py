"""For each file of events/: what is played before it, when, and what its function answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tests.integration.stack import Stack, case

TICK: Final = datetime.fromisoformat("2031-03-19T15:00:00Z")
"""When the first appointment reminder is due, and the first trial follow-up has been for an hour."""


@dataclass(frozen=True, slots=True)
class Replay:
    """``after``: the cases that come before it. ``answer``: what the handler returns; where ``in_part``, what that has
    among other things.
    """

    answer: Mapping[str, Any]
    after: tuple[str, ...] = ()
    in_part: bool = False

    def fits(self, answer: Any) -> bool:
        return _has(answer, self.answer) if self.in_part else bool(answer == self.answer)


def _has(answer: Any, expected: Any) -> bool:
    """Return the expected fields, and the first items of a list."""
    if isinstance(expected, dict):
        return all(name in answer and _has(answer[name], value) for name, value in expected.items())
    if isinstance(expected, list):
        return len(answer) >= len(expected) and all(map(_has, answer, expected))
    return bool(answer == expected)


def play(stack: Stack, name: str) -> Any:
    """Invoke the function of one file of events/ with it, a second after its own time."""
    event = case(name)
    return stack.invoke(name.split("/", maxsplit=1)[0], event, at=_begun(event) or TICK)


def _begun(event: Any) -> datetime | None:
    """Return a second after the event's own time, if it has one."""
    match event:
        case {"time": time} | {"Records": [{"Sns": {"Timestamp": time}}, *_]}:
            return datetime.fromisoformat(time) + timedelta(seconds=1)
        case {"requestContext": {"timeEpoch": milliseconds}}:
            return datetime.fromtimestamp(milliseconds / 1000 + 1, UTC)
        case _:
            return None


def planned(count: int, *, withdrawn: int = 0, broadcasts: int = 0) -> dict[str, Any]:
    counts = {"planned": count, "too_late": 0, "withdrawn": withdrawn, "broadcasts": broadcasts}
    return {**counts, "stale": False, "erased": False}


def summary(**counts: int) -> dict[str, Any]:
    """Return the answer of a send function with only ``due`` and ``counts``."""
    nothing = dict.fromkeys(("sent", "held", "failed", "unconfirmed", "retried", "left"), 0)
    return {"due": sum(counts.values()), "skipped": {}} | nothing | counts


def answered(status: int = 200, body: str = "", content_type: str = "text/plain") -> dict[str, Any]:
    """Return the response to a provider's call."""
    return {"statusCode": status, "headers": {"Content-Type": content_type}, "body": body}


def understood(**counts: int) -> dict[str, Any]:
    """Return the outcome of SNS's records."""
    return dict.fromkeys(("messages", "receipts", "choices", "ignored", "rejected"), 0) | counts


def rejected(*errors: str) -> dict[str, Any]:
    return {"rejected": list(errors)}


NO_OFFSET: Final = (
    "expected an ISO 8601 instant with an offset, such as 2026-12-01T09:00:00+01:00; this one has no offset"
)
NO_WORDS: Final = '<?xml version="1.0" encoding="UTF-8"?><Response/>'
CHATTED: Final = "ingest_message/first_message"
BOOKED: Final = (CHATTED, "plan_messages/appointment_booked")
TRIED: Final = ("ingest_message/with_profile", "plan_messages/trial_started")
SENT: Final = (*BOOKED, "send_appointment_reminders/tick")
CHECKS_IN: Final = (CHATTED, "plan_messages/appointment_with_check_in")
SHOPS: Final = TRIED[:1]
VIEWED: Final = (*SHOPS, "plan_messages/product_viewed")
LEFT_CART: Final = (*SHOPS, "plan_messages/cart_abandoned")
SHIPPED: Final = (*SHOPS, "plan_messages/order_shipped")
DELIVERED: Final = (*SHIPPED, "plan_messages/order_delivered")
INTERESTED: Final = (*SHOPS, "plan_messages/interest_shown")
BACK_IN_STOCK: Final = (*INTERESTED, "plan_messages/item_back_in_stock")
ANNOUNCED: Final = (*SHOPS, "plan_messages/consent_given", "plan_messages/product_preview_announced")

REPLAYS: Final[Mapping[str, Replay]] = {
    CHATTED: Replay({"result": "stored"}),
    "ingest_message/whatsapp_without_plus": Replay({"result": "stored"}),
    "ingest_message/late_message": Replay({"result": "stored"}, after=(CHATTED,)),
    "ingest_message/message_of_last_year": Replay({"result": "window_closed"}),
    "ingest_message/with_profile": Replay({"result": "stored"}),
    "ingest_message/invalid_address_and_instant": Replay(
        rejected(
            "$.detail.contact.address: expected a phone number in E.164 form, such as +4915112345678",
            f"$.detail.sent_at: {NO_OFFSET}",
        )
    ),
    "ingest_message/stop": Replay({"result": "stored"}, after=BOOKED),
    "ingest_message/start": Replay({"result": "stored"}, after=(CHATTED, "ingest_message/stop")),
    "ingest_message/comes_back": Replay({"result": "stored"}, after=(CHATTED,)),
    "ingest_message/suspected_opt_out": Replay({"result": "stored"}, after=(CHATTED,)),
    "plan_messages/appointment_booked": Replay(planned(2), after=(CHATTED,)),
    "plan_messages/appointment_rescheduled": Replay(planned(2, withdrawn=2), after=BOOKED),
    "plan_messages/appointment_cancelled": Replay(planned(0, withdrawn=2), after=BOOKED),
    "plan_messages/trial_started": Replay(planned(2), after=TRIED[:1]),
    "plan_messages/trial_extended": Replay(planned(2, withdrawn=2), after=TRIED),
    "plan_messages/trial_converted": Replay(planned(0, withdrawn=2), after=TRIED),
    "plan_messages/trial_cancelled": Replay(planned(0, withdrawn=2), after=TRIED),
    # Two reminders, and the check-in, which is due a day before the first of them.
    "plan_messages/appointment_with_check_in": Replay(planned(3), after=(CHATTED,)),
    "plan_messages/check_in_completed": Replay(planned(0, withdrawn=1), after=CHECKS_IN),
    "plan_messages/product_viewed": Replay(planned(1), after=SHOPS),
    "plan_messages/product_added_to_cart": Replay(planned(0, withdrawn=1), after=VIEWED),
    "plan_messages/cart_abandoned": Replay(planned(1), after=SHOPS),
    "plan_messages/cart_checked_out": Replay(planned(0, withdrawn=1), after=LEFT_CART),
    "plan_messages/order_shipped": Replay(planned(1), after=SHOPS),
    "plan_messages/order_delivered": Replay(planned(1, withdrawn=1), after=SHIPPED),
    # The shipping fields stay.
    "plan_messages/review_received": Replay(planned(0, withdrawn=1), after=DELIVERED),
    "plan_messages/order_returned": Replay(planned(0, withdrawn=1), after=DELIVERED),
    "plan_messages/interest_shown": Replay(planned(0), after=SHOPS),
    "plan_messages/interest_withdrawn": Replay(planned(0), after=INTERESTED),
    "plan_messages/item_back_in_stock": Replay(planned(0, broadcasts=1), after=INTERESTED),
    "plan_messages/item_sold_out": Replay(planned(0, broadcasts=1), after=BACK_IN_STOCK),
    "plan_messages/product_preview_announced": Replay(planned(0, broadcasts=1), after=SHOPS),
    "plan_messages/holiday_hours_announced": Replay(planned(0, broadcasts=1), after=(CHATTED,)),
    "plan_messages/holiday_closed_announced": Replay(
        planned(0, broadcasts=1), after=(CHATTED, "plan_messages/holiday_hours_announced")
    ),
    "plan_messages/announcement_withdrawn": Replay(planned(0, broadcasts=1), after=ANNOUNCED),
    "plan_messages/brand_configured": Replay({"changed": True}),
    "plan_messages/consent_given": Replay({"changed": True}, after=TRIED),
    "plan_messages/opted_out": Replay({"changed": True}, after=BOOKED),
    "plan_messages/opted_in": Replay({"changed": True}, after=(*BOOKED, "plan_messages/opted_out")),
    # The profile, the conversation, the message, two reminders, and the note of whose the appointment is.
    "plan_messages/contact_erased": Replay({"erased": 6}, after=BOOKED),
    "plan_messages/invalid_naive_instant": Replay(rejected(f"$.detail.starts_at: {NO_OFFSET}")),
    "send_appointment_reminders/tick": Replay(summary(sent=1), after=BOOKED),
    "send_appointment_reminders/tick_without_instant": Replay(summary(sent=1), after=BOOKED),
    "send_trial_follow_ups/tick": Replay(summary(sent=1), after=TRIED),
    "send_trial_follow_ups/tick_without_instant": Replay(summary(sent=1), after=TRIED),
    "send_updates/tick": Replay(summary(sent=1), after=(*BOOKED, *ANNOUNCED)),
    "send_updates/tick_without_instant": Replay(summary(), after=(*BOOKED, *TRIED)),
    "explain/contact": Replay(
        {"stands": {"window": "open", "opted_out": False}, "entries": [{"what": "first message"}]},
        after=SENT,
        in_part=True,
    ),
    "explain/export": Replay({"inbound": [{"message_id": "SM5d1f0c6e9b7a4c7d8e2a"}]}, after=SENT, in_part=True),
    "explain/preview": Replay(
        {"planned": [{"forecast": "send"}, {"forecast": "send"}], "withdrawn": []}, after=(CHATTED,), in_part=True
    ),
    "explain/broadcast": Replay(
        {
            "kind": "announcement",
            "id": "spring-2031",
            "broadcasts": [
                {
                    "reason": "product_preview",
                    "state": "done",
                    "due_at": "2031-03-18T09:00:00Z",
                    "shards": {"done": 16, "all": 16},
                    "planned": 1,
                    "sent": 1,
                    "skipped": {},
                    "waiting": 0,
                }
            ],
        },
        after=(*ANNOUNCED, "send_updates/tick"),
        in_part=True,
    ),
    "explain/pauses": Replay({"pauses": []}, after=(CHATTED,)),
    "explain/simulate": Replay(
        {
            "events": [{"detail-type": "ConversationStarted"}],
            "summary": {"events": {"MessagePlanned": 2, "MessageSent": 2}},
        },
        in_part=True,
    ),
    "explain/invalid_address": Replay(
        rejected("$.contact.address: expected a phone number in E.164 form, such as +4915112345678")
    ),
    "record_delivery/sent": Replay({"result": "repeated"}, after=SENT),
    "record_delivery/delivered": Replay({"result": "recorded"}, after=SENT),
    "record_delivery/undelivered": Replay({"result": "recorded"}, after=SENT),
    "record_delivery/opted_out": Replay({"result": "recorded"}, after=SENT),
    "record_delivery/unknown_message": Replay(
        rejected("$.detail.scheduled_message_id: this contact has no such message"), after=SENT
    ),
    "webhook/meta_message": Replay(answered()),
    "webhook/meta_statuses": Replay(answered()),
    "webhook/meta_handshake": Replay(answered(body="1158201444")),
    "webhook/twilio_message": Replay(answered(body=NO_WORDS, content_type="text/xml")),
    "webhook/twilio_status": Replay(answered(body=NO_WORDS, content_type="text/xml")),
    "webhook/rcs_message": Replay(answered()),
    "webhook/rcs_set_up": Replay(answered(body="1234567890")),
    "webhook/aws_sms": Replay(understood(messages=1)),
    "webhook/aws_receipt": Replay(understood(receipts=1), after=SENT),
    "webhook/aws_whatsapp": Replay(understood(messages=1)),
    "webhook/unsigned": Replay(answered(403)),
}
