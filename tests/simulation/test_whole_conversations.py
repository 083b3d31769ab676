"""Whole conversations in five languages: greetings, second thoughts, files and reactions around the answer.

Each line of the table is a talk about a reminder that was sent at minute 0, and what is published after it.
"""

from typing import Any, Final

import pytest

from tests.simulation.talks import DAY, Talk


def answer(given: str, subject: str = "a", by: str = "only_open_question") -> list[str]:
    return [f"{given}: {subject} by {by}", "replies"]


def confirmed(subject: str = "a", by: str = "button") -> list[str]:
    return answer("confirmed", subject, by)


CONFIRMS: Final = answer("confirmed")
CANCELS: Final = answer("cancel_requested")
MOVES: Final = answer("reschedule_requested")

VOICE: Final[dict[str, Any]] = {
    "type": "audio",
    "audio": {"id": "1", "mime_type": "audio/ogg; codecs=opus", "voice": True},
}
IMAGE: Final[dict[str, Any]] = {"type": "image", "image": {"id": "9", "mime_type": "image/jpeg"}}
CAPTION_1: Final[dict[str, Any]] = {"type": "image", "image": {"id": "9", "mime_type": "image/jpeg", "caption": "1"}}
HEART: Final[dict[str, Any]] = {"type": "reaction", "reaction": {"emoji": "❤️", "message_id": "simulated-1"}}
DELETED: Final[dict[str, Any]] = {"type": "revoke", "revoke": {"original_message_id": "wamid.1"}}

CONVERSATIONS: Final[dict[str, tuple[Talk, list[str]]]] = {
    # English
    "en hi, yes, thanks": (
        Talk("en").writes(2, "Hi").writes(3, "Yes I'll be there 😊").writes(4, "Thank you!!"),
        CONFIRMS,
    ),
    "en who is this, oh ok 1": (
        Talk("en", "sms", "twilio").writes(3, "Whos this?").writes(5, "Oh ok. 1").writes(6, "see u then"),
        CONFIRMS,
    ),
    "en voice, image, words with a story": (
        Talk("en").writes(3, "", **VOICE).writes(4, "", **IMAGE).writes(6, "Sorry that was my son 😂 I can make it"),
        [],
    ),
    "en cancel twice by button, then comes after all": (
        Talk("en", via="twilio")
        .presses(3, 2, label="Cancel")
        .presses(4, 2, label="Cancel")
        .writes(40, "Actually I can make it!"),
        answer("cancel_requested", by="button") + CONFIRMS,
    ),
    "en actually cannot": (
        Talk("us", "sms", "twilio").writes(3, "Yes").writes(200, "Actually I can't make it"),
        CONFIRMS + CANCELS,
    ),
    "en two visits sorted out": (
        Talk("en")
        .books(-20, "b", 28)
        .writes(250, "1")
        .writes(251, "the one on Friday")
        .writes(255, "Yes", quotes="b")
        .writes(260, "2"),
        ["sent reminder b", "unclear: several_open a b", "replies", *confirmed("b", "quote"), *CANCELS],
    ),
    "en answered before the move, delivered after": (
        Talk("en", "sms", "bus").moves(10, "a", 50).writes(12, "1", sent_at=Talk("en").at(9)),
        ["sent appointment_moved a", "unclear: moved a", "replies", "sent reminder a"],
    ),
    "en yes stop start no": (
        Talk("us", "sms", "twilio").writes(3, "Yes please").writes(10, "STOP").writes(60, "START").writes(61, "2"),
        [*CONFIRMS, "opted out", "ContactOptedIn", *CANCELS],
    ),
    "en help, then 1.": (
        Talk("us", "sms", "aws", HelpReply="app").writes(3, "HELP").writes(5, "1."),
        ["replies", *CONFIRMS],
    ),
    "en desk writes, digit, see you, button": (
        Talk("en").echo(5).writes(7, "1").presses(15, 1),
        ["unclear: agent_replied a", *confirmed()],
    ),
    "en sarcasm": (
        Talk("en")
        .writes(3, "Yeah right")
        .writes(4, "Sure, like last time when you cancelled on me")
        .writes(5, "Oh great. Another reminder. Wonderful."),
        [],
    ),
    "en typo then digit": (Talk("en", "rcs", "rcs").writes(3, "Comfirm").writes(5, "1"), CONFIRMS),
    "en option one three ways": (
        Talk("en", "sms", "aws").writes(3, "option 1").writes(4, "１").writes(5, "(1)"),
        CONFIRMS,
    ),
    "en after the visit": (
        Talk("en", "sms", "twilio").writes(25 * 60, "1").writes(25 * 60 + 1, "Sorry I missed it"),
        [],
    ),
    "en yes but, then confirm": (
        Talk("en").writes(3, "Yes but I might be 5 minutes late, is that ok?").writes(20, "Confirm"),
        CONFIRMS,
    ),
    "en no, then cannot": (Talk("en", "sms", "twilio").writes(3, "No sorry").writes(4, "cant come"), CANCELS),
    "en thanks, heart, quoted yes": (
        Talk("en").writes(2, "Thx").writes(3, "", **HEART).writes(5, "Yes", quotes="a"),
        confirmed("a", "quote"),
    ),
    "en US CANCEL, START, 1": (
        Talk("us", "sms", "twilio").writes(3, "cancel").writes(5, "START").writes(6, "1"),
        ["opted out at a", "cancel_requested: a by only_open_question, opted out", "ContactOptedIn", *CONFIRMS],
    ),
    "en cart while talking, then STOP": (
        Talk("en").cart(-238).writes(1, "My order is wrong!").agent(20).writes(25, "Stop."),
        ["held cart_reminder cart: in_conversation", "opted out", "skipped cart_reminder cart: opted_out"],
    ),
    "en back after 12 days, by an answer": (
        Talk("en", "sms", "twilio", hello=-12 * DAY).writes(3, "Yes, thank you so much"),
        CONFIRMS,
    ),
    "en cannot + sick": (
        Talk("en", "sms", "twilio").writes(3, "Hi sorry I'm sick").writes(4, "Can't make it tomorrow, sorry!"),
        CANCELS,
    ),
    "en tapback by SMS, then y": (
        Talk("us", "sms", "aws")
        .writes(3, "Liked “Acme: a reminder of your appointment. Reply 1 to confirm, 2 to cancel, 3 for another time.”")
        .writes(6, "Y"),
        CONFIRMS,
    ),
    "en image captioned 1, deleted, then 3": (
        Talk("en").writes(3, "", **CAPTION_1).writes(4, "", **DELETED).writes(6, "3 please"),
        MOVES,
    ),
    "en reminded twice, answered by digit twice": (
        Talk("en", "sms", "twilio")
        .books(-20, "a", 24, remind_before=["P1D", "PT2H"])
        .writes(3, "1")
        .writes(22 * 60 + 5, "1"),
        [*CONFIRMS, "sent reminder a", *CONFIRMS],
    ),
    "en both family texts, kids": (
        Talk("en")
        .books(-20, "b", 24.5)
        .writes(3, "Yes for Tom but not for Mia")
        .writes(5, "1")
        .presses(8, 1, "a", label="Confirm all"),
        answer("confirmed")[:1] + answer("confirmed", "b"),
    ),
    "en thanks, can you make it 4?": (
        Talk("en").writes(3, "Thanks!").writes(4, "Could we make it 4pm instead?").writes(5, "or 5"),
        MOVES,
    ),
    "en yes, cancelled by the desk, why?": (
        Talk("en").writes(3, "Yes").cancels(30, "a").writes(40, "Why??").writes(41, "Yes"),
        [*CONFIRMS, "sent appointment_cancelled a", "unclear: cancelled a", "replies"],
    ),
    # German
    "de Guten Tag, sehr gerne": (
        Talk("de").writes(2, "Guten Tag").writes(3, "Ja, ich komme sehr gerne 🙂").writes(4, "Danke!"),
        CONFIRMS,
    ),
    "de 1. Danke euch": (Talk("de", "sms", "aws").writes(3, "1.").writes(4, "Danke euch"), CONFIRMS),
    "de da kann ich leider nicht, neuen Termin": (
        Talk("de").writes(3, "Nein, da kann ich leider nicht").writes(5, "Bitte einen neuen Termin"),
        CANCELS + MOVES,
    ),
    "de auf nächste Woche": (
        Talk("de", "sms", "twilio").writes(3, "Hallo!").writes(4, "Können wir das auf nächste Woche verschieben?"),
        MOVES,
    ),
    "de passt, aber später; 1": (
        Talk("de").writes(3, "Ja passt, aber ich komme 10 min später").writes(4, "Sorry").writes(6, "1"),
        CONFIRMS,
    ),
    "de two visits, for Lena": (
        Talk("de")
        .books(-20, "b", 28)
        .writes(250, "Für Lena ja, für Max nein")
        .writes(252, "ja", quotes="a")
        .writes(253, "absagen", quotes="b"),
        ["sent reminder b", *confirmed("a", "quote"), *answer("cancel_requested", "b", "quote")],
    ),
    "de English to German": (Talk("de").writes(3, "yes").writes(5, "Confirmed!").writes(9, "Ja"), CONFIRMS),
    "de Absagen?, Ja absagen, 2": (
        Talk("de", "sms", "aws").writes(3, "Absagen?").writes(4, "Ja absagen").writes(6, "2"),
        CANCELS,
    ),
    "de Stopp, Start, ja": (
        Talk("de", "sms", "twilio").writes(3, "Stopp").writes(30, "Start").writes(31, "ja"),
        ["opted out", "ContactOptedIn", *CONFIRMS],
    ),
    "de kann nicht, desk, dann Freitag": (
        Talk("de").writes(3, "Kann leider nicht").agent(10).writes(12, "Ok danke, dann Freitag um 10"),
        CANCELS,
    ),
    "de image, voice, Ja Danke": (
        Talk("de").writes(2, "", **IMAGE).writes(3, "", **VOICE).writes(5, "Ja, Danke!"),
        CONFIRMS,
    ),
    "de long signature": (
        Talk("de", "rcs", "rcs")
        .writes(3, "Bestätigt.\nMit freundlichen Grüßen\n\nDr. Hans-Peter Müller")
        .writes(4, "👍"),
        CONFIRMS,
    ),
    "de Nr 2, meinte 1": (
        Talk("de", "sms", "twilio").writes(3, "Nr 2 bitte").writes(4, "Quatsch, ich meinte 1").writes(6, "1"),
        CANCELS + CONFIRMS,
    ),
    "de Passt nicht": (Talk("de").writes(3, "Passt leider nicht").writes(5, "Bitte Termin verschieben"), MOVES),
    "de leider verhindert": (Talk("de", "sms", "aws").writes(2, "Guten Abend").writes(3, "Leider verhindert"), CANCELS),
    "de klappt": (Talk("de").writes(3, "Klappt 👍").writes(5, "Bis morgen"), CONFIRMS),
    "de klappt nicht": (Talk("de").writes(3, "klappt nicht").writes(5, "schaffe es nicht, sorry"), CANCELS),
    "de geht in Ordnung": (Talk("de", "rcs", "aws").writes(3, "Geht in Ordnung!").writes(4, "LG Petra"), CONFIRMS),
    "de Komm nicht": (Talk("de").writes(3, "Komm morgen nicht").writes(5, "Sorry"), CANCELS),
    "de moved, quoted old, then new": (
        Talk("de", "sms", "twilio").moves(10, "a", 50).writes(15, "1", quotes="simulated-1").writes(16, "1"),
        ["sent appointment_moved a", "unclear: moved a", "replies", *CONFIRMS, "sent reminder a"],
    ),
    "de Ich kann doch kommen": (Talk("de").writes(3, "2").writes(60, "Ich kann doch kommen"), CANCELS + CONFIRMS),
    "de HILFE dann ja": (
        Talk("de", "sms", "twilio", HelpReply="app").writes(3, "Hilfe").writes(5, "Ja, Termin bestätigt"),
        ["replies", *CONFIRMS],
    ),
    # Spanish
    "es buenas, primero Dios": (
        Talk("es").writes(2, "Buenas tardes").writes(3, "Si ahí estaré primero Dios").writes(4, "Bendiciones 🙏"),
        CONFIRMS,
    ),
    "es 1.- gracias": (Talk("es", "sms", "twilio").writes(3, "1.-").writes(4, "Gracias"), CONFIRMS),
    "es número 1": (Talk("es").writes(3, "Hola").writes(4, "número 1").writes(5, "numero 1 porfis"), CONFIRMS),
    "es reagendar": (
        Talk("es").writes(3, "Buenos días, no podré ir").writes(4, "¿Me pueden reagendar?"),
        CANCELS + MOVES,
    ),
    "es sí pero tarde": (
        Talk("es", "sms", "aws").writes(3, "Sí pero llegaré 10 min tarde").writes(5, "Confirmo entonces"),
        CONFIRMS,
    ),
    "es claro que no": (
        Talk("es").writes(3, "Claro que no").writes(4, "Por supuesto que no").writes(5, "cancélela"),
        CANCELS,
    ),
    "es 2, desk, 1": (
        Talk("es", "sms", "twilio").writes(3, "2").agent(10).writes(15, "1"),
        [*CANCELS, "unclear: agent_replied a"],
    ),
    "es ALTO, START, Confirmo": (
        Talk("es", "sms", "aws").writes(3, "Alto").writes(9, "Start").writes(10, "Confirmo"),
        ["opted out", "ContactOptedIn", *CONFIRMS],
    ),
    "es US number, cancelar": (Talk("us", "sms", "twilio").writes(3, "Cancelar").writes(4, "gracias"), CANCELS),
    "es moved, quotes the new": (
        Talk("es").moves(10, "a", 50).writes(15, "¿A qué hora?").writes(16, "Sí, perfecto", quotes="a"),
        ["sent appointment_moved a", *confirmed("a", "quote"), "skipped reminder a: channel_window"],
    ),
    "es voy en camino": (
        Talk("es")
        .writes(3, "Gracias por recordarme")
        .writes(23 * 60, "Voy en camino")
        .writes(23 * 60 + 1, "ya llegué"),
        [],
    ),
    "es family, 1, then 2": (
        Talk("es").books(-20, "b", 24.5).writes(3, "1 gracias").writes(8, "2"),
        ["confirmed: a by only_open_question", *answer("confirmed", "b"), "unclear: several_open a b", "replies"],
    ),
    "es si no puedo aviso": (Talk("es").writes(3, "Si no puedo ir les aviso").writes(5, "Sí"), CONFIRMS),
    "es no voy a faltar": (
        Talk("es", "sms", "twilio").writes(3, "No voy a faltar").writes(5, "ahí nos vemos"),
        CONFIRMS,
    ),
    "es button, other mind by words": (
        Talk("es").presses(3, 1, label="Confirmar").writes(300, "Lo siento, ya no puedo ir"),
        confirmed() + CANCELS,
    ),
    "es afirmativo, que sí": (
        Talk("es", "rcs", "rcs").writes(3, "Qué tal").writes(4, "Sí señor, ahí estaré puntual"),
        CONFIRMS,
    ),
    "es portuguese answer": (Talk("es").writes(3, "Olá").writes(4, "Sim, obrigada"), CONFIRMS),
    "es no gracias": (Talk("es").writes(3, "No gracias").writes(4, "ok"), []),
    "es sí asisto": (Talk("es").writes(3, "Si asisto").writes(5, "Gracias doctora"), CONFIRMS),
    "es no asisto": (Talk("es").writes(3, "No asisto").writes(5, "se me complicó"), CANCELS),
    # French
    "fr oui c'est parfait": (Talk("fr").writes(2, "Bonjour").writes(3, "Oui c'est parfait merci bcp 😊"), CONFIRMS),
    "fr 1) svp": (Talk("fr", "sms", "twilio").writes(3, "1) svp").writes(4, "merci"), CONFIRMS),
    "fr je confirme pas": (
        Talk("fr").writes(3, "Je confirme pas").writes(4, "Je ne confirme pas").writes(6, "2"),
        CANCELS,
    ),
    "fr pas de souci": (Talk("fr").writes(3, "Pas de souci, je serai là").writes(4, "bonne soirée"), CONFIRMS),
    "fr serais": (Talk("fr", "sms", "aws").writes(3, "Bonsoir").writes(4, "je serais là"), CONFIRMS),
    "fr c bon": (Talk("fr").writes(3, "C bon pour moi").writes(4, "👍"), CONFIRMS),
    "fr oui mais": (Talk("fr").writes(3, "Oui mais plutôt à 15h si possible").writes(5, "Sinon oui"), []),
    "fr annulé, voulais dire 1, 1": (
        Talk("fr").writes(3, "2").writes(4, "Non pardon je voulais dire 1").writes(5, "1"),
        CANCELS + CONFIRMS,
    ),
    "fr Arrêt, 1": (
        Talk("fr", "sms", "twilio").writes(3, "ARRET").writes(4, "1"),
        ["opted out", "confirmed: a by only_open_question", "skipped reply: opted_out"],
    ),
    "fr autre rdv": (
        Talk("fr").writes(3, "Je ne pourrais pas venir").writes(4, "Vous auriez un autre rdv ?"),
        CANCELS + MOVES,
    ),
    "fr j'arrive": (
        Talk("fr").writes(3, "Ok merci").writes(23 * 60 + 30, "J'arrive !").writes(23 * 60 + 40, "je suis garé devant"),
        [],
    ),
    "fr sans faute": (Talk("fr", "rcs", "aws").writes(3, "Je viendrai sans faute").writes(4, "Mme Durand"), CONFIRMS),
    "fr two visits, oui, then each": (
        Talk("fr").books(-20, "b", 28).writes(250, "Oui").writes(252, "Oui", quotes="a").writes(253, "oui"),
        [
            "sent reminder b",
            "unclear: several_open a b",
            "replies",
            *confirmed("a", "quote"),
            *answer("confirmed", "b"),
        ],
    ),
    "fr moved after yes": (
        Talk("fr").writes(3, "oui").moves(30, "a", 26).writes(35, "ok").writes(36, "Oui"),
        [*CONFIRMS, "sent appointment_moved a", *CONFIRMS, "sent reminder a"],
    ),
    "fr à demain sans": (Talk("fr", "sms", "twilio").writes(3, "OK à demain").writes(4, "Bonne journée"), CONFIRMS),
    "fr je peux plus": (
        Talk("fr").presses(3, 1, label="Confirmer").writes(600, "Finalement je ne peux plus venir, désolée"),
        confirmed() + CANCELS,
    ),
    "fr AIDE, numéro 3": (
        Talk("fr", "sms", "aws", HelpReply="app").writes(3, "aide").writes(4, "Numéro 3"),
        ["replies", *MOVES],
    ),
    "fr vs auriez": (Talk("fr").writes(3, "Oui oui").writes(4, "oui"), CONFIRMS),
    # Vietnamese
    "vi Dạ, cảm ơn": (
        Talk("vi").writes(3, "Chào shop").writes(4, "Dạ em sẽ đến đúng giờ ạ 😊").writes(5, "Em cảm ơn"),
        CONFIRMS,
    ),
    "vi 1 và 2, số 1 nha": (
        Talk("vi", "sms", "aws").writes(3, "1 và 2").writes(4, "1 hay 2 vậy?").writes(5, "số 1 nha"),
        CONFIRMS,
    ),
    "vi k đến đc": (Talk("vi").writes(3, "Em k đến đc ạ").writes(4, "xin lỗi ạ"), CANCELS),
    "vi đổi sang chiều mai": (
        Talk("vi").writes(3, "Chào bác sĩ").writes(4, "Cho em đổi sang chiều mai được không ạ?"),
        MOVES,
    ),
    "vi Hủy, nhầm, 1": (
        Talk("vi", "sms", "aws").writes(3, "Hủy").writes(4, "Nhầm, em vẫn đến").writes(5, "1"),
        CANCELS + CONFIRMS,
    ),
    "vi no marks": (Talk("vi", "sms", "twilio").writes(3, "ok a").writes(4, "da vang").writes(5, "cam on"), CONFIRMS),
    "vi desk, 1, button": (
        Talk("vi").echo(5).writes(8, "Vâng").presses(20, 1, label="Xác nhận"),
        ["unclear: agent_replied a", *confirmed()],
    ),
    "vi Ngừng, START, help, có": (
        Talk("vi", "sms", "aws", HelpReply="app")
        .writes(3, "Ngừng")
        .writes(4, "START")
        .writes(5, "Trợ giúp")
        .writes(6, "Có"),
        ["opted out", "ContactOptedIn", "replies", *CONFIRMS],
    ),
    "vi full width": (Talk("vi", "rcs", "rcs").writes(3, "２").writes(5, "１"), CANCELS + CONFIRMS),
    "vi xác nhận số 1": (Talk("vi").writes(3, "Xác nhận số 1").writes(4, "Xác nhận"), CONFIRMS),
    "vi dời qua tuần sau": (Talk("vi").writes(3, "Dạ chào chị").writes(4, "Cho em dời lịch qua tuần sau ạ"), MOVES),
    "vi English": (Talk("vi").writes(3, "Hello").writes(4, "Yes, confirm").writes(5, "thanks"), CONFIRMS),
    "vi family separate": (
        Talk("vi").books(-20, "b", 28).writes(250, "Dạ có ạ").presses(252, 1, "a").presses(253, 2, "b"),
        [
            "sent reminder b",
            "unclear: several_open a b",
            "replies",
            *confirmed(),
            *answer("cancel_requested", "b", "button"),
        ],
    ),
    "vi đến trễ": (Talk("vi").writes(3, "Em đến trễ 15 phút được không").writes(5, "Dạ vâng ạ"), CONFIRMS),
    "vi không, hủy": (Talk("vi").writes(3, "không hủy").writes(4, "không").writes(5, "Dạ không ạ"), []),
    "vi e sẽ đến nha": (Talk("vi").writes(3, "E sẽ đến nha").writes(4, "ok"), CONFIRMS),
    "vi ko tới đc": (Talk("vi", "sms", "aws").writes(3, "Ko toi duoc").writes(4, "hen lai nhe"), CANCELS + MOVES),
    "vi chị ơi cho em hủy": (Talk("vi").writes(3, "Chị ơi cho em hủy lịch với").writes(5, "dạ cảm ơn chị"), CANCELS),
}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_whole_conversation_comes_to(name: str) -> None:
    talk, expected = CONVERSATIONS[name]
    assert talk.comes_to() == expected
