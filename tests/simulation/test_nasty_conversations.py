"""Conversations that are easy to get wrong: signatures, negations, two things at once, late and repeated answers."""

from typing import Final

import pytest

from tests.simulation.talks import Talk

CONFIRMED: Final = ["confirmed: a by only_open_question", "replies"]
CANCELS: Final = ["cancel_requested: a by only_open_question", "replies"]
MOVES: Final = ["reschedule_requested: a by only_open_question", "replies"]

CONVERSATIONS: Final[dict[str, tuple[Talk, list[str]]]] = {
    "en signed digit": (Talk("en", "sms", "twilio").writes(3, "1 - Maria"), CONFIRMED),
    "de signed yes": (Talk("de", "sms", "aws").writes(3, "Ja, Anna Schmidt"), CONFIRMED),
    "en signed by the name of the profile": (Talk("en").writes(3, "Yes, kim"), CONFIRMED),
    "es the one": (Talk("es", "sms", "twilio").writes(3, "El 1"), CONFIRMED),
    "fr the one": (Talk("fr", "rcs", "rcs").writes(3, "Le 1 svp"), CONFIRMED),
    "es number sign": (Talk("es", "rcs", "aws").writes(3, "Nº 1"), CONFIRMED),
    "vi chosen": (Talk("vi", "sms", "aws").writes(3, "Em chọn số 2 ạ"), CANCELS),
    "us signed cancel by SMS": (
        Talk("us", "sms", "twilio").writes(3, "Cancel, Maria"),
        ["cancel_requested: a by only_open_question", "replies"],
    ),
    "family, signed": (
        Talk("en").books(-20, "b", 24.5).writes(5, "1 - Maria"),
        ["unclear: several_open a b", "replies"],
    ),
    "family, thanks and a name": (
        Talk("en").books(-20, "b", 24.5).writes(5, "1. Thanks, Maria"),
        ["confirmed: a by only_open_question", "confirmed: b by only_open_question", "replies"],
    ),
    # Negations, and two things at once
    "not one but two": (Talk("en").writes(3, "not 1 but 2"), []),
    "es not on Tuesday": (Talk("es").writes(3, "no puedo el martes"), []),
    "fr does not cancel": (Talk("fr").writes(3, "Je n’annule pas"), []),
    "de do not cancel": (Talk("de", "rcs", "rcs").writes(3, "Bitte NICHT absagen!"), []),
    "vi do not cancel": (Talk("vi").writes(3, "Đừng hủy lịch ạ"), []),
    "en another hour": (Talk("en", "sms", "aws").writes(3, "can we do 3pm instead?"), MOVES),
    "de works on Friday": (Talk("de").writes(3, "Freitag geht"), []),
    "one and stop": (Talk("en", "sms", "twilio").writes(3, "1 stop"), ["OptOutSuspected"]),
    # Opt-outs that sound like answers
    "stop reminding me": (Talk("en").writes(3, "STOP reminding me"), ["opted out"]),
    "es stop reminding me": (Talk("es", "sms", "aws").writes(3, "Dejen de recordarme"), ["opted out"]),
    "vi stop reminding me": (Talk("vi").writes(3, "Đừng nhắc tôi nữa"), ["opted out"]),
    "fr stop reminding me": (Talk("fr", "sms", "twilio").writes(3, "Arrêtez de me rappeler"), ["opted out"]),
    "cancel my subscription": (Talk("us", "sms", "aws").writes(3, "Cancel my subscription"), ["opted out"]),
    # What is no text
    "a voice message": (Talk("en").writes(3, "1", type="audio", audio={"id": "1", "mime_type": "audio/ogg"}), []),
    "a sticker": (Talk("de").writes(3, "Ja", type="sticker", sticker={"id": "1", "mime_type": "image/webp"}), []),
    "a thumb": (Talk("fr", "sms", "twilio").writes(3, "👍"), []),
    # Time and order
    "quoted, of an older reminder that has moved": (
        Talk("en").moves(10, "a", 50).writes(20, "Yes", quotes="simulated-1"),
        ["sent appointment_moved a", "unclear: moved a", "replies", "skipped reminder a: channel_window"],
    ),
    "ok after the desk wrote": (Talk("es").agent(5).writes(7, "OK"), []),
    "twice, in other words": (Talk("fr").writes(3, "1").writes(8, "Oui, Dupont"), CONFIRMED),
    "twice, delivered late": (Talk("vi", "sms", "aws").writes(3, "2").again(), CANCELS),
    "an answer after it was cancelled": (
        Talk("de", "sms", "twilio").cancels(10, "a").writes(20, "1 - Anna"),
        ["sent appointment_cancelled a", "unclear: cancelled a", "replies"],
    ),
    # A plain "yes" after another answer may be about our reply
    "cancelled, then thanks": (Talk("en", "sms", "twilio").writes(3, "2").writes(5, "Yes, thank you"), CANCELS),
    "moved, then yes please, then comes": (
        Talk("de").writes(3, "Bitte verschieben").writes(5, "Ja bitte").writes(6, "Ja, ich komme"),
        [*MOVES, *CONFIRMED],
    ),
    "cannot, then yes": (Talk("es").writes(3, "No podré ir").writes(5, "Sí, gracias"), CANCELS),
    "button, then all right": (
        Talk("fr").presses(3, 2, label="Annuler").writes(5, "D'accord merci").writes(90, "Oui"),
        ["cancel_requested: a by button", "replies"],
    ),
    "polite, then 1": (
        Talk("vi").writes(3, "Hủy lịch giúp em").writes(5, "Dạ vâng ạ").writes(6, "Dạ em cảm ơn ạ").writes(7, "1"),
        [*CANCELS, *CONFIRMED],
    ),
    "polite thanks alone": (Talk("vi").writes(3, "Dạ em cảm ơn chị ạ"), []),
    "cancelled, reminded again, yes": (
        Talk("en", "sms", "twilio")
        .books(-20, "a", 24, remind_before=["P1D", "PT2H"])
        .writes(3, "2")
        .writes(1325, "Yes"),
        [*CANCELS, "sent reminder a", *CONFIRMED],
    ),
    "cancelled, then the question quoted": (
        Talk("en").writes(3, "2").writes(5, "Yes", quotes="a"),
        [*CANCELS, "confirmed: a by quote", "replies"],
    ),
    "the first cancelled, yes to the second": (
        Talk("en").books(-20, "b", 28).writes(3, "2").writes(250, "Yes please"),
        [*CANCELS, "sent reminder b", "confirmed: b by only_open_question", "replies"],
    ),
    # What providers add
    "us yes, which Twilio reports as START": (
        Talk("us", "sms", "twilio").writes(3, "Yes", OptOutType="START"),
        ["ContactOptedIn", *CONFIRMED],
    ),
    "button of the second reminder": (
        Talk("en").books(-20, "a", 24, remind_before=["P1D", "PT2H"]).presses(3, 1).presses(1325, 1).presses(1326, 1),
        ["confirmed: a by button", "replies", "sent reminder a", "confirmed: a by button", "replies"],
    ),
    "sent from a phone": (Talk("en", "sms", "twilio").writes(3, "1\n\nSent from my iPhone"), CONFIRMED),
    "de sent from a phone": (
        Talk("de", "sms", "twilio").writes(3, "Ja, ich komme.\n\nVon meinem iPhone gesendet"),
        CONFIRMED,
    ),
    "fr sent from a phone": (Talk("fr", "sms", "twilio").writes(3, "2\nEnvoyé de mon iPhone"), CANCELS),
    # Second thoughts about the messages
    "actually stop": (Talk("en").writes(3, "1").writes(5, "Actually stop"), [*CONFIRMED, "OptOutSuspected"]),
    "sorry but stop": (Talk("en", "sms", "twilio").writes(3, "Sorry but STOP"), ["OptOutSuspected"]),
    "de sorry, stopp": (Talk("de", "sms", "aws").writes(3, "Tut mir leid aber stopp"), ["OptOutSuspected"]),
    "fr in the end, stop": (Talk("fr").writes(3, "Finalement stop"), ["OptOutSuspected"]),
    "es in the end, unsubscribe": (Talk("es").writes(3, "Al final dar de baja"), ["OptOutSuspected"]),
    "vi polite stop": (Talk("vi", "sms", "aws").writes(3, "Dạ thôi dừng ạ"), ["OptOutSuspected"]),
    "vi stop with thanks": (Talk("vi", "sms", "aws").writes(3, "Dừng, em cảm ơn"), ["opted out"]),
    "an auto-reply": (Talk("en", "sms", "aws").writes(1, "I'm driving right now - I'll get back to you later."), []),
    "a signature alone": (Talk("en").writes(3, "Thanks, Maria"), []),
}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_nasty_conversation_comes_to(name: str) -> None:
    talk, expected = CONVERSATIONS[name]
    assert talk.comes_to() == expected
