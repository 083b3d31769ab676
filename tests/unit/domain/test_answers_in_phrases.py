"""Answers as people phrase them: whole sentences, courtesies, typing habits and what only looks like an answer."""

from collections.abc import Mapping
from typing import Final

import pytest

from reengage.domain.answers import Answer, DetectedAnswer, detect_answer, detect_signed_answer

CONFIRMED, CANCELS, MOVES = Answer.CONFIRMED, Answer.CANCEL_REQUESTED, Answer.RESCHEDULE_REQUESTED

PHRASES: Final = {
    "en": {
        CONFIRMED: (
            " 1 |１|1 thanks!|1, see you then|1=confirm|yes 👍|Yep, see you tomorrow!|Yes, confirmed. Thank you!|"
            "Confirmed 😊|I confirm.|I’ll be there!|We will be there|yes ill be there|Yes that works for me|"
            "Yes - thank you!|yes I'll come|Yes we are coming|1!!!|1 ✅|confirm appointment please|"
            "I confirm my appointment|Confirming, thanks|yea|Yes that's fine|Yes that is fine, thank you|Yes ok|"
            "ok yes|ok 1|Ok, confirmed|I'll be there, thanks!|Will be there 👌|I can be there|"
            "Yes looking forward to it"
        ),
        CANCELS: (
            "2️⃣|Sorry I can’t come|Unfortunately I will not be able to attend.|Cancel my appointment.|"
            "I won't be able to make it tomorrow|can't make it, sorry|CANCEL!!!|I have to cancel my appointment|"
            "we can't come|I cannot come|2 cancel|2, sorry|I won't make it|won't make it|"
            "We won't be able to attend|cancel it please|pls cancel|I would like to cancel, thanks.|"
            "Please cancel. I'm sorry!|I am not able to make it|Two please|2 - cancel|2 cancel please"
        ),
        MOVES: (
            "3!|Can we reschedule?|I need another time please|Could I get a different time?|"
            "I can't make it, can we reschedule?|need to reschedule|Please reschedule my appointment|"
            "can i change my appointment?|can we do another day?|Can I have another time?|"
            "I'd like to reschedule my appointment|I would like to change my appointment|"
            "Could we move the appointment?|Can I come another day?|Is it possible to reschedule?|"
            "can you reschedule me|have to reschedule|Would like another time|reschedule pls|"
            "please move my appointment|different date please|cancel and reschedule|Can I come on Monday instead?|"
            "Do you have anything on Friday?"
        ),
        None: (
            "11|10|1 pm?|I am 1 minute away|Yes, but can I bring my son?|yes but running late|Yes I said stop|"
            "Cancel my order|Don't cancel my appointment|cancel? no!|no need to cancel|3pm works|"
            "another time zone?|What time is it?|1 hour late|yes and no|yes or no?|1 adult, 2 children|"
            "I'm sick, can't come|Hi, I need to cancel my appointment. Thanks for Maria|Yes. See you tomorrow at 10|"
            "Reply 1 to confirm|Yess|ya|correct|next week?|cancel or reschedule?|1 and 3|confirm 1 cancel 2|"
            "yes cancel|no don't cancel|cancel?|I can't cancel|I didn't cancel|cancel Monday's|unsubscribe|"
            "Can I come later?|Cancel all messages|That's fine|we'll be there at 10|Looking forward to it"
        ),
    },
    "de": {
        CONFIRMED: (
            "1!|1 danke|Ja, passt|ja passt 👍|Ich komme gerne|bestaetigt|Ich bestätige den Termin.|"
            "Termin bestätigen|Passt, danke!|Ja, vielen Dank|Ja, bis morgen! Viele Grüße Anna|Ja klar, bis dann|"
            "Ja, ich werde kommen|Ja, wir kommen gerne|Ja ich bestätige den Termin, danke|Ja, ist ok|Ja ok|ok ja|"
            "Ja. Danke. LG Peter|JA!!! 😀|Ja das passt mir gut|Passt super|Ich bin da!|Ich nehme den Termin wahr|"
            "Ich kann kommen|ja kann kommen|Nr. 1|1: ja"
        ),
        CANCELS: (
            "Absagen bitte|Ich muss absagen.|Leider muss ich den Termin absagen|Termin bitte stornieren!|"
            "ich moechte absagen|Muss absagen, sorry|Ich schaffe es leider nicht|Wir können leider nicht kommen|"
            "Ich kann den Termin leider nicht wahrnehmen.|Leider kann ich den Termin nicht wahrnehmen|"
            "Leider kann ich nicht kommen|leider kann ich nicht|Ich muss den Termin absagen|"
            "Muss den Termin leider absagen|Leider muss ich absagen, tut mir leid|"
            "Guten Morgen, ich muss leider absagen. MfG Schmidt|Kann morgen nicht|"
            "Ich kann morgen leider nicht kommen|Bitte den Termin absagen|Bitte um Absage|"
            "Können Sie den Termin absagen?|Bitte Termin löschen|Abgesagt|Ich möchte den Termin stornieren|"
            "Nummer 2"
        ),
        MOVES: (
            "ein anderer Termin bitte|Können wir den Termin verschieben?|Neuer Termin bitte|"
            "Ich kann leider nicht, bitte einen neuen Termin|Könnte ich einen anderen Termin bekommen?|"
            "Kann ich einen anderen Termin haben?|Bitte um einen anderen Termin|Bitte um Terminverschiebung|"
            "Bitte neuen Termin|Geht auch ein anderer Tag?|Ich brauche einen neuen Termin|"
            "Ich würde gerne verschieben|Ich würde den Termin gerne verschieben|Muss verschieben|"
            "Termin verschieben bitte, danke!|Hallo, ich muss den Termin leider verschieben. Liebe Grüße, Jana|"
            "Lieber ein anderer Termin|Ich kann nicht, geht ein anderer Tag?"
        ),
        None: (
            "Ja, aber erst um 11|ja oder nein?|Nicht absagen!|Hat die Praxis abgesagt?|kann ich absagen?|3 Uhr|"
            "um 3|Wann ist der Termin?|Termin ist ok|Jaa|joa|Ich bin krank|bitte löschen|"
            "Absagen oder verschieben?|zu 1"
        ),
    },
    "vi": {
        CONFIRMED: (
            "một|Dạ vâng ạ|em sẽ đến ạ|Dạ em xác nhận ạ, cảm ơn|chắc chắn rồi|Dạ 1 ạ|Dạ con xác nhận|Ok xác nhận|"
            "Vâng, tôi sẽ đến đúng giờ|Có, tôi sẽ đến|Có nha|Vâng cảm ơn|Dạ đồng ý ạ|xác nhận nhé|"
            "Em xác nhận lịch hẹn ạ|Chị xác nhận nhé|Mình sẽ tới|Tôi có thể đến|Tôi đến được|toi xac nhan|"
            "vâng ạ, hẹn gặp lại|Chúng tôi sẽ đến"
        ),
        CANCELS: (
            "Hủy!|Em muốn hủy lịch ạ|Xin lỗi, tôi không đến được|cho em hủy lịch với ạ|Tôi không đến được ạ|"
            "Dạ em bận không đến được ạ|Rất tiếc tôi không thể đến|Cho tôi hủy lịch hẹn nhé|Hủy giúp mình nhé|"
            "huỷ lịch khám|Dạ cho em hủy hẹn ạ|Xin phép hủy lịch ạ|tôi cần hủy lịch hẹn|Vui lòng hủy lịch hẹn|"
            "Làm ơn hủy giúp em|toi muon huy lich hen|huy lich|huy hen|khong den duoc|Em xin hủy|em hủy lịch ạ"
        ),
        MOVES: (
            "Tôi muốn đổi lịch hẹn|dời lịch hẹn giúp em|Tôi muốn hẹn giờ khác|Xin đổi giờ ạ|Tôi muốn dời lịch|"
            "Cho em dời lịch ạ|Em muốn đổi giờ ạ|Cho mình đổi sang ngày khác nhé|Có thể đổi lịch không?|"
            "Có thể dời lịch được không ạ?|Tôi muốn đổi ngày hẹn|đổi ngày hẹn|đổi lịch khám giúp em|"
            "Vui lòng đổi lịch hẹn|toi muon doi lich hen|doi lich hen|Xin đổi lịch hẹn ạ|Em xin dời lịch|"
            "Đổi giờ khác được không?|đổi ngày khác ạ"
        ),
        None: (
            "Có chỗ đậu xe không?|có không?|hai|huy|ba|3 giờ|mấy giờ?|1 em nhé|em không đi được ạ|không đổi lịch|"
            "đừng đổi lịch|1 giờ|2 giờ chiều được không?"
        ),
    },
    "es": {
        CONFIRMED: (
            "SÍ!!|¡Sí!|Confirmado 👍|Confirmo la cita, gracias|alli estare|Sí, voy|Sí, iré|Sí, por supuesto|"
            "Hola, sí confirmo|Buenos días, confirmo asistencia|Sí señorita, confirmo|Sí, confirmado, gracias|"
            "si confirmo mi asistencia gracias|Sí, asistiré. Gracias|Sí, claro|Si, nos vemos mañana|"
            "Confirmo que asistiré|Sí, ahí estaré sin falta|Hola buenas, confirmo la cita. Un saludo|"
            "Confirmo mi cita para mañana|Confirmo para mañana|Sí, de acuerdo|Sí, vale|vale, confirmo|Sí ok|"
            "Sí iré, gracias 🙏|1 porfa"
        ),
        CANCELS: (
            "Cancelar!|Cancela|Quiero cancelar la cita|Quiero cancelar mi cita por favor|no podre ir|"
            "Tengo que cancelar mi cita|No me es posible asistir|No podré ir, gracias|"
            "Perdón, no voy a poder asistir|Hola, no puedo ir a la cita|No puedo asistir a la cita|"
            "No podré acudir a mi cita|Necesito cancelar la cita|Quería cancelar la cita|"
            "Me gustaría cancelar mi cita|Por favor, cancele la cita|Cancelen por favor|Anule mi cita por favor|"
            "Quiero anular la cita|¿Pueden cancelar mi cita?|Desafortunadamente no puedo ir|"
            "Lamentablemente no podré asistir|Mañana no puedo|no puedo mañana"
        ),
        MOVES: (
            "Otro horario por favor|¿Podemos cambiar la cita?|Necesito otra fecha|No puedo ir, ¿otro día?|"
            "Opción 3|¿Puedo cambiar de día?|¿Podría cambiar la hora?|¿Podrían darme otra fecha?|"
            "Quisiera otra hora|Necesito reagendar mi cita|Necesito otro día, por favor|"
            "Me gustaría cambiar la fecha|No puedo, otro día por favor|¿Sería posible otro horario?|"
            "¿Tienen otra hora?|Cambio de cita"
        ),
        None: ("Si puedo|¿Sí?|¿Puedo cancelar?|siii|el 2|la 2|la 1|no quiero cambiar|cancelar o cambiar?|Sí, no puedo"),
    },
    "fr": {
        CONFIRMED: (
            "Oui !|Oui, merci|oui je confirme|Je confirme le rdv|confirme|je serai la|D'accord, je serai là|"
            "Bonjour, je confirme. Merci|Oui, bien sûr !|Je serai présente 😊|Oui, à demain !|"
            "Oui, c'est noté, je serai là|Oui je serai présent, merci|Oui d'accord|Oui ça me va|Oui, parfait|"
            "Ok pour moi|C'est confirmé, merci !|Bonjour, je confirme ma présence. Bonne journée|"
            "Bonjour je vous confirme le rendez-vous. Cordialement, Mme Durand|"
            "Oui, je confirme mon RDV de demain|Je confirme pour demain|Nous serons présents|Je viens bien|"
            "Oui je viens demain|N°1|choix 1"
        ),
        CANCELS: (
            "Annule|j’annule|Désolé, je ne peux pas venir|Désolée je ne pourrai pas venir|annuler le rdv|"
            "Je suis dans l’impossibilité de venir|n° 2|Je ne peux plus venir|Je ne pourrai pas être là|"
            "Je ne pourrai pas venir demain|Désolé, je dois annuler mon rendez-vous|"
            "Bonjour, je suis obligé d'annuler. Cordialement|Je suis contrainte d'annuler mon rdv|"
            "Pouvez-vous annuler ?|Veuillez annuler svp|J'annule mon rendez-vous|Annulez mon rdv svp|"
            "Je souhaiterais annuler|Je voudrais annuler s'il vous plaît|Impossible pour moi|J'ai un empêchement|"
            "Je ne peux pas me rendre au rendez-vous"
        ),
        MOVES: (
            "Déplacer le rendez-vous svp|une autre date svp|Peut-on reporter ?|"
            "Je ne peux pas venir, est-il possible de reporter ?|Est-il possible de changer de date ?|"
            "Serait-il possible de décaler ?|Je souhaiterais reporter|Je souhaiterais un autre horaire|"
            "Pourriez-vous reporter mon rendez-vous ?|Pourrait-on déplacer le rdv ?|"
            "Je dois déplacer mon rendez-vous|Je voudrais un autre rendez-vous|Avez-vous un autre créneau ?|"
            "Autre date svp|je préfère un autre jour|On peut reporter ?|Possible de décaler ?|Reporter svp merci"
        ),
        None: (
            "Oui ?|Puis-je annuler ?|à 3h|3h|Quelle heure ?|ouii|le 2|Je suis malade|ne pas reporter|"
            "annuler ou reporter ?|Oui annulez"
        ),
    },
}
"""By locale and answer; ``None`` is no answer, because it may mean something else."""


@pytest.mark.parametrize(
    ("locale", "answer", "text"),
    [
        (locale, answer, text)
        for locale, answers in PHRASES.items()
        for answer, texts in answers.items()
        for text in texts.split("|")
    ],
)
def test_phrase_is_this_answer(locale: str, answer: Answer | None, text: str) -> None:
    assert detect_answer(text, locale) is answer


SIGNED: Final = {
    CONFIRMED: {
        "en": "1 - Maria|1\nMaria|Yes, Maria|yes, maria|YES, MARIA|1 Tom|Maria Lopez - yes|Maria: 1|"
        "Yes (Anna)|1 - Siobhan|"
        "Yes. Thanks, Maria|1, thanks! Dave",
        "de": "Ja, Anna Schmidt|1 - Anna|Ja, Frau Müller|Ja, Familie Öztürk|Ja danke, Jürgen",
        "es": "Sí, María José|1 María|1 gracias, Juan Pérez|Confirmo, Sra. Ortega",
        "fr": "Oui, Mme Dupont|Oui, Dupont|1 - Le Goff|Je confirme, Émilie",
        "vi": "Có, Nguyễn Văn An|1 - Lan|Dạ có, chị Lan",
    },
    CANCELS: {
        "en": "Cancel, Maria|2 - Maria|I can't come. Maria|Not coming, Tom",
        "de": "Ich muss absagen, Frau Klein",
    },
    MOVES: {"en": "Reschedule, Mike|3 - Ann-Marie", "fr": "3 - Chloé"},
    None: {
        "en": "Thanks, Maria|Maria|Yes, Monday|Yes, May|Yes. Late|Yes. Running Late|Yes, But|"
        "Yes, No|Yes - Cancel|1, Two|Yes, Wheelchair|Yes - Fever|"
        "1 - 2|Yes, Maria and Tom|1 Anna, 2 Ben|Anna yes, Ben no|Yes for Anna|yes, sick|Yes, Traffic|1 Call Me",
        "de": "Ja, Urlaub|Ja, Montag|1 - Urlaub|Ja, Stau|Ja, Hund dabei|ja, anna krank",
        "es": "Sí, Martes|Sí, Pero tarde",
        "fr": "Oui, Mardi|Oui, Mais",
        "vi": "Có, Mai",
    },
}
"""Answers that a name follows, by answer and locale."""


@pytest.mark.parametrize(
    ("locale", "answer", "text"),
    [
        (locale, answer, text)
        for answer, texts in SIGNED.items()
        for locale, listed in texts.items()
        for text in listed.split("|")
    ],
)
def test_a_signature_changes_no_answer(locale: str, answer: Answer | None, text: str) -> None:
    """People sign their messages: "1 - Maria" answered nothing."""
    assert detect_answer(text, locale) is answer


@pytest.mark.parametrize("text", ["1 - Siobhán", "1, Siobhán O'Neill", "ja, siobhán"])
def test_a_persons_own_name_is_a_signature(text: str) -> None:
    assert detect_signed_answer(text, "de").answer is None
    assert detect_signed_answer(text, "de", "Siobhán O'Neill") == DetectedAnswer(CONFIRMED, names_someone=True)


AFTER_NO: Final = {
    CANCELS: {
        "en": "No, I can't come|No. Sorry, can't make it|Unfortunately not, I won't make it",
        "de": "Nein, ich komme nicht|Leider nein, ich kann nicht kommen",
        "es": "No, no puedo ir",
        "fr": "Non, je ne peux pas venir",
        "vi": "Không, em không đến được ạ",
    },
    MOVES: {
        "en": "No, can we do Friday instead?|No, 3",
        "de": "Nein, bitte verschieben",
        "es": "no, mejor el jueves",
        "fr": "Non, plutôt lundi",
    },
    None: {
        "en": "No|no cancel|No, cancel|No, 2|No, yes|No, 1|No, but yes|No, don't cancel|No? cancel",
        "de": "Nein|nicht absagen|Nein, nicht absagen|Nein, ja",
        "es": "No|No cancelar|no, gracias",
        "fr": "Non|ne pas annuler|non merci",
        "vi": "không|không hủy|không, cảm ơn",
    },
}


@pytest.mark.parametrize(
    ("locale", "answer", "text"),
    [
        (locale, answer, text)
        for answer, texts in AFTER_NO.items()
        for locale, listed in texts.items()
        for text in listed.split("|")
    ],
)
def test_no_is_an_answer_only_with_what_is_wanted(locale: str, answer: Answer | None, text: str) -> None:
    assert detect_answer(text, locale) is answer


def rows(listed: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(locale, text) for locale, texts in listed.items() for text in texts.split("|")]


DOUBTFUL: Final = {
    "en": "I can't come another day|won't be there another day|I can't come right now|not coming immediately|"
    "2 reschedule|reschedule 2|cancel 3|Yes, hello|Yes good morning",
    "de": "Ich kann nicht absagen|kann nicht verschieben|Ich kann jetzt nicht|ich komme nicht sofort|3 absagen|"
    "muss ich absagen|Ja, guten Tag|Ja hallo",
    "es": "No puedo cancelar|no podemos cambiar la cita|no puedo ir otro día|no voy otro día|No puedo ahora mismo|"
    "me es imposible cancelar|Sí, buenas tardes|sí hola",
    "fr": "Je ne peux pas annuler|je peux pas reporter|je ne viendrai pas un autre jour|Je ne viens pas tout de suite|"
    "je ne peux pas maintenant|Oui bonjour|oui, bonsoir",
    "vi": "em không đến được hôm khác|không thể đến giờ khác|không thể đến ngay|Vâng xin chào",
}
"""What a refusal refuses, and other messages that seem to have an answer."""


@pytest.mark.parametrize(("locale", "text"), rows(DOUBTFUL))
def test_binds_no_doubtful_answer(locale: str, text: str) -> None:
    """Incident: "No puedo cancelar" cancelled the visit, and "I can't come another day" asked for another time."""
    assert detect_answer(text, locale) is None


NOT_DOUBTFUL: Final = {
    CANCELS: {
        "en": "I can't come, please cancel|can't make it now|2 please cancel",
        "de": "Ich kann nicht kommen bitte absagen|Leider muss ich absagen",
        "es": "No puedo ir cancelar por favor|No puedo. Cancelar",
        "fr": "Je ne peux pas venir, annulez svp",
    },
    MOVES: {
        "en": "I can't come can we reschedule|Can't make it, another day please",
        "de": "Ich kann nicht, bitte verschieben",
        "es": "no puedo ir, otro día por favor|No puedo ir quiero otro día",
        "vi": "Em không đến được, cho em hôm khác ạ",
    },
    CONFIRMED: {"fr": "Bonjour, oui|Oui bonjour, je confirme", "de": "Hallo, ja", "es": "Hola, sí"},
}


@pytest.mark.parametrize(
    ("locale", "answer", "text"),
    [(locale, answer, text) for answer, listed in NOT_DOUBTFUL.items() for locale, text in rows(listed)],
)
def test_a_refusal_beside_a_request_is_clear(locale: str, answer: Answer, text: str) -> None:
    assert detect_answer(text, locale) is answer


EVERYDAY: Final = {
    CONFIRMED: {
        "en": "Yes I am|Yes, we can|still coming|Sounds good, yes|Got it, I'll be there|I'm attending|First option",
        "de": "Komme morgen|Bin morgen da|Es bleibt dabei|Aber klar|Natürlich komme ich|Ich halte den Termin ein",
        "es": "Claro que voy|Enterado, confirmo|Sin problema, ahí estaré|Acepto|Con mucho gusto asistiré",
        "fr": "Je confirme bien ma présence|Je maintiens le rdv|Rdv maintenu|d'ac|J'accepte",
        "vi": "Mai em sẽ đến ạ|Em vẫn giữ lịch ạ|Dạ được, em sẽ đến|Hẹn mai gặp ạ|Xác nhận ạ, em cảm ơn",
    },
    CANCELS: {
        "en": "I need to cancel tomorrow's appointment|Sorry but I have to cancel|I won't be coming|not gonna make it|"
        "gotta cancel",
        "de": "Ich muss den Termin morgen absagen|das schaffe ich nicht|Hiermit sage ich den Termin ab|"
        "Tut mir leid aber ich kann nicht kommen",
        "es": "Favor de cancelar mi cita|Voy a tener que cancelar|Ya no necesito la cita|Lo siento pero no puedo ir",
        "fr": "Je suis désolé mais je dois annuler|Merci de bien vouloir annuler|"
        "Je ne pourrai malheureusement pas venir|Je dois annuler mon rdv de demain",
        "vi": "Mai em bận không đến được ạ|Em bận rồi, hủy giúp em|Em không đến nữa|Hủy lịch ngày mai",
    },
    MOVES: {
        "en": "Change my appointment time|reschedule for next week|Can I come in at 3 instead?|third option",
        "de": "Bitte um neuen Termin|Ich müsste den Termin verschieben|Geht es auch nächste Woche?",
        "es": "¿Puede ser otro día?|Mejor otro día por favor|Reagéndame por favor|¿Tendrán otro horario?",
        "fr": "Il faudrait décaler|Je dois repousser mon rdv|Vous auriez une autre date ?",
        "vi": "Còn giờ khác không ạ?|Đổi sang 3h chiều|Lùi lịch giúp em|Hẹn hôm khác được không ạ",
    },
    None: {
        "en": "sounds good|Got it|Looking forward to it|All good|sorry but no|I'm not sure I can make it",
        "de": "Klappt das?|Bleibt es dabei?|aber nicht|Wir freuen uns|Tut mir leid aber nein",
        "es": "Sin problema|Enterado|listo|hay que confirmar|lo siento pero no",
        "fr": "Pas de souci|Il faut annuler ?|Il faut confirmer|ah oui|Je ne vais pas annuler",
        "vi": "Dạ em cảm ơn ạ|Em bận rồi|Dạ chị ơi|Dạ chào bác sĩ|Em đến đc không",
    },
}


@pytest.mark.parametrize(
    ("locale", "answer", "text"),
    [(locale, answer, text) for answer, listed in EVERYDAY.items() for locale, text in rows(listed)],
)
def test_everyday_words_are_this_answer(locale: str, answer: Answer | None, text: str) -> None:
    assert detect_answer(text, locale) is answer


ALL_OF_THEM: Final = {
    "en": "Yes, both|1 for all|Confirm both please|Yes to all of them. Thanks, Maria|both confirmed",
    "de": "Ja, beide|1, alle|Ich bestätige beide Termine",
    "es": "Sí, ambas|1 las dos|Confirmo todas las citas",
    "fr": "Oui, les deux|Je confirme les deux rendez-vous",
    "vi": "Có, cả hai|xác nhận tất cả ạ",
}


@pytest.mark.parametrize(("locale", "text"), rows(ALL_OF_THEM))
def test_all_of_them_is_a_confirmation(locale: str, text: str) -> None:
    assert detect_answer(text, locale) is CONFIRMED


NUMBERED: Final = {
    "en": "1 please|Option 1|option one|#1|(1)|1.|I choose 1|my answer is 1|Press 1|№ 1|1️⃣|I pick option 1",
    "de": "die 1|Ich wähle 1|Nr. 1",
    "es": "El 1|nº 1|N.º 1|la opción 1|Elijo 1|1 por favor",
    "fr": "Le 1|n°1|N° 1|je choisis le 1|réponse 1",
    "vi": "chọn 1|em chọn số 1 ạ|1 nhé",
}


@pytest.mark.parametrize(("locale", "text"), rows(NUMBERED))
def test_a_number_is_an_answer_however_it_is_named(locale: str, text: str) -> None:
    assert detect_answer(text, locale) is CONFIRMED


OTHER_TIMES: Final = {
    MOVES: {
        "en": "can we do 3pm instead?|Could we do Thursday instead|3 pm instead|"
        "can you move it to 3pm|reschedule to Friday|"
        "Can't make it, can we do 3pm instead?|10:30 instead please|move it to 4|move it to 2pm",
        "de": "Geht auch 15 Uhr?|Können wir Donnerstag machen?|Bitte verschieben auf Freitag|Geht Freitag?|lieber um 3",
        "es": "¿podemos a las 3?|¿puede ser el jueves?|mejor a las 5|no puedo, mejor el jueves",
        "fr": "on peut faire 15h ?|peut-on décaler à jeudi ?|plutôt jeudi",
        "vi": "đổi sang thứ sáu|đổi sang 3 giờ chiều|cho em dời sang thứ sáu ạ",
    },
    None: {
        "en": "3pm|at 3|Tuesday|See you Tuesday|yes at 3pm|yes, Thursday|cancel Thursday|"
        "change it to 1|change to 2|1 at 3pm|"
        "can we do 1?|2 instead|"
        "I can't do Tuesday",
        "de": "Freitag geht|passt am Freitag|Dienstag geht nicht|um 3",
        "es": "podemos el jueves|no puedo el martes|a las 3",
        "fr": "jeudi|je ne peux pas mardi",
        "vi": "hẹn thứ năm|thứ ba tôi không đến được",
    },
}


@pytest.mark.parametrize(
    ("locale", "answer", "text"),
    [
        (locale, answer, text)
        for answer, texts in OTHER_TIMES.items()
        for locale, listed in texts.items()
        for text in listed.split("|")
    ],
)
def test_a_day_counts_only_if_it_is_asked_for(locale: str, answer: Answer | None, text: str) -> None:
    assert detect_answer(text, locale) is answer
