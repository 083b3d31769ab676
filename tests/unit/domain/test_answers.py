"""Answers to "Reply 1 to confirm, 2 to cancel, 3 for another time"."""

from itertools import combinations
from typing import Final

import pytest

from reengage.domain import keyword_lists as lists
from reengage.domain.answers import Answer, detect_answer, is_cancellation
from reengage.domain.keywords import detect_request
from reengage.domain.plain_text import MAX_LENGTH
from reengage.domain.requests import Request
from tests.cases import each_of

ANSWERS = {
    Answer.CONFIRMED: "1|1.|1️⃣|1 please|①|yes|Yes!|YES, thanks|y|confirm|Confirmed 👍|Yes, I'll be there|ja"
    "|Ja bitte|passt|bestätigt|có|Có ạ|vâng|xác nhận|xac nhan|sí|Sí, confirmo|confirmo|oui|Oui merci|je confirme|sim|sì"
    "|confermo|ja graag|tak|potwierdzam",
    Answer.CANCEL_REQUESTED: "2|2)|cancel|Cancel please|CANCEL|Cancel my appointment|I can't make it|absagen"
    "|Bitte absagen|Termin absagen|stornieren|hủy|hủy lịch hẹn|huy lich hen|cancelar|cancelar mi cita|annuler|j'annule"
    "|desmarcar|disdire|annuleren|odwołaj",
    Answer.RESCHEDULE_REQUESTED: "3|reschedule|another time|Can I reschedule?|verschieben"
    "|Bitte Termin verschieben|đổi lịch|doi lich|reprogramar|déplacer|remarcar|spostare|verzetten|przełożyć",
}


NATURAL: Final = {
    "en": {
        Answer.CONFIRMED: (
            "1|1.|1)|(1)|1!|1️⃣|\"1\"|'1'|#1|one|option 1|1 - confirm|1 please|1, thanks|1 thank you|reply 1|"
            "1 confirm|1 to confirm|1 👍|1 yes|Yes 1|ok, see you then|Yes|YES!|yes please|Yes, thank you|"
            "yes I confirm|yes confirmed|y|Y|yep|yup|yeah|sure|Sure thing|of course|confirm|Confirmed|I confirm|"
            "confirming|I can confirm|confirm appointment|confirm my appointment|I will be there|I'll be there|"
            "We'll be there|will be there|I'll come|I am coming|see you then|See you tomorrow|see you there|"
            "yes see you tomorrow|absolutely|that works|I can make it|yes that works|"
            "yes i will be there thank you"
        ),
        Answer.CANCEL_REQUESTED: (
            "2|2.|2)|2 please|two|cancel|CANCEL|Cancel!|cancel please|please cancel|Please cancel my appointment|"
            "cancel my appointment|cancel appt|Cancel my appt|cancel appointment please|I want to cancel|"
            "I need to cancel|I would like to cancel my appointment|I need to cancel my appointment|"
            "I have to cancel|can you cancel|Could you cancel?|can I cancel please|"
            "I can't make it|I cannot make it|cant make it|"
            "I can't come|can't come|I won't be able to make it|I won't be there|I can't attend|I cannot attend|"
            "not coming|I'm not coming|unable to attend|unable to make it|sorry, I can't make it|"
            "Sorry I have to cancel|I no longer need the appointment"
        ),
        Answer.RESCHEDULE_REQUESTED: (
            "3|3.|three|3 please|reschedule|Reschedule please|please reschedule|I need to reschedule|"
            "I'd like to reschedule|I want to reschedule my appointment|can we reschedule|Can I reschedule?|"
            "can I change the time|change time|change the date|change appointment|another time|"
            "another time please|another day|another date|different day|different time|new time|new appointment|"
            "move my appointment|can we move it|postpone|I need another time|I need a different time|"
            "I would like another time|other time|is another time possible"
        ),
    },
    "de": {
        Answer.CONFIRMED: (
            "1|ja|Ja!|ja bitte|Ja, gerne|ja danke|ja ich komme|Ja, ich bestätige|ja bestätigt|bestätigt|"
            "bestätige|ich bestätige|Ich bestätige den Termin|Termin bestätigt|Bestätige Termin|"
            "ich bestätige meinen Termin|zusage|ich sage zu|Zusagen|passt|passt mir|das passt|ja passt|"
            "passt, danke|geht klar|gerne|ja klar|klar|natürlich|ich komme|komme|wir kommen|ich bin da|"
            "Ich werde da sein|bin dabei|ja wir kommen|bis dann|bis morgen|1 bitte|1, danke|eins|Jawohl|"
            "ja mache ich|einverstanden|Termin passt|ja, Termin passt|Hiermit bestätige ich den Termin"
        ),
        Answer.CANCEL_REQUESTED: (
            "2|absagen|Absage|ich sage ab|Ich muss absagen|ich muss leider absagen|leider muss ich absagen|"
            "Ich möchte absagen|bitte absagen|Termin absagen|bitte Termin absagen|Termin bitte absagen|"
            "Ich möchte den Termin absagen|ich muss den Termin leider absagen|Ich kann nicht|"
            "ich kann nicht kommen|ich kann leider nicht kommen|kann nicht kommen|kann leider nicht|"
            "ich komme nicht|ich kann nicht|stornieren|Storno|Termin stornieren|bitte stornieren|"
            "Termin streichen|ich schaffe es nicht|schaffe es leider nicht|ich bin verhindert|"
            "bin leider verhindert|Termin canceln|bitte canceln|cancel|zwei|2 bitte|"
            "Ich kann den Termin nicht wahrnehmen|muss absagen|Bitte sagen Sie den Termin ab|sagen Sie bitte ab"
        ),
        Answer.RESCHEDULE_REQUESTED: (
            "3|verschieben|bitte verschieben|Termin verschieben|bitte Termin verschieben|"
            "Termin bitte verschieben|Ich möchte den Termin verschieben|ich muss den Termin verschieben|"
            "ich möchte verschieben|kann ich verschieben|Können wir verschieben?|"
            "können wir den Termin verschieben|anderer Termin|anderer Termin bitte|anderen Termin|"
            "anderen Termin bitte|einen anderen Termin|einen anderen Termin bitte|"
            "Ich brauche einen anderen Termin|neuer Termin|neuen Termin|neuen Termin bitte|andere Zeit|"
            "andere Uhrzeit|anderer Tag|anderes Datum|umbuchen|verlegen|Termin ändern|ändern|Terminverschiebung|"
            "drei"
        ),
    },
    "vi": {
        Answer.CONFIRMED: (
            "1|có|Có|có ạ|dạ có|vâng|Vâng ạ|dạ|dạ vâng|đồng ý|tôi đồng ý|xác nhận|Tôi xác nhận|em xác nhận ạ|"
            "xác nhận lịch hẹn|tôi sẽ đến|em sẽ đến|mình sẽ đến|tôi sẽ có mặt|chị sẽ đến|anh sẽ đến|"
            "dạ em sẽ đến ạ|vâng tôi sẽ đến|sẽ đến|ừ|dong y|xac nhan|toi se den|1 ạ|1 nhé|số 1|dạ 1"
        ),
        Answer.CANCEL_REQUESTED: (
            "2|hủy|huỷ|Hủy lịch|hủy hẹn|hủy lịch hẹn|huy lich hen|hủy giúp em|hủy giúp tôi|cho em hủy|"
            "cho tôi hủy|cho em hủy lịch hẹn|em muốn hủy lịch|tôi muốn hủy|tôi muốn hủy lịch hẹn|"
            "hủy lịch giúp em|xin hủy|xin hủy lịch hẹn|không đến được|em không đến được|tôi không đến được|"
            "tôi không thể đến|em không tới được|tôi bận không đến được|hủy ạ|hủy nhé|2 ạ"
        ),
        Answer.RESCHEDULE_REQUESTED: (
            "3|đổi lịch|đổi hẹn|đổi giờ|đổi ngày|dời lịch|dời hẹn|dời ngày|đổi lịch hẹn|dời lịch hẹn|hẹn lại|"
            "hẹn ngày khác|giờ khác|ngày khác|đổi sang ngày khác|em muốn đổi lịch|tôi muốn đổi lịch|"
            "tôi muốn đổi giờ|tôi muốn dời lịch hẹn|cho em đổi lịch|cho em đổi giờ|cho tôi dời lịch|xin đổi lịch|"
            "đổi lịch giúp em|doi lich|doi gio|hẹn hôm khác|đổi lịch ạ"
        ),
    },
    "es": {
        Answer.CONFIRMED: (
            "1|sí|si|Sí!|Sí, confirmo|sí, gracias|si gracias|sí por favor|confirmo|Confirmo gracias|confirmado|"
            "confirmada|confirmar|confirmo mi cita|confirmo la cita|confirmo cita|Confirmo asistencia|"
            "confirmo mi asistencia|sí, confirmo mi cita|sí asistiré|asistiré|ahí estaré|allí estaré|estaré allí|"
            "estaré ahí|sí estaré|voy|sí voy|iré|claro|claro que sí|por supuesto|de acuerdo|ok confirmo|"
            "nos vemos|nos vemos mañana|hasta mañana|uno|1 gracias|1 por favor|opción 1|afirmativo|así es|"
            "ahí estaremos|cuente conmigo"
        ),
        Answer.CANCEL_REQUESTED: (
            "2|cancelar|Cancelar por favor|cancelo|cancelar cita|cancelar la cita|cancelar mi cita|"
            "cancele mi cita|cancela mi cita|quiero cancelar|quiero cancelar mi cita|quisiera cancelar|"
            "quisiera cancelar mi cita|deseo cancelar la cita|necesito cancelar|tengo que cancelar|debo cancelar|"
            "anular|anular cita|anular la cita|anulo|no puedo ir|no puedo asistir|no podré asistir|no podré ir|"
            "no asistiré|no voy a poder ir|no puedo|no iré|no voy|lo siento, no puedo ir|me es imposible ir|dos|"
            "2 por favor|no puedo acudir|no podré acudir|por favor cancelen mi cita|cancelada"
        ),
        Answer.RESCHEDULE_REQUESTED: (
            "3|reprogramar|reprogramar cita|reprogramar mi cita|quiero reprogramar|quiero reprogramar mi cita|"
            "quisiera reprogramar|necesito reprogramar|reagendar|reagendar cita|quiero reagendar|cambiar|"
            "cambiar cita|cambiar la cita|cambiar mi cita|cambiar hora|cambiar la hora|cambiar de hora|"
            "cambiar la fecha|cambiar fecha|quiero cambiar la cita|quiero cambiar mi cita|"
            "necesito cambiar la cita|otra hora|otra hora por favor|otro día|otro horario|otra fecha|otra cita|"
            "posponer|aplazar|mover la cita|puedo cambiar la cita|¿Puedo cambiar la hora?|tres"
        ),
    },
    "fr": {
        Answer.CONFIRMED: (
            "1|oui|Oui!|oui merci|oui, je confirme|je confirme|confirmé|confirmer|je confirme merci|"
            "je confirme le rendez-vous|je confirme mon rendez-vous|je confirme ma présence|je confirme mon rdv|"
            "RDV confirmé|rendez-vous confirmé|oui je serai là|je serai là|je serai présent|je serai présente|"
            "j'y serai|nous serons là|on sera là|je viens|je viendrai|oui je viens|d'accord|D’accord|"
            "d'accord merci|ok je confirme|bien sûr|oui bien sûr|c'est bon|c'est bon pour moi|ça marche|à demain|"
            "oui à demain|un|1 merci|1 svp|option 1|ouais|oui c'est bon|présent"
        ),
        Answer.CANCEL_REQUESTED: (
            "2|annuler|Annuler svp|annulez|j'annule|annulation|annuler le rendez-vous|annuler mon rendez-vous|"
            "annuler mon rdv|annuler rdv|annulez mon rendez-vous|je veux annuler|je souhaite annuler|"
            "je souhaite annuler mon rendez-vous|je voudrais annuler|je voudrais annuler mon rendez-vous|"
            "je dois annuler|je dois annuler mon rendez-vous|j'aimerais annuler|je ne peux pas venir|"
            "je ne peux pas|je peux pas venir|je ne pourrai pas venir|je ne pourrai pas être présent|"
            "je ne serai pas là|je ne viendrai pas|je ne viens pas|impossible de venir|"
            "désolé je ne peux pas venir|désolée, je dois annuler|empêché|deux|2 merci|annulé|merci d'annuler|"
            "merci d'annuler mon rendez-vous|veuillez annuler mon rendez-vous|"
            "pouvez-vous annuler mon rendez-vous"
        ),
        Answer.RESCHEDULE_REQUESTED: (
            "3|reporter|reporter le rendez-vous|reporter mon rendez-vous|je voudrais reporter|"
            "je souhaite reporter|je souhaite reporter mon rendez-vous|je dois reporter|déplacer|"
            "déplacer le rendez-vous|déplacer mon rendez-vous|déplacer mon rdv|"
            "je voudrais déplacer mon rendez-vous|changer|changer l'heure|changer d'heure|changer de date|"
            "changer la date|changer mon rendez-vous|modifier|modifier mon rendez-vous|modifier le rendez-vous|"
            "autre heure|une autre heure|autre horaire|un autre horaire|autre date|une autre date|autre jour|"
            "un autre jour|autre créneau|un autre créneau|décaler|décaler le rendez-vous|"
            "je souhaite décaler mon rendez-vous|peut-on reporter|puis-je reporter|trois"
        ),
    },
}
"""What people write, by locale."""

NO_ANSWERS: Final = {
    "en": (
        "ok|OK thanks|👍|thanks|Thank you!|no|nope|Who is this?|What time?|what time is it|Can you confirm?|"
        "Can you confirm the time?|could you confirm my appointment|When is my appointment?|"
        "Do I need to confirm?|where is it|1 or 2?|12|4|0|1 2|2 people|I'll come at 1|11:30|at 3|3 pm|3pm|"
        "2 pm works|yes but later|yes, cancel|Yes. 2|confirm or cancel?|don't cancel|do not cancel|"
        "please don't cancel my appointment|cancel Tuesday|I will not confirm|not yet|maybe|I might cancel|"
        "stop|STOP|stop reminders|running late|I'm on my way|I'm here|call me|Can I bring my dog?|yes?|"
        "I don't know|no I'm coming|never cancel|is it cancelled?|why was it cancelled|who cancelled|👍🏼|✅|✔️|"
        "OK|okay|Ok thanks|sounds good|perfect|great, thanks|no, cancel|no cancel|No thanks"
    ),
    "de": (
        "ok|okay danke|👍|danke|Vielen Dank|nein|nee|wer ist das?|Wann?|um 2|2 Uhr|um 3 Uhr|"
        "Können Sie bestätigen?|können Sie den Termin bestätigen|Muss ich bestätigen?|bitte nicht absagen|"
        "nicht absagen|ich sage nicht ab|ja aber später|ja, absagen|1 oder 2|Komme 10 Minuten später|"
        "komme später|bin gleich da|bin unterwegs|ich komme zu spät|kann ich mein Kind mitbringen|wo ist das|"
        "vielleicht|weiß noch nicht|ich weiß nicht|abgesagt?|wurde er abgesagt|nicht verschieben|"
        "rufen Sie mich an|Ja, aber erst um 3|2 Personen|Ende|Stop|okay|in Ordnung|alles klar|Nein, absagen|"
        "leider nein"
    ),
    "vi": (
        "ok|ok ạ|cảm ơn|cám ơn bạn|👍|không|ai đấy|mấy giờ|lúc 2 giờ|2 giờ|3 giờ chiều|không hủy|đừng hủy|"
        "có thể xác nhận không|bạn có thể xác nhận giúp|chưa biết|để xem|tôi đến muộn|em đang đến|ở đâu vậy|"
        "có hủy được không|1 hay 2|có nhưng muộn hơn|dừng|stop|hai người|tôi sẽ gọi lại|đến lúc nào|oke|okie|"
        "ok em|đúng rồi|được|được ạ|dạ được|uh|co|vang|em bận rồi|không đi được"
    ),
    "es": (
        "ok|ok gracias|vale|gracias|muchas gracias|👍|no|quién es|¿a qué hora?|a las 2|a las 3|2 personas|"
        "¿pueden confirmar?|¿me pueden confirmar la hora?|no cancelar|no cancelen|no quiero cancelar|"
        "sí pero más tarde|sí, cancelar|1 o 2|tal vez|no sé|voy tarde|llego tarde|estoy en camino|"
        "ya voy llegando|¿se canceló?|llámenme|perfecto|bueno|si puedo voy|no sé si puedo ir|alto|baja|"
        "perfecto gracias|está bien|muy bien|correcto|no, cancelar"
    ),
    "fr": (
        "ok|ok merci|merci|merci beaucoup|👍|non|qui est-ce|à quelle heure ?|à 2 heures|à 14h|2 personnes|"
        "pouvez-vous confirmer ?|pourriez-vous me confirmer l'heure|ne pas annuler|n'annulez pas|"
        "je ne veux pas annuler|je n'annule pas|oui mais plus tard|oui, annuler|1 ou 2|peut-être|"
        "je ne sais pas|je serai en retard|j'arrive|je suis en route|c'est annulé ?|appelez-moi|parfait|"
        "entendu|bien reçu|reçu|je viens plus tard|arrêt|stop|parfait merci|très bien|c'est noté|"
        "oui c'est ok|non annuler"
    ),
}


@each_of(
    ("locale", "answer", "text"),
    [
        (locale, answer, text)
        for locale, answers in NATURAL.items()
        for answer, texts in answers.items()
        for text in texts.split("|")
    ],
)
def test_detects_what_people_write(locale: str, answer: Answer, text: str) -> None:
    assert detect_answer(text, locale) is answer


@each_of(("locale", "text"), [(locale, text) for locale, texts in NO_ANSWERS.items() for text in texts.split("|")])
def test_binds_nothing_by_guess(locale: str, text: str) -> None:
    assert detect_answer(text, locale) is None


@each_of(
    ("text", "locale", "answer"),
    [
        ("I can't make it. Can we do another time?", "en", Answer.RESCHEDULE_REQUESTED),
        ("Je ne peux pas venir, est-il possible de décaler ?", "fr", Answer.RESCHEDULE_REQUESTED),
        ("No puedo ir, ¿podemos cambiar la hora?", "es", Answer.RESCHEDULE_REQUESTED),
        ("Ich kann leider nicht kommen. Können wir den Termin verschieben?", "de", Answer.RESCHEDULE_REQUESTED),
        ("Em bận không đến được, cho em đổi lịch ạ", "vi", Answer.RESCHEDULE_REQUESTED),
        ("Hallo, ich muss leider absagen. Tut mir leid. LG Anna Schmidt", "de", Answer.CANCEL_REQUESTED),
        ("Bonjour, je confirme ma présence. Cordialement, Anna", "fr", Answer.CONFIRMED),
        ("Hi, I have to cancel, sorry. Best regards, Anna", "en", Answer.CANCEL_REQUESTED),
        ("Hola, confirmo mi cita. Saludos, Ana María Pérez", "es", Answer.CONFIRMED),
        ("Yes. Kind regards and see you in the city", "en", None),
        ("LG Anna", "de", None),
        *((text, locale, None) for text, locale in (("le 2", "fr"), ("la 1", "es"), ("no 1", "en"), ("à lundi", "fr"))),
        *((text, locale, None) for text, locale in (("bis Montag", "de"), ("see you on Friday", "en"))),
    ],
)
def test_an_answer_may_be_a_whole_letter(text: str, locale: str, answer: Answer | None) -> None:
    assert detect_answer(text, locale) is answer


def test_there_are_forty_answers_in_each_language() -> None:
    counts = {locale: sum(len(texts.split("|")) for texts in answers.values()) for locale, answers in NATURAL.items()}
    assert all(count >= 80 for count in counts.values()), counts


@pytest.mark.parametrize(
    "text", ["STOP", "stop, cancel", "cancel, stop", "unsubscribe", "Stop please", "STOP 2", "end"]
)
def test_no_stop_is_an_answer(text: str) -> None:
    assert detect_answer(text, "en") is None


@each_of(("answer", "text"), [(a, text) for a, texts in ANSWERS.items() for text in texts.split("|")])
@each_of("locale", [None, "de-AT", "xx"])
def test_detects_an_answer(answer: Answer, text: str, locale: str | None) -> None:
    assert detect_answer(text, locale) is answer


@each_of(
    "text",
    [
        *("", "👍", "no", "nein", "không", "ok", "thanks", "1 or 2?", "12", "4", "0", "1 2", "yes but later", "11:30"),
        *(
            "Can I cancel?",
            "yes, cancel",
            "Yes. 2",
            "I'll come at 1",
            "ja nein",
            "2 people",
            "cancel Tuesday",
            "C",
            "stop",
        ),
        *("I confirm that I am ill", "1".ljust(MAX_LENGTH + 1)),
    ],
)
def test_other_messages_are_no_answer(text: str) -> None:
    assert detect_answer(text, "en") is None


def test_no_phrase_has_two_answers() -> None:
    phrases = [lists.phrase_set(answer) for answer in Answer]
    assert [one & other for one, other in combinations(phrases, 2)] == [frozenset()] * 3


@pytest.mark.slow
def test_only_cancel_words_are_both_answer_and_request() -> None:
    both = {phrase for answer in Answer for phrase in lists.phrase_set(answer) if detect_request(phrase).request}
    assert both == {"cancel", "hủy"}


@each_of(
    ("text", "channel", "address", "question_is_open", "stopped_by_provider", "expected"),
    [
        ("CANCEL", "sms", "+12025550123", True, False, False),  # the United States
        ("CANCEL", "sms", "+16135550123", True, False, False),  # Canada
        ("CANCEL", "sms", "+18765550123", True, False, True),  # Jamaica
        ("CANCEL", "sms", "+447700900123", True, False, True),
        ("CANCEL", "sms", "+447700900123", True, True, False),
        ("CANCEL", "sms", "+447700900123", False, False, False),
        ("CANCEL", "whatsapp", "+12025550123", True, False, True),
        ("CANCEL", "rcs", "+12025550123", True, False, True),
        ("hủy", "sms", "+84912345678", True, False, True),
        ("STOP", "sms", "+447700900123", True, False, False),
        ("END", "whatsapp", "+447700900123", True, False, False),
        ("absagen", "sms", "+4915112345678", True, False, False),  # no STOP at all
    ],
)
def test_cancel_is_an_answer_only_if_carriers_allow(  # noqa: PLR0917 - a table
    text: str, channel: str, address: str, question_is_open: bool, stopped_by_provider: bool, expected: bool
) -> None:
    found = is_cancellation(
        detect_request(text),
        detect_answer(text),
        channel=channel,
        address=address,
        question_is_open=question_is_open,
        stopped_by_provider=stopped_by_provider,
    )
    assert found is expected


def test_detects_cancel_as_stop_by_itself() -> None:
    """Whether it is an answer instead depends on the open question."""
    assert detect_request("Cancel").request is Request.STOP
