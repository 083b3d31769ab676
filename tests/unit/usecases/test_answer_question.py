"""A person answers a reminder: what is stored, published and replied, also if a crash comes in between."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import pytest

from reengage.domain.answers import Answer
from reengage.domain.asking import asks_for_answer
from reengage.domain.commands import RecordAgentReply
from reengage.domain.contact import Contact
from reengage.domain.instants import iso
from reengage.domain.policy import PolicyInput, PolicySettings
from reengage.domain.questions import payload_of
from reengage.domain.requests import Request
from reengage.domain.subject import SubjectRef
from reengage.ports import QuickReply, Wording
from reengage.usecases.explain import explain, explain_subject
from reengage.usecases.ingest_message import FRESH_FOR
from reengage.usecases.record_agent_reply import record_agent_reply
from tests import fakes
from tests.fakes import ANNA, NOON, Crash, Fault, World, business, inbound

DAY: Final = timedelta(days=1)
MINUTE: Final = timedelta(minutes=1)
AMERICAN: Final = replace(ANNA, address="+12025550101")
WHATSAPP: Final = replace(ANNA, channel="whatsapp")
plain_render = fakes.render


def asking_render(context: PolicyInput) -> Wording:
    asks = asks_for_answer(context.message, context.subject, context.brand)
    replies = (QuickReply("Confirm", payload_of(context.message.scheduled_message_id, Answer.CONFIRMED)),)
    return replace(plain_render(context), replies=replies if asks else ())


def reminded(monkeypatch: pytest.MonkeyPatch, contact: Contact = ANNA, *, wrote_from: Contact | None = None) -> World:
    """The contact wrote two days before the visit and was reminded a day before; the clock is 10 minutes later."""
    monkeypatch.setattr(fakes, "render", asking_render)
    world = World(policy=PolicySettings(whatsapp_templates=frozenset({"appointment_reminder"})))
    world.receive(inbound(NOON, contact=wrote_from or contact, message_id="first"))
    world.plan(business("AppointmentBooked", NOON, contact=contact, starts_at=NOON + 2 * DAY, remind_before=["P1D"]))
    world.clock.now = NOON + DAY
    assert world.run_sender()["sent"] == 1
    world.bus.events.clear()
    world.clock.forward(minutes=10)
    return world


def writes(world: World, text: str, contact: Contact = ANNA, around: Fault | None = None, **more: Any) -> str:
    sent_at = more.pop("sent_at", world.clock.now)
    return world.receive(inbound(sent_at, contact=contact, text=text, **more), around)


def answers(world: World) -> list[tuple[str, str | None, bool]]:
    found = [event.detail for event in world.bus.events if event.type == "AppointmentAnswered"]
    return [(detail["answer"], detail.get("bound_by"), detail["also_opted_out"]) for detail in found]


def replies(world: World) -> list[str]:
    return [row.reason for row in world.store.rows() if row.reason_spec.category == "reply"]


def opted_out(world: World, contact: Contact) -> bool:
    return world.store.read_preferences(contact).refused("contact", contact.channel) is not None


@pytest.mark.parametrize(
    ("text", "answer"), [("1", "confirmed"), ("2", "cancel_requested"), ("3", "reschedule_requested")]
)
def test_an_answer_is_stored_published_and_acknowledged(
    monkeypatch: pytest.MonkeyPatch, text: str, answer: str
) -> None:
    world = reminded(monkeypatch)
    writes(world, text)
    assert answers(world) == [(answer, "only_open_question", False)]
    [question] = world.store.sent_questions(ANNA)
    assert question.answer
    assert question.answer.answer == answer
    assert replies(world) == ["answer_reply"]


def test_explain_shows_the_answer_with_its_reminder(monkeypatch: pytest.MonkeyPatch) -> None:
    world = reminded(monkeypatch)
    writes(world, "1", message_id="SM-yes")
    ledger = explain(ANNA, store=world.store, clock=world.clock)
    (sent,) = [entry for entry in ledger["entries"] if entry["what"] == "sent" and "answer" in entry]
    bound = {"answer": "confirmed", "bound_by": "only_open_question", "message_id": "SM-yes"}
    assert sent["answer"] == bound | {"at": iso(world.clock.now)}


@pytest.mark.parametrize("text", ["Thanks", "No", "1 or 2?", "Is there parking?"])
def test_other_messages_answer_nothing(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    world = reminded(monkeypatch)
    counted = Fault(nth=99)
    writes(world, text, around=counted)
    assert "sent_questions" not in counted.calls
    assert (answers(world), replies(world)) == ([], [])


def test_a_reaction_answers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = reminded(monkeypatch)
    writes(world, "1", kind="reaction")
    assert answers(world) == []


def test_an_edit_is_the_newer_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person corrected "1" to "2" within the same bubble, and the visit stayed confirmed."""
    world = reminded(monkeypatch, WHATSAPP)
    writes(world, "1", WHATSAPP, message_id="wamid.1")
    for number, text in enumerate(("2", "2!", "Is there parking?")):
        world.clock.forward(minutes=1)
        writes(world, text, WHATSAPP, message_id=f"wamid.edit-{number}", kind="edit")
    assert [answer for answer, *_ in answers(world)] == ["confirmed", "cancel_requested"]
    [question] = world.store.sent_questions(WHATSAPP)
    assert question.answer
    assert (question.answer.answer, question.answer.message_id) == ("cancel_requested", "wamid.edit-0")


def test_a_repeated_message_answers_once(monkeypatch: pytest.MonkeyPatch) -> None:
    world = reminded(monkeypatch)
    writes(world, "1", message_id="SM-1")
    assert writes(world, "1", message_id="SM-1") == "duplicate"
    assert len(answers(world)) == 1


def test_the_same_answer_again_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    world = reminded(monkeypatch)
    writes(world, "1", message_id="SM-1")
    world.clock.forward(minutes=1)
    writes(world, "Yes", message_id="SM-2")
    assert len(answers(world)) == 1


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("nth", range(1, 24))
@pytest.mark.parametrize("asked", [ANNA, WHATSAPP], ids=["sms", "whatsapp"])
def test_no_crash_loses_an_answer(monkeypatch: pytest.MonkeyPatch, asked: Contact, nth: int, after: bool) -> None:
    """An answer by SMS to WhatsApp: its first try opened the window of SMS, and then only the preferences name the
    number's other channel.
    """
    world = reminded(monkeypatch, asked)
    fault = Fault(Crash, nth=nth, after=after)
    try:
        writes(world, "2", around=fault, message_id="SM-1")
    except Crash:
        world.clock.forward(minutes=1)
        writes(world, "2", message_id="SM-1", sent_at=NOON + DAY + 10 * MINUTE)
    assert set(answers(world)) == {("cancel_requested", "only_open_question", False)}
    [question] = world.store.sent_questions(asked)
    assert question.answer
    assert question.answer.message_id == "SM-1"


@pytest.mark.parametrize(
    ("contact", "more", "stops"),
    [(ANNA, {}, False), (WHATSAPP, {}, False), (AMERICAN, {}, True), (ANNA, {"asks": Request.STOP}, True)],
    ids=["German SMS", "WhatsApp", "American SMS", "provider stopped"],
)
def test_cancel_is_about_the_visit_unless_carriers_stop(
    monkeypatch: pytest.MonkeyPatch, contact: Contact, more: dict[str, Any], stops: bool
) -> None:
    """A reply of "Cancel" opted the patient out of everything and named no visit."""
    world = reminded(monkeypatch, contact)
    writes(world, "Cancel", contact, **more)
    assert opted_out(world, contact) is stops
    assert answers(world) == [("cancel_requested", "only_open_question", stops)]
    assert replies(world) == ([] if stops else ["answer_reply"])
    causes = [event.detail["cause"] for event in world.bus.events if event.type == "ContactOptedOut"]
    assert [cause["open_question"]["subject_id"] for cause in causes] == (["A-1001"] if stops else [])


@pytest.mark.parametrize("is_stopped", [False, True])
def test_a_yes_that_twilio_reports_as_start_answers(monkeypatch: pytest.MonkeyPatch, is_stopped: bool) -> None:
    """Twilio counts YES as START: the most frequent answer in the United States was lost."""
    world = reminded(monkeypatch, AMERICAN)
    if is_stopped:
        writes(world, "STOP", AMERICAN, message_id="stop")
        world.clock.forward(minutes=1)
    writes(world, "YES", AMERICAN, asks=Request.START)
    assert answers(world) == [("confirmed", "only_open_question", False)]
    assert replies(world) == ["answer_reply"]
    assert not opted_out(world, AMERICAN)


# Another channel of the number


@pytest.mark.parametrize("planned_for", [WHATSAPP, ANNA], ids=["WhatsApp", "SMS"])
def test_an_answer_by_sms_binds_to_a_question_on_whatsapp(
    monkeypatch: pytest.MonkeyPatch, planned_for: Contact
) -> None:
    """A person with one number answered by SMS to a reminder on WhatsApp: it was bound to nothing."""
    world = reminded(monkeypatch, planned_for, wrote_from=WHATSAPP)
    writes(world, "1")
    assert answers(world) == [("confirmed", "only_open_question", False)]
    (reply,) = [row for row in world.store.rows() if row.reason == "answer_reply"]
    assert reply.recipient == ANNA
    world.clock.forward(minutes=1)
    writes(world, "Yes", WHATSAPP)
    assert len(answers(world)) == 1


@pytest.mark.parametrize(
    ("number", "stops"), [(ANNA.address, False), (AMERICAN.address, True)], ids=["German", "American"]
)
def test_cancel_by_sms_is_about_the_visit(monkeypatch: pytest.MonkeyPatch, number: str, stops: bool) -> None:
    sms, whatsapp = replace(ANNA, address=number), replace(WHATSAPP, address=number)
    world = reminded(monkeypatch, whatsapp)
    writes(world, "Cancel", sms)
    assert opted_out(world, sms) is stops
    assert answers(world) == [("cancel_requested", "only_open_question", stops)]


def test_questions_on_two_channels_are_unclear(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with linked addresses: the number has two open questions."""
    world = reminded(monkeypatch)
    writes(world, "Hello", WHATSAPP)
    starts_at = NOON + 3 * DAY
    world.plan(
        business("AppointmentBooked", subject_id="A-2", contact=WHATSAPP, starts_at=starts_at, remind_before=["PT47H"])
    )
    world.clock.now = starts_at - timedelta(hours=47)
    assert world.run_sender()["sent"] == 1
    assert [row.recipient.channel for row in world.store.sent_questions(WHATSAPP)] == ["whatsapp"]
    writes(world, "1", message_id="SM-1")
    (unclear,) = world.bus.details("AppointmentAnswered")
    assert (unclear["answer"], unclear["why"], len(unclear["candidates"])) == ("unclear", "several_open", 2)
    ledger = explain(ANNA, store=world.store, clock=world.clock)
    (shown,) = [entry for entry in ledger["entries"] if entry["what"] == "unclear answer"]
    assert shown == {
        "at": iso(world.clock.now),
        "what": "unclear answer",
        "message_id": "SM-1",
        "given": "confirmed",
        "why": "several_open",
        "candidates": unclear["candidates"],
    }


def test_explain_names_what_a_late_answer_is_about(monkeypatch: pytest.MonkeyPatch) -> None:
    """The visit was cancelled, and the person then confirmed it: an operator saw only that they wrote."""
    world = reminded(monkeypatch)
    world.plan(business("AppointmentCancelled", world.clock.now))
    world.clock.forward(minutes=1)
    writes(world, "1")
    (unclear,) = world.bus.details("AppointmentAnswered")

    def shown(subject_id: str) -> list[Any]:
        ref = SubjectRef("acme-dental", "appointment", subject_id)
        world.plan(business("AppointmentBooked", world.clock.now, subject_id=subject_id, starts_at=NOON + 9 * DAY))
        (ledger,) = explain_subject(ref, store=world.store, clock=world.clock)["ledgers"]
        return [entry for entry in ledger["entries"] if entry["what"] == "unclear answer"]

    (entry,) = shown("A-1001")
    assert entry["why"] == "cancelled"
    (candidate,) = entry["candidates"]
    assert candidate.items() <= unclear.items()
    assert shown("A-2") == []


def test_a_desk_that_wrote_on_whatsapp_makes_an_sms_unclear(monkeypatch: pytest.MonkeyPatch) -> None:
    world = reminded(monkeypatch, WHATSAPP)
    reply = RecordAgentReply(WHATSAPP, world.clock.now)
    assert record_agent_reply(reply, store=world.store, clock=world.clock)
    world.clock.forward(minutes=1)
    writes(world, "1")
    (unclear,) = world.bus.details("AppointmentAnswered")
    assert unclear["why"] == "agent_replied"


def test_an_answer_on_a_known_channel_reads_no_other_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    world = reminded(monkeypatch)
    counted = Fault(nth=99)
    writes(world, "1", around=counted)
    assert [counted.calls.count(name) for name in ("read_threads", "sent_questions")] == [1, 1]


def test_an_answer_of_another_number_binds_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = reminded(monkeypatch, WHATSAPP)
    writes(world, "1", replace(ANNA, address="+4915112345679"))
    writes(world, "1", replace(ANNA, brand="another"))
    assert answers(world) == []


def test_cancel_twice_is_no_opt_out(monkeypatch: pytest.MonkeyPatch) -> None:
    world = reminded(monkeypatch)
    writes(world, "Cancel", message_id="SM-1")
    world.clock.forward(minutes=1)
    writes(world, "Cancel!", message_id="SM-2")
    assert not opted_out(world, ANNA)
    assert len(answers(world)) == 1


@pytest.mark.parametrize("text", ["STOP", "unsubscribe", "Abmelden"])
def test_another_stop_stays_a_stop(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    world = reminded(monkeypatch)
    writes(world, text)
    assert opted_out(world, ANNA)
    assert answers(world) == []


def test_cancel_without_a_question_is_a_stop() -> None:
    world = World()
    writes(world, "Cancel")
    assert opted_out(world, ANNA)


def test_cancel_after_the_visit_is_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    world = reminded(monkeypatch)
    world.clock.now = NOON + 2 * DAY
    writes(world, "Cancel")
    assert opted_out(world, ANNA)
    assert answers(world) == []


def test_an_old_answer_gets_no_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    world = reminded(monkeypatch)
    sent_at = world.clock.now
    world.clock.now += FRESH_FOR
    writes(world, "1", sent_at=sent_at)
    assert answers(world) == [("confirmed", "only_open_question", False)]
    assert replies(world) == []


def test_replies_to_answers_can_be_off(monkeypatch: pytest.MonkeyPatch) -> None:
    world = reminded(monkeypatch)
    world.ingest = replace(world.ingest, acknowledges_answers=False)
    writes(world, "1")
    assert len(answers(world)) == 1
    assert replies(world) == []


def test_a_confirmed_visit_is_reminded_without_a_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fakes, "render", asking_render)
    world = World()
    world.receive(inbound(NOON))
    world.plan(business("AppointmentBooked", NOON, starts_at=NOON + 2 * DAY, remind_before=["P1D"]))
    world.plan(business("AppointmentConfirmed", NOON + MINUTE))
    world.clock.now = NOON + DAY
    assert world.run_sender()["sent"] == 1
    writes(world, "1")
    assert answers(world) == []
