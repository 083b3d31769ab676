"""Whole conversations in five languages, as providers report them, and their outcomes.

Each line of the table is a talk about a reminder that was sent at minute 0, and what is published after it.
"""

from typing import Final

import pytest

from tests.simulation.talks import DAY, ROUTES, Talk


def unlinked(locale: str) -> Talk:
    """Return an SMS number that wrote on WhatsApp too; no link makes them one person."""
    talk = Talk(locale, "sms", "twilio", routes=ROUTES)
    other = talk.contact | {"channel": "whatsapp"}
    return talk.bus(-40, "MessageReceived", contact=other, message_id="hello-2", sent_at=talk.at(-40), text="…")


def two_channels(locale: str) -> Talk:
    """Return an SMS number that is linked to a WhatsApp address, which wrote an hour before the reminder."""
    talk = Talk(locale, "sms", "twilio", hello=-90, routes=ROUTES)
    other = talk.contact | {"channel": "whatsapp"}
    talk.bus(-80, "ContactLinked", contact=talk.contact, same_as={"channel": "whatsapp", "address": talk.number})
    return talk.bus(
        -60, "MessageReceived", contact=other, message_id="hello-2", sent_at=talk.at(-60), text="…", locale=talk.locale
    )


CONVERSATIONS: Final[dict[str, tuple[Talk, list[str]]]] = {
    # Answers by digits and words, on each channel
    "en digit": (Talk("en", "sms", "twilio").writes(3, "1"), ["confirmed: a by only_open_question", "replies"]),
    "de digit in a sentence": (
        Talk("de", "sms", "aws").writes(3, "1, danke! 😊"),
        ["confirmed: a by only_open_question", "replies"],
    ),
    "vi keycap": (Talk("vi").writes(3, "1️⃣"), ["confirmed: a by only_open_question", "replies"]),
    "es words with marks": (
        Talk("es").writes(3, "¡Sí, confirmo mi cita!"),
        ["confirmed: a by only_open_question", "replies"],
    ),
    "es without marks": (
        Talk("es", "sms", "twilio").writes(3, "SI CONFIRMO"),
        ["confirmed: a by only_open_question", "replies"],
    ),
    "fr with a typographic apostrophe": (
        Talk("fr").writes(3, "Bonjour, j’annule"),
        ["cancel_requested: a by only_open_question", "replies"],
    ),
    "vi without marks": (
        Talk("vi", "sms", "aws").writes(3, "Toi xac nhan"),
        ["confirmed: a by only_open_question", "replies"],
    ),
    "vi decomposed letters": (
        Talk("vi").writes(3, "Hu\u0309y li\u0323ch he\u0323n \u1ea1"),
        ["cancel_requested: a by only_open_question", "replies"],
    ),
    "de formal refusal": (
        Talk("de").writes(3, "Guten Tag, leider muss ich den Termin absagen. Mit freundlichen Grüßen, Jana Held"),
        ["cancel_requested: a by only_open_question", "replies"],
    ),
    "de sharp capitals": (
        Talk("de", "rcs", "rcs").writes(3, "TERMIN BITTE VERSCHIEBEN!!"),
        ["reschedule_requested: a by only_open_question", "replies"],
    ),
    "fr other time": (
        Talk("fr", "rcs", "aws").writes(3, "Je ne peux pas venir, est-il possible de reporter ?"),
        ["reschedule_requested: a by only_open_question", "replies"],
    ),
    "en cannot tomorrow": (
        Talk("en").writes(3, "Sorry, I won’t be able to make it tomorrow"),
        ["cancel_requested: a by only_open_question", "replies"],
    ),
    "words of another language": (Talk("en").writes(3, "sí"), ["confirmed: a by only_open_question", "replies"]),
    # What is no answer
    "ok": (Talk("en").writes(3, "OK 👍"), []),
    "thanks": (Talk("vi").writes(3, "Cảm ơn ạ"), []),
    "a question": (Talk("fr").writes(3, "1 place de parking ?"), []),
    "yes, but": (Talk("de").writes(3, "Ja, aber erst um 16 Uhr"), []),
    "no": (Talk("es").writes(3, "No"), []),
    "both": (Talk("en").writes(3, "1 or 2?"), []),
    "an hour": (Talk("de", "sms", "twilio").writes(3, "um 2"), []),
    "do not cancel": (Talk("es").writes(3, "No cancelar por favor"), []),
    "a reaction": (
        Talk("en").writes(3, "👍", type="reaction", reaction={"emoji": "👍", "message_id": "simulated-1"}),
        [],
    ),
    "a reaction by SMS quotes the question": (
        Talk("en", "sms", "twilio").writes(3, "Liked “Acme: a reminder. Reply 1 to confirm, 2 to cancel”"),
        [],
    ),
    "a caption": (Talk("en", "sms", "twilio").writes(3, "1", NumMedia="1", MediaContentType0="image/jpeg"), []),
    # Buttons
    "meta button": (Talk("de").presses(3, 1, label="Bestätigen"), ["confirmed: a by button", "replies"]),
    "meta template button": (
        Talk("es", hello=-2 * DAY, WhatsAppTemplates="appointment_reminder,appointment_reminder_answers").presses(
            3, 2, label="Cancelar", template=True
        ),
        ["cancel_requested: a by button", "replies"],
    ),
    "twilio button": (
        Talk("fr", via="twilio").presses(3, 3, label="Autre horaire"),
        ["reschedule_requested: a by button", "replies"],
    ),
    "google button": (
        Talk("vi", "rcs", "rcs").presses(3, 2, label="Hủy hẹn"),
        ["cancel_requested: a by button", "replies"],
    ),
    "aws button": (Talk("en", via="aws").presses(3, 1, label="Confirm"), ["confirmed: a by button", "replies"]),
    "label Cancel is no opt-out": (
        Talk("us", "rcs", "aws").presses(3, 2, label="Cancel"),
        ["cancel_requested: a by button", "replies"],
    ),
    "button delivered twice": (Talk("en").presses(3, 1).again(), ["confirmed: a by button", "replies"]),
    "button pressed twice": (Talk("en").presses(3, 1).presses(9, 1), ["confirmed: a by button", "replies"]),
    "button, then another mind": (
        Talk("de").presses(3, 1).presses(9, 2),
        ["confirmed: a by button", "replies", "cancel_requested: a by button", "replies"],
    ),
    "label of a button of another system": (
        Talk("en").writes(3, "…", type="button", button={"payload": "order-17", "text": "Yes"}),
        ["confirmed: a by only_open_question", "replies"],
    ),
    # The same answer again
    "same answer again": (
        Talk("vi", "sms", "twilio").writes(3, "1").writes(5, "Có ạ"),
        ["confirmed: a by only_open_question", "replies"],
    ),
    "same answer by two ways": (Talk("es").presses(3, 1).writes(5, "Confirmo"), ["confirmed: a by button", "replies"]),
    "another mind in words": (
        Talk("fr", "sms", "aws").writes(3, "Oui").writes(60, "Finalement je ne peux pas venir"),
        ["confirmed: a by only_open_question", "replies", "cancel_requested: a by only_open_question", "replies"],
    ),
    "another mind": (
        Talk("fr", "sms", "aws").writes(3, "Oui").writes(60, "Désolée, je ne peux pas venir"),
        ["confirmed: a by only_open_question", "replies", "cancel_requested: a by only_open_question", "replies"],
    ),
    # Several open questions
    "two open": (
        Talk("de", "sms", "twilio").books(-20, "b", 28).writes(260, "1"),
        ["sent reminder b", "unclear: several_open a b", "replies"],
    ),
    "two open, by words": (
        Talk("vi").books(-20, "b", 28).writes(260, "Tôi muốn đổi lịch"),
        ["sent reminder b", "unclear: several_open a b", "replies"],
    ),
    "two open, one quoted": (
        Talk("en").books(-20, "b", 28).writes(260, "2", quotes="a"),
        ["sent reminder b", "cancel_requested: a by quote", "replies"],
    ),
    "two open, button of the first": (
        Talk("es").books(-20, "b", 28).presses(260, 1, "a"),
        ["sent reminder b", "confirmed: a by button", "replies"],
    ),
    "two open, then the other alone": (
        Talk("en").books(-20, "b", 28).presses(260, 1, "a").writes(262, "yes please"),
        ["sent reminder b", "confirmed: a by button", "replies", "confirmed: b by only_open_question", "replies"],
    ),
    "two open, one confirmed by the desk": (
        Talk("de").books(-20, "b", 28).confirms(250, "a").writes(260, "Ja"),
        ["sent reminder b", "confirmed: b by only_open_question", "replies"],
    ),
    "two open, one cancelled": (
        Talk("de", "sms", "twilio").books(-20, "b", 28).cancels(250, "a").writes(260, "2"),
        ["sent reminder b", "sent appointment_cancelled a", "cancel_requested: b by only_open_question", "replies"],
    ),
    "answered before the second was asked": (
        Talk("fr").books(-20, "b", 28).writes(5, "oui"),
        ["confirmed: a by only_open_question", "replies", "sent reminder b"],
    ),
    "one text for two": (
        Talk("en").books(-20, "b", 24.5).writes(5, "1"),
        ["confirmed: a by only_open_question", "confirmed: b by only_open_question", "replies"],
    ),
    "one text for two, cancelled": (
        Talk("en").books(-20, "b", 24.5).writes(5, "2"),
        ["unclear: several_open a b", "replies"],
    ),
    # A person of the business in between
    "desk in between": (Talk("en").agent(5).writes(7, "Yes"), ["unclear: agent_replied a"]),
    "desk in between, digit": (Talk("vi", "sms", "twilio").agent(5).writes(7, "1"), ["unclear: agent_replied a"]),
    "desk in between, button": (Talk("de").agent(5).presses(7, 1), ["confirmed: a by button", "replies"]),
    "desk in between, quoted": (Talk("es").agent(5).writes(7, "Sí", quotes="a"), ["confirmed: a by quote", "replies"]),
    "desk before the reminder": (
        Talk("fr").agent(-5).writes(7, "Oui"),
        ["confirmed: a by only_open_question", "replies"],
    ),
    "other message quoted": (Talk("en").writes(7, "Yes", quotes="wamid.other"), ["unclear: other_message_quoted a"]),
    # Moved, cancelled, over
    "moved, then yes to the old time": (
        Talk("de", "sms", "twilio").moves(10, "a", 50).writes(20, "Ja", quotes="simulated-1"),
        ["sent appointment_moved a", "unclear: moved a", "replies", "sent reminder a"],
    ),
    "moved, button of the old time": (
        Talk("en").moves(10, "a", 50).presses(20, 1),
        ["sent appointment_moved a", "confirmed: a by button", "replies", "skipped reminder a: channel_window"],
    ),
    "moved, and the new time confirmed": (
        Talk("es").moves(10, "a", 50).writes(20, "Confirmo"),
        [
            "sent appointment_moved a",
            "confirmed: a by only_open_question",
            "replies",
            "skipped reminder a: channel_window",
        ],
    ),
    "cancelled, then yes": (
        Talk("vi").cancels(10, "a").writes(20, "Có"),
        ["sent appointment_cancelled a", "unclear: cancelled a", "replies"],
    ),
    "answer after the appointment": (Talk("fr").writes(25 * 60, "Oui"), []),
    "quoted after the appointment": (Talk("fr").writes(25 * 60, "Oui", quotes="a"), ["unclear: over a", "replies"]),
    # STOP and CANCEL
    "us cancel by SMS": (
        Talk("us", "sms", "twilio").writes(3, "Cancel"),
        ["opted out at a", "cancel_requested: a by only_open_question, opted out"],
    ),
    "us CANCEL reported by Twilio": (
        Talk("us", "sms", "twilio").writes(3, "CANCEL", OptOutType="STOP"),
        ["opted out at a", "cancel_requested: a by only_open_question, opted out"],
    ),
    "us cancel on WhatsApp": (Talk("us").writes(3, "Cancel"), ["cancel_requested: a by only_open_question", "replies"]),
    "de cancel by SMS": (
        Talk("de", "sms", "aws").writes(3, "CANCEL"),
        ["cancel_requested: a by only_open_question", "replies"],
    ),
    "de cancel reported by Twilio": (
        Talk("de", "sms", "twilio").writes(3, "Cancel", OptOutType="STOP"),
        ["opted out at a", "cancel_requested: a by only_open_question, opted out"],
    ),
    "vi hủy": (Talk("vi", "sms", "aws").writes(3, "HỦY"), ["cancel_requested: a by only_open_question", "replies"]),
    "vi hủy without a question": (
        Talk("vi", "sms", "aws").cancels(3, "a").writes(10, "Hủy"),
        ["sent appointment_cancelled a", "opted out", "unclear: cancelled a, opted out"],
    ),
    "stop": (Talk("en").writes(3, "STOP"), ["opted out"]),
    "stop after yes": (
        Talk("de").writes(3, "Ja").writes(4, "Stopp bitte"),
        ["confirmed: a by only_open_question", "replies", "opted out"],
    ),
    "two open and cancel in the US": (
        Talk("us", "sms", "aws").books(-20, "b", 28).writes(260, "cancel"),
        ["sent reminder b", "opted out at b", "unclear: several_open a b, opted out"],
    ),
    "stop, then 1": (
        Talk("es", "sms", "twilio").writes(3, "ALTO").writes(4, "1"),
        ["opted out", "confirmed: a by only_open_question", "skipped reply: opted_out"],
    ),
    "yes and stop": (Talk("en").writes(3, "Yes. STOP texting me"), ["OptOutSuspected"]),
    "arrêt": (Talk("fr", "sms", "twilio").writes(3, "Arrêt"), ["opted out"]),
    "suspected": (Talk("en").writes(3, "please no more of these messages"), ["OptOutSuspected"]),
    # Acknowledgement off, questions off
    "no acknowledgement": (Talk("de", AnswerReply="off").writes(3, "1"), ["confirmed: a by only_open_question"]),
    # A correction only of what the person does not know yet
    "3, then moved": (
        Talk("en", "sms", "aws").writes(3, "3").moves(30, "a", 50),
        ["reschedule_requested: a by only_open_question", "replies", "sent reminder a"],
    ),
    "2, then cancelled": (
        Talk("de").writes(3, "Ich sage ab").cancels(30, "a"),
        ["cancel_requested: a by only_open_question", "replies"],
    ),
    "1, then cancelled": (
        Talk("es").writes(3, "Sí").cancels(30, "a"),
        ["confirmed: a by only_open_question", "replies", "sent appointment_cancelled a"],
    ),
    "1, then moved": (
        Talk("fr", "sms", "aws").writes(3, "Oui").moves(30, "a", 26),
        ["confirmed: a by only_open_question", "replies", "sent appointment_moved a", "sent reminder a"],
    ),
    "unclear 3, then moved": (
        Talk("vi", "sms", "twilio").books(-20, "b", 28).writes(260, "3").moves(270, "a", 50),
        ["sent reminder b", "unclear: several_open a b", "replies", "sent appointment_moved a", "sent reminder a"],
    ),
    # A greeting only to a person who returns by themselves
    "an answer in free words is no return": (
        Talk("en", "sms", "twilio", hello=-10 * DAY).writes(3, "OK, Thursday at 3 then, as you wrote to me"),
        [],
    ),
    "an answer to the desk of this morning": (
        Talk("de", "sms", "aws", hello=-12 * DAY).cancels(-11 * DAY, "a").agent(-300).writes(5, "Danke für den Anruf!"),
        ["skipped reply: too_late"],
    ),
    "a return": (
        Talk("fr", "sms", "aws", hello=-12 * DAY).cancels(-11 * DAY, "a").writes(5, "Bonjour, avez-vous des lampes ?"),
        ["sent welcome_back in-1"],
    ),
    # One person
    "goes to WhatsApp while that is free": (two_channels("en"), []),
    "answer on the other channel": (
        two_channels("de").on("sms", "twilio").writes(3, "1"),
        ["confirmed: a by only_open_question", "replies"],
    ),
    "answered on both channels": (
        two_channels("fr").on("sms", "twilio").writes(3, "Oui").on("whatsapp", "meta").writes(5, "1"),
        ["confirmed: a by only_open_question", "replies"],
    ),
    "desk wrote on the other channel": (
        two_channels("en").agent(2).on("whatsapp", "meta").writes(3, "1"),
        ["unclear: agent_replied a"],
    ),
    "the same number, not linked": (
        unlinked("de").on("whatsapp", "meta").writes(3, "1"),
        ["confirmed: a by only_open_question", "replies"],
    ),
    "the first message of that channel": (
        Talk("en", routes=ROUTES).on("sms", "twilio").writes(3, "1").on("whatsapp", "meta").writes(5, "Yes"),
        ["confirmed: a by only_open_question", "replies"],
    ),
    "cancel by SMS in the US": (
        Talk("us", routes=ROUTES).on("sms", "twilio").writes(3, "cancel"),
        ["opted out at a", "cancel_requested: a by only_open_question, opted out"],
    ),
    "confirmed at the desk, then 1 by SMS": (
        Talk("fr", routes=ROUTES).confirms(2, "a").on("sms", "twilio").writes(3, "1"),
        ["confirmed: a by only_open_question", "replies"],
    ),
    "an answer in free words by SMS is no return": (
        Talk("en", routes=ROUTES)
        .bus(
            -10 * DAY,
            "MessageReceived",
            contact={"brand": "acme", "channel": "sms", "address": "+447700900301"},
            message_id="hello-2",
            sent_at="2026-10-25T14:00:00Z",
            text="…",
        )
        .on("sms", "twilio")
        .writes(3, "OK, Thursday at 3 then, as you wrote to me"),
        [],
    ),
    "answer where it was asked": (
        two_channels("de").on("whatsapp", "meta").writes(3, "1"),
        ["confirmed: a by only_open_question", "replies"],
    ),
    "stop on the other channel": (
        two_channels("es").books(-20, "b", 28).on("sms", "twilio").writes(3, "STOP"),
        ["opted out", "skipped reminder b: opted_out"],
    ),
    "hủy on the other channel": (
        two_channels("vi").on("sms", "twilio").writes(3, "Hủy"),
        ["cancel_requested: a by only_open_question", "replies"],
    ),
    # Not in the middle of a talk
    "cart after a message": (
        Talk("en").cart(-238).writes(1, "I want to speak to a manager"),
        ["held cart_reminder cart: in_conversation", "sent cart_reminder cart"],
    ),
    "cart after a message of the desk": (
        Talk("de").cart(-238).agent(1),
        ["held cart_reminder cart: in_conversation", "sent cart_reminder cart"],
    ),
    "cart after an echo": (
        Talk("fr").cart(-238).echo(1),
        ["held cart_reminder cart: in_conversation", "sent cart_reminder cart"],
    ),
    "a reminder is not held": (Talk("vi").writes(-1, "Xin chào"), []),
}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_conversation_comes_to(name: str) -> None:
    talk, expected = CONVERSATIONS[name]
    assert talk.comes_to() == expected


def test_a_talk_of_two_days_leaves_a_skip_with_its_cause() -> None:
    """The pause holds a marketing message until it is over; the ledger names what held it."""
    talk = Talk("en").cart(-238)
    for minute in range(1, 50 * 60, 25):
        talk.writes(minute, "Are you still there?")
    cart = [line for line in talk.out if line.get("detail", {}).get("reason") == "cart_reminder"]
    assert [line["detail-type"] for line in cart if line["detail-type"] not in ("MessageHeld", "MessagePlanned")] == [
        "MessageSkipped"
    ]
    assert cart[-1]["detail"]["rule"] == "too_late"
    assert cart[-1]["detail"]["facts"]["held_by"] == "in_conversation"
