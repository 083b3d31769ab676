"""Both are incidents: a STOP that is missed, and a STOP that no one wrote."""

import json
import random
import re
import time
import unicodedata
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any, Final, Literal

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from reengage.domain import keyword_lists as lists
from reengage.domain.answers import Answer
from reengage.domain.keywords import Detection, detect_request, strip_courtesies
from reengage.domain.plain_text import MAX_LENGTH, normalise, remove_marks
from reengage.domain.requests import Request
from tests.cases import each_of

PHRASES: Final = {phrase: request for request in Request for phrase in lists.phrase_set(request)}
LISTED = sorted((*lists.exact_keywords().items(), *PHRASES.items()))

STOPS = """
    STOP|STOPALL|STOP ALL|UNSUBSCRIBE|CANCEL|END|QUIT|REVOKE|OPTOUT|OPT-OUT|OPT OUT|REMOVE|ARRET|ARRÊT|TD
    stop texting me|please unsubscribe me|unsubscribe me|stop messaging me|please stop|stop it|no more texts please
    don't text me|dont contact me|do not message me|leave me alone|take me off your list|please opt me out
    could you please stop texting me|I want to unsubscribe|stop sending me messages|remove me from your list
    STOPP|abmelden|abbestellen|bitte stopp|stopp danke|bitte abmelden|bitte aufhören|hören Sie bitte endlich auf
    keine Nachrichten mehr|bitte keine SMS mehr|Schreiben Sie mir bitte nicht mehr
    bitte nicht mehr schreiben|Lassen Sie mich in Ruhe|ich möchte mich abmelden|ich moechte mich abmelden
    DỪNG|NGỪNG|HỦY|HUỶ|ngung|dừng lại|dừng nhé|stop ạ|hủy đăng ký|huỷ đăng ký|huy dang ky|ngừng nhắn tin
    vui lòng ngừng nhắn tin cho tôi|đừng nhắn tin cho tôi nữa|dung nhan tin nua|không nhận tin nữa
    I quit|revoke consent|I revoke my consent|I opt out|i'm opting out|unsubscribing|DNC|many thanks. stop
    remove my number|please lose my number|cancel texts|end messages|cancel my subscription|stop reminders
    please stop the text reminders|no more reminders|Stop. Many thanks|cancel all messages
    ALTO|PARAR|BAJA|darme de baja|no más mensajes|No me manden más mensajes por favor|déjenme en paz
    ya no me envíen mensajes|Cancelar suscripción|deja de escribirme|quítame de la lista|stop por favor
    no quiero recibir mensajes|me desabonner
    ARRETE|ARRETT|ARRÊTER|arrêter svp|me désabonner|je me désabonne|plus de messages svp|STOP merci|stop les sms
    ne m'envoyez plus de messages|retirez-moi de la liste|laissez-moi tranquille|désinscription
    SAIR|descadastrar|me descadastre|pare de me enviar mensagens|não quero mais receber mensagens|stop obrigado
    disiscrivimi|basta messaggi|non voglio più messaggi|non scrivetemi più|cancellami dalla lista|stop grazie
    afmelden|uitschrijven|geen berichten meer|ik wil me afmelden|haal me van de lijst|laat me met rust|stop aub
    wypisz|WYPISZ MNIE|rezygnuję|rezygnuje|nie chcę więcej wiadomości|proszę przestać pisać|stop proszę
    quit reminding me|Bitte keine Terminerinnerungen mehr|Erinnerungen abschalten|đừng gửi nhắc lịch nữa
    Stop reminding me|stop reminding us please|don't remind me again|Hört auf mich zu erinnern|erinnert mich nicht mehr
    dejen de recordarme|no me recuerden más|no recibir más|arrêtez de me rappeler|đừng nhắc tôi nữa
    xin đừng liên lạc nữa ạ|từ chối quảng cáo|ngung nhan tin cho toi|đừng làm phiền tôi nữa
"""
STARTS = """
    START|Start please|UNSTOP|wieder anmelden|bắt đầu|bat dau|opt me back in please|start texting me again|me réabonner
"""
HELPS = """
    HELP|INFO|hilfe|Hilfe bitte|trợ giúp|tro giup|giúp em với ạ|help me please|giúp tôi
    AYUDA|aide|ajuda|aiuto|hulp|pomoc
"""


def _cells(table: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"[|\n]", table) if cell.strip()]


@each_of("form", ["NFC", "NFD"])
@each_of("text", _cells(STOPS))
def test_detects_stop(text: str, form: Literal["NFC", "NFD"]) -> None:
    for spelling in (text, text.upper(), text.lower(), text.title()):
        assert detect_request(unicodedata.normalize(form, spelling)).request is Request.STOP, spelling


@each_of(
    ("request_", "text"),
    [(request, text) for request, table in ((Request.START, STARTS), (Request.HELP, HELPS)) for text in _cells(table)],
)
def test_detects_start_and_help(request_: Request, text: str) -> None:
    assert detect_request(text).request is request_


@each_of(
    "text",
    [
        "S T O P",
        "S.T.O.P.",
        "s-t-o-p",
        "STOP STOP STOP!",
        "Stop.",
        "stop\nthanks",
        "“STOP”",
        "„Stopp“",
        "'stop'",
        "*STOP*",
        "~_stop_~",
        "STOP 🛑🙏🏽",
        "STOP❤️",
        "ＳＴＯＰ",
        "𝗦𝗧𝗢𝗣",
        "𝓢𝓽𝓸𝓹",
        "🅂🅃🄾🄿",
        "🆂🆃🅾🅿",
        "S\N{COMBINING LONG STROKE OVERLAY}T\N{COMBINING LONG STROKE OVERLAY}OP",
        "S\N{ZERO WIDTH SPACE}T\N{ZERO WIDTH JOINER}O\N{SOFT HYPHEN}P\N{ZERO WIDTH NO-BREAK SPACE}",
        "\N{RIGHT-TO-LEFT OVERRIDE}STOP\N{POP DIRECTIONAL FORMATTING}",
        "STOP\N{HANGUL FILLER}",
        "hu\N{COMBINING GRAPHEME JOINER}\N{COMBINING HOOK ABOVE}y",
        "don’t text me",
        "don´t text me",
        "opt–out",
        "opt_out",
        "Stop. Please! Thank you very much.",
        "STOP. Don't text me anymore.",
        "Stop, unsubscribe me, please",
        "CANCEL cancel",
    ],
)
def test_detects_stop_in_any_spelling_of_its_letters(text: str) -> None:
    assert detect_request(text).request is Request.STOP


def _other_writing(character: str) -> st.SearchStrategy[str]:
    """The same letter, as other keyboards write it."""
    forms = [character, character.upper()]
    if "a" <= character <= "z":
        nth = ord(character) - ord("a")
        forms += [chr(0xFF21 + nth), chr(0xFF41 + nth), chr(0x1D5D4 + nth), chr(0x1F130 + nth), chr(0x1F170 + nth)]
    return st.sampled_from([*forms, unicodedata.normalize("NFD", character)])


UNSEEN = st.text("\u200b\u200d\u2060\ufeff\u00ad\u200e\u202e\ufe0f\u034f", max_size=2)
AROUND = st.text(" \n\t.,!?…¡\"'“”„«»*_~()[]-–—🛑😡👍🏽❤️🙏\u200b\ufe0f", max_size=6)


@given(data=st.data(), listed=st.sampled_from(LISTED))
@pytest.mark.slow
def test_detects_each_keyword_in_any_letters(data: st.DataObject, listed: tuple[str, Request]) -> None:
    word, request = listed
    dressed = [data.draw(_other_writing(character)) + data.draw(UNSEEN) for character in word]
    text = data.draw(AROUND) + "".join(dressed) + data.draw(AROUND)
    assert detect_request(text) == Detection(request, word)


def test_detects_each_keyword_as_listed() -> None:
    assert [(word, detect_request(word).request) for word, _ in LISTED] == LISTED


# Ordinary talk

QUIET_IN_ENGLISH = """
    I can't stop by on Friday|when does it start?|Please cancel my appointment|Cancel my 3pm|bus stop|quit smoking
    don't stop the good work|at the end of May|I want to cancel my appointment|please remove the tooth
    Can you stop by tomorrow?|I'll stop by at 5|The bus stops right at your door|one stop shop?|Don't stop!
    Can we stop the treatment after this week?|Do I have to stop eating before the surgery?|Nonstop flights?
    I saw your bus stop ad|Stop worrying, all is fine|Is this the end?|When do these offers end?|END of story
    Please stop sending the parcels to my old address|cancel my order please|Cancel Tuesday, keep Wednesday
    Please cancel the 4pm and book 5pm|Please don't cancel my booking|Can I quit the plan anytime?
    Remove one seat from the booking|Remove the extra cheese please|Can I opt out of the x-ray?|What does TD stand for?
    Don't forget to text me the address|Why don't you text me when it's ready|You never text me back
    If you don't text me I'll assume yes|I don't want to miss your messages|I didn't get the reminder
    Don't. Text me.|When will the pain go away?|I always get lost near your shop|No more questions, thanks
    No|No thanks|My phone number is wrong in your system|Leave the dog alone|I did not receive a text
    I can't start the app|Start with the left shoe|Start at 9?|Where can I find info about parking?|more info please
    Thanks for the help!|I need help with my booking|help me choose a size|Let's start at 10|YES
    Can you take me out of the waiting room?|I discontinued the antibiotics|Is the wrong man coming?|I want it
    Off to work|No more contact lenses needed|don't send it yet
    Exclude me from the group photo|I'll drop my daughter off at 3
    I'm sick, can you send reminders?|Liked “Reply STOP to unsubscribe”|Loved "Text STOP to opt out"
"""
QUIET_IN_GERMAN = """
    Bitte Termin absagen|Ich möchte meinen Termin absagen|Können wir das Treffen stoppen?|Nein|nein danke|aus|Doch
    Das Licht ist aus|Ich komme am Ende der Woche|Wann ist der Kurs zu Ende?|Ende Mai passt gut|Termin bitte abmelden
    Wir müssen uns vom Yoga abmelden
    Ich muss meinen Sohn vom Kurs abmelden|Ich möchte mich vom Kurs abmelden|Wie kann ich mein Kind abmelden?
    Stoppt der Bus bei euch?|An welcher Haltestelle stoppt der Bus?|Der Alarm stoppt nicht|Bitte Termin stornieren
    Ich habe keine Nachricht bekommen|Ich habe keine SMS mehr bekommen|Mir wurde keine Nachricht angezeigt
    Warum schicken Sie mir keine Erinnerung?|Ich möchte keine Erinnerung verpassen|Hast du von mir keine SMS bekommen?
    Die Nachricht war im Spam-Ordner|Ich kann gerade nicht mehr schreiben, Akku leer|Melde mich ab 15 Uhr
    Ich konnte Ihnen nicht mehr schreiben|Lassen Sie mich in Ruhe überlegen|Das Baby schläft endlich in Ruhe
    Hör auf zu rauchen, sagt der Arzt|Der Zahn nervt mich nicht mehr|Ich möchte meine Bestellung stornieren
    Schreiben Sie mir bitte, wenn es fertig ist|Schreib mir die Adresse|Kann ich den Vertrag kündigen?
    Kann ich den Termin verschieben?|Bitte keine Zwiebeln|Keine Ahnung|Keine Zeit mehr heute|Kein Problem
    Bitte nicht mehr als zwei Personen|Nicht mehr nötig|Das dritte Gericht von der Liste|Ich melde mich morgen
    Haben Sie die Nachricht gelöscht?|Start ist um neun?|Wann startet der Kurs?|Ich brauche Hilfe beim Einloggen
    Warum melden Sie sich nicht mehr?|Rufen Sie mich nicht mehr an|Stopp mal kurz, wann war der Termin?|Abgesagt
    Können Sie mir helfen?|Wo finde ich Infos?|Info bitte an meine Frau|Wo kann ich mich anmelden?
    Wo kann ich Benachrichtigungen einstellen?|Ihre Nummer bitte|Ende mit der Kur am Freitag|genug Platz?|keine Lust
    Anmelden|đăng ký lại|Ist er quitt?|Stopp mal, welcher Termin?|Stop mal bei Ulm, dann links
"""
QUIET_IN_OTHER_LANGUAGES = """
    ¿Pueden parar en la puerta?|alto y claro, gracias|cancelar mi cita por favor|no recibí el mensaje
    Para mañana por favor|el fin de semana|me puede enviar más información
    está de baja médica|no me llegó el recordatorio
    je m'arrête à 5 h|annuler mon rendez-vous|je n'ai reçu aucun sms|l'arrêt de bus est où ?|plus de temps ?
    não recebi a mensagem|pode parar na porta?|vou sair agora|quero cancelar a consulta de amanhã
    non ho ricevuto il messaggio|la fermata dell'autobus|vorrei annullare l'appuntamento di martedì
    no más tarde de las 5|salir de casa|pas de problème|arrêtez-vous à 5h|quero sair às 5|fine mese|valt mee
    sai số lượng|không nhận được tin|không gửi hàng nữa|dość dobrze|proszę o usunięcie szwów|nie wyrażam sprzeciwu
    ik heb geen bericht ontvangen|de bus stopt hier|ik wil de afspraak van dinsdag annuleren|geen probleem
    nie dostałem wiadomości|chcę odwołać wizytę|koniec tygodnia pasuje|na przystanku stop
"""
REACTIONS = """
    Removed an exclamation from “STOP to unsubscribe”|👍 to “Reply STOP to opt out”|Loved a message
    Reacted 😂 to “Reply STOP”|Removed a heart from “Reply STOP”|Laughed at “STOP to unsubscribe
    Gefällt „Antworte STOP zum Abmelden“|👍 zu „STOP zum Abmelden“|Hat mit 👍 auf „STOP“ reagiert
    Đã thích “Soạn TC để từ chối nhận tin”|Đã bày tỏ cảm xúc 👍 với “Soạn TC”|Đã xóa một trái tim khỏi “TC để từ chối”
    Le gustó “Responde STOP para cancelar”|Le encantó “STOP”|A aimé « Répondez STOP »|Curtiu “Responda SAIR”
    Ha messo mi piace a “Rispondi STOP”|Vond “Antwoord STOP” leuk
"""
QUIET_IN_VIETNAMESE = """
    dừng xe ở đâu|Xe buýt dừng ở đâu?|dừng ở trạm nào|dừng đèn đỏ|không dừng|đừng dừng lại|tôi sẽ dừng lại ở cửa hàng
    mưa đã ngừng chưa|Mưa không ngừng|Bao giờ ngừng khuyến mãi?|đúng|đúng rồi|dung roi|dung vay|Dũng|Chị Dung ơi
    tên em là Huy|Huy đây|anh Huy có ở đó không|em tên Dung|hủy lịch hẹn giúp em|hủy lịch hẹn|huy lich hen
    Cho mình hủy lịch ngày mai|em muốn hủy đơn hàng|hủy đơn giúp mình|không đến được, cho em hủy lịch
    hủy đăng ký lớp yoga giúp em|đừng hủy lịch của em|đừng lo|đừng gọi sau 9 giờ nhé|Đừng cho hành nha
    đừng gửi hàng hôm nay|đừng gửi hàng nữa nhé|đừng quên nhắn tin cho tôi nhé|Nhớ nhắn tin cho mình nha
    tôi không nhận được tin nhắn|tôi chưa nhận tin nhắn nào|không muốn bỏ lỡ tin nhắn|Shop không gửi hàng à
    shop nhắn tin cho em khi có hàng nhé|gửi tin nhắn cho tôi lúc 5h|xin lỗi đã làm phiền|dùng thuốc mấy lần
    Tôi từ chối món này|xóa món này khỏi đơn|bỏ số lượng xuống 2 giúp em|không cần đâu|thôi không sao|không nhé
    khi nào bắt đầu?|lớp bắt đầu lúc mấy giờ|bắt đầu từ thứ hai|khi nào lớp kết thúc|giúp em đổi lịch
    Cần trợ giúp đặt bàn|dung 5 phut nua toi den|cho mình dời lịch|quý khách|đi dừng đi chơi|dung nhan vien do
"""


QUIET = QUIET_IN_ENGLISH + QUIET_IN_GERMAN + QUIET_IN_VIETNAMESE + QUIET_IN_OTHER_LANGUAGES


@each_of("text", _cells(QUIET))
def test_detects_nothing_in_ordinary_talk(text: str) -> None:
    assert detect_request(text) == Detection()


@each_of("text", _cells(REACTIONS))
def test_reaction_that_quotes_stop_requests_nothing(text: str) -> None:
    """A thumb on "Reply STOP to opt out" set off the alarm of possible opt-outs."""
    assert detect_request(text) == Detection()


@pytest.mark.parametrize(
    "text", ["“STOP”", "I said “STOP”", "«stop»", "Loved “your text” but stop texting me from now on, will you please"]
)
def test_quoted_stop_is_no_reaction(text: str) -> None:
    assert detect_request(text) != Detection()


@pytest.mark.parametrize("text", ["stop by", "Stop by at 5", "step", "shop", "top", "stop light", "Stop sign?"])
def test_words_near_stop_request_nothing(text: str) -> None:
    assert detect_request(text) == Detection()


def test_short_message_that_begins_with_stop_is_suspected() -> None:
    assert detect_request("stop the red blue green") == Detection(possible_opt_out=True)
    assert detect_request("stop the red blue green one") == Detection()


CASES = json.loads((Path(__file__).parents[2] / "payloads" / "keywords.json").read_text(encoding="utf-8"))


@each_of("case", CASES)
def test_detects_what_people_write(case: dict[str, Any]) -> None:
    detection = detect_request(case["text"])
    found = detection.request or ("possible_opt_out" if detection.possible_opt_out else "nothing")
    assert found in case["expected"]


@each_of("text", ["", " ", "🛑", "...", "\u200b", "please", "danke", "ạ", "1", "a b"])
def test_detects_nothing_without_words(text: str) -> None:
    assert detect_request(text) == Detection()


BESIDE = st.lists(
    st.sampled_from(["tomorrow", "the", "bus", "appointment", "3pm", "der", "Termin", "um", "xe", "lịch", "hẹn", "ở"]),
    min_size=1,
    max_size=5,
).map(" ".join)


@given(before=BESIDE, listed=st.sampled_from(LISTED), after=BESIDE, gap=st.sampled_from([" ", ", ", ". ", "\n"]))
def test_keyword_among_other_words_is_no_request(
    before: str, listed: tuple[str, Request], after: str, gap: str
) -> None:
    word, _ = listed
    for text in (before + gap + word, word + gap + after, gap.join((before, word, after))):
        assert detect_request(text).request is None, text


# Marketing alone

MARKETING_STOPS = """
    Stop promotions|STOP PROMOS|stop sending me offers please|Stop the ads|stop your marketing messages|no more ads
    Unsubscribe from Promos|unsubscribe from your marketing|Opt out of promotions|stop promotional texts|no more offers
    bitte keine Werbung|Keine Werbung mehr|no marketing please|stop advertising to me|basta promozioni|geen reclame
    pas de pub|stop pub svp|arrêtez la publicité
    Detener promociones|no mas promociones|Parar promoções|PARAR PROMOCOES|arrêter les promos
"""


@each_of("kind", ["text", "button"])
@each_of("text", _cells(MARKETING_STOPS))
def test_detects_stop_of_marketing_only(text: str, kind: str) -> None:
    """Reminders are still sent."""
    assert detect_request(text, kind).request is Request.STOP_MARKETING


# Buttons, and what has no words


@each_of("kind", ["button", "interactive"])
@each_of("text", ["Stop", "STOP ALL", "Unsubscribe", "Unsubscribe from all", "Opt out of all", "Abmelden", "Stop it"])
def test_detects_stop_on_a_button(text: str, kind: str) -> None:
    assert detect_request(text, kind).request is Request.STOP


@each_of("kind", ["button", "interactive"])
@each_of(
    "text",
    ["Cancel", "End", "Quit", "Remove", "TD", "Start", "START", "Info", "Help", "Hủy", "Change", "Bắt đầu", "Yes"],
)
def test_short_words_on_a_button_are_no_request(text: str, kind: str) -> None:
    """Under a reminder "Cancel" cancelled the appointment, and opted the person out; "Start" began a quiz, and undid a
    STOP.
    """
    assert detect_request(text, kind) == Detection()


def test_button_in_free_words_is_possible_opt_out() -> None:
    assert detect_request("Please make these messages stop", "button") == Detection(possible_opt_out=True)


@each_of("kind", ["location", "contacts", "reaction"])
@each_of("text", ["END.", "TD", "Stop", "Start", "Remove", "how do I unsubscribe"])
def test_location_card_and_reaction_request_nothing(text: str, kind: str) -> None:
    """A person shared a bar called "END.", and got no message any more."""
    assert detect_request(text, kind) == Detection()


@each_of("kind", ["text", "image", "video", "document", "order", "edit", "unsupported", "voice_note"])
def test_caption_counts_like_text(kind: str) -> None:
    assert detect_request("Stop", kind).request is Request.STOP


# A stop in somebody's own words

SUSPECTED = """
    I do not want to be reminded|I don't need to be reminded|sin recordatorios por favor
    không nhắc nữa|không cần nhắc nữa
    I don't want these messages|how do I unsubscribe|who is this? remove my number|I want off this list
    Take my number off, thanks|please make it stop|Reply STOP|STOP 12345|STOP to 12345|i want out|stop contact
    CANCEL ALL|Löschen|HUY DK|TC
    stop - Jordan Vale|stop already|STOP SENDING|Stop for now|STOP this is a work phone|STOP I mean it|stop you people
    don't text|do not text|can u stop|make it stop|add me to do not contact|cease and desist|screw off|STOPSTOP
    revoke please|quit now|unsubsribe|unsubscirbe|STPO|sotp|STPP|syop|stahp|abmeldne|abbestelen|disiscrivimmi|stop2quit
    Stop w/ the msgs|no longer interested, please remove|I never signed up|quit sending
    Please don't send me any more of these|stop werbung|nachrichten stop|bitte nicht schreiben
    bitte nichts mehr schicken|Widerruf|abmelden Jordan Vale
    bitte aus der Liste entfernen|Nervt nicht|Benachrichtigungen aus|Unterlassen Sie das|Schluss jetzt
    TC QC|TUCHOI|KHONG NHAN QC|đừng nt nữa|dung nt nua|dừng gửi|không cần nhắn nữa|tắt nhắc nhở|lấy số tôi ở đâu
    CANCELAR|ya basta|número equivocado|borren mis datos|mauvais numéro|assez de messages|para com isso
    numero sbagliato|cancella il mio numero per favore, grazie mille davvero|verkeerd nummer|opzeggen|to pomyłka|anuluj
    Stop texting me, I've asked you three times|Please take my name off your list|Wrong number, mate
    can you guys stop sending me these texts|please make these messages stop|I never signed up for these texts
    I am so tired of your messages|take me off your mailing list now or I call my lawyer|I already replied STOP
    Not interested, stop messaging|how can I stop getting these|No texts please|Hi, stop|no, stop!
    Can you stop?|I no longer wish to receive messages|I'd rather not get these texts|I don't wish to be contacted
    Please stop sending me things|I did not sign up for this|pls dont text anymore|I asked you to stop|stop msging me
    opt me out of your texts|How did you get my number?|this is spam|don't text me, call me|Help. Stop.
    hör auf mir zu schreiben|Hören Sie auf, mir zu schreiben|löschen Sie meine Nummer|Wie melde ich mich ab?
    Lösch bitte meine Telefonnummer|bitte nicht mehr anschreiben, Herr Meier|Ich möchte keine SMS mehr von Ihnen
    Ich will von euch keine Werbung bekommen|Bitte schicken Sie mir keine Nachrichten mehr|Wie kann ich mich abmelden?
    Wie kann ich die Nachrichten abbestellen?|Nein danke, keine Nachrichten mehr|Sie haben die falsche Nummer
    Könnt ihr mich bitte aus dem Verteiler nehmen|Lasst mich endlich in Ruhe mit dem Zeug|Ich will keine SMS
    Ich widerrufe meine Einwilligung|Ich möchte nicht mehr kontaktiert werden|Stoppen Sie die Nachrichten
    keine SMS bitte|Schluss damit|Kein Interesse, bitte melden Sie sich nicht mehr|Meine Nummer bitte löschen
    Sie sollen mir nie wieder schreiben|Können Sie meine Nummer löschen?|Melden Sie mich bitte vom Newsletter ab
    đừng gửi tin cho tôi nữa nhé shop|tôi không muốn nhận tin nhắn quảng cáo|ko muon nhan tin nhan nua
    shop ơi đừng nhắn tin cho em nữa|làm sao để hủy đăng ký?|xóa số của tôi đi|xoá số điện thoại của tôi
    Nhầm số rồi bạn ơi|sao nhắn hoài vậy|đừng làm phiền tôi nữa được không|Dừng gửi quảng cáo giùm tôi với
    Tôi muốn ngừng nhận tin từ cửa hàng|dung gui tin nhan cho toi nua shop|đừng spam nữa|đừng liên hệ với tôi nữa
    tôi không đăng ký nhận tin|không muốn nhận quảng cáo|phiền quá, đừng gửi nữa|Bỏ số tôi ra khỏi danh sách
    ЅТОР|ΣΤΟΡ|СТОП|ST0P|5TOP|stoppp|Stoooop|st op|unsub scribe|abmeldennn
    Please take my number out of your system|please drop me from your list|I don't want these anymore|discontinue
    unlist me|how do I make this stop|kill these texts|please cease all communication|no further contact please
    unenroll me|Don't send me any more|quit bugging me|you have the wrong guy|I'd like to be removed from this service
    plz stop txting|I've asked you to stop three times|stop it now or I will sue|enough already with the texts
    reporting this as spam
    Schluss mit den SMS|Ich will das nicht mehr|keine Nachrichten|Bitte nicht mehr melden|Nummer löschen
    Ich habe mich nie angemeldet|Lasst mich in Frieden|SMS bitte einstellen|hört auf mit den Nachrichten
    ¿Cómo me doy de baja?|quiero salir de la lista|no autorizo mensajes|número incorrecto|no más por favor
    les voy a denunciar|arrêtez ça|ce n'est pas mon numéro|résiliation|không nhận tin|không gửi nữa|sai số rồi
    làm phiền quá|quero sair|foi engano|cancelar cadastro|sem mensagens por favor|non contattatemi|fine messaggi
    smettete!|val me niet meer lastig|stuur niets meer|kap ermee met die berichten|ik wil dit niet meer
    dość tych smsów|proszę o wypisanie mnie|jak zrezygnować z smsów|nie wyrażam zgody|proszę nie wysyłać
    Please cancel|cancel, thanks|end now|hủy ạ|huỷ nhé|Ende|Abmeldung|kündigen|huy|dung|từ chối
"""


@each_of("text", _cells(SUSPECTED))
def test_stop_in_free_words_is_possible_opt_out(text: str) -> None:
    assert detect_request(text) == Detection(possible_opt_out=True)


# The lists


@pytest.fixture
def written_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Replace the lists of all locales by those of a test."""
    monkeypatch.setattr(lists, "FOLDER", tmp_path)
    caches = [value for value in vars(lists).values() if hasattr(value, "cache_clear")]

    def write(locale: str, text: str) -> None:
        (tmp_path / f"{locale}.txt").write_text(text, encoding="utf-8")
        for each in caches:
            each.cache_clear()

    yield write
    monkeypatch.undo()
    for each in caches:
        each.cache_clear()


def test_expands_templates_with_and_without_marks(written_lists: Callable[[str, str], None]) -> None:
    written_lists("vi", "# a comment\n[stop]\n(Dừng|NGỪNG) gửi( đi|)\n\n[help]\nhủy\n")
    assert list(lists.section_phrases("vi", "stop")) == [
        *("dừng gửi đi", "dừng gửi", "ngừng gửi đi", "ngừng gửi"),
        *("dung gui di", "dung gui", "ngung gui di", "ngung gui"),
    ]


def test_single_word_keeps_its_marks_in_vietnamese_only(written_lists: Callable[[str, str], None]) -> None:
    """Without them, "hủy" would be a name."""
    written_lists("vi", "[stop]\nhủy\n")
    written_lists("fr", "[stop]\narrêté\n")
    assert lists.phrase_set("stop") == {"hủy", "arrêté", "arrete"}


def test_finds_the_longer_of_two_phrases(written_lists: Callable[[str, str], None]) -> None:
    written_lists("vi", "[softeners]\nNo\nno more\nKhông\n")
    found = lists.words_pattern("softeners").findall("no more no nope không casino")
    assert found == ["no more", "no", "không"]


def test_every_locale_has_every_list() -> None:
    wanted = {*("stop", "stop_marketing", "start", "help", "courtesies", "softeners", "near misses", "misspelled")}
    wanted |= {*("reactions", "names", "cues", "possible opt-outs", *Answer)}
    found = {locale: wanted - sections.keys() for locale, sections in lists.sections().items()}
    missing = {locale: names for locale, names in found.items() if names}
    assert found.keys() >= {"de", "en", "es", "fr", "it", "nl", "pl", "pt", "vi"}
    assert missing == {"vi": {"misspelled", "stop_marketing"}}


def test_a_locale_may_have_a_few_lists_only(written_lists: Callable[[str, str], None]) -> None:
    written_lists("sv", "[stop]\navsluta\n\n[confirmed]\n(ja|absolut)\n")
    assert detect_request("Avsluta!").request is Request.STOP
    assert detect_request("vi hörs, sluta skicka sms").possible_opt_out is False
    assert list(lists.section_phrases("sv", Answer.CONFIRMED)) == ["ja", "absolut"]


def test_no_phrase_contains_a_courtesy() -> None:
    """A message is compared without its courtesies, so such a phrase would never match."""
    assert [phrase for phrase in PHRASES if strip_courtesies(phrase) != phrase] == []


PATTERNS = [
    (locale, line) for locale, found in lists.sections().items() for line in found["possible opt-outs"].splitlines()
]


@pytest.mark.slow
@pytest.mark.parametrize(("locale", "line"), PATTERNS)
@given(data=st.data())
@settings(max_examples=5, derandomize=True, suppress_health_check=list(HealthCheck), deadline=None)
def test_every_pattern_contains_a_cue(locale: str, line: str, data: st.DataObject) -> None:
    """A pattern without a cue would never be compiled."""
    names = dict(each.split(" = ", 1) for each in lists.sections()[locale]["names"].splitlines())
    pattern = re.sub(r"<(\w+)>", lambda name: names[name[1]], line)
    matching = data.draw(st.from_regex(re.compile(pattern)))
    cues = lists.sections()[locale]["cues"].split()
    assert any(cue in remove_marks(matching) for cue in cues)


# How it is kept


@given(st.text() | st.text("oaeuyq\u0300\u0301\u0309\u0303\u0323\u0308\u0336\u200b'´’ʼŉßİäöüỷđ각\u20e3🅾.- "))
@example("\N{HANGUL CHOSEONG KIYEOK}\N{COMBINING ENCLOSING KEYCAP}\N{HANGUL JUNGSEONG A}")
def test_normalise_is_idempotent(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (" Huỷ  ĐĂNG-KÝ! ", "hủy đăng ký"),
        ("quý khách hoà hoãn", "quý khách hòa hoãn"),
        ("Straße, Köln", "strasse koeln"),
        ("I’d", "id"),
        ("①ﬁ", "1fi"),
    ],
)
def test_text_has_one_plain_form(text: str, plain: str) -> None:
    assert normalise(text) == plain


def test_no_keyword_has_two_requests() -> None:
    names = {request: (request.value, f"{request} exact") for request in Request}
    listed = {request: frozenset().union(*map(lists.phrase_set, found)) for request, found in names.items()}
    assert [one & other for one, other in combinations(listed.values(), 2)] == [frozenset()] * 6
    assert not any("" in those for those in listed.values())


def test_detection_names_the_keyword_alone() -> None:
    assert detect_request("Please, STOP!! 🙏") == Detection(Request.STOP, "stop")


def test_text_over_the_limit_is_no_keyword() -> None:
    assert detect_request("stop".ljust(MAX_LENGTH)).request is Request.STOP
    assert detect_request("stop".ljust(MAX_LENGTH + 1)) == Detection(possible_opt_out=True)
    assert detect_request("stop".ljust(MAX_LENGTH) + "by on Friday").request is None


def _all_patterns() -> str:
    return "|".join(lists.possible_opt_outs(locale).pattern for locale in lists.sections())


@each_of(
    "unit",
    [
        *("a", " ", "stop ", "s ", "please ", "not want ", "mich ", "bitte mir uns keine ", "đừng gửi ", "liked "),
        *("a\u0301\u0323", "\u0301\u0323", "\ufdfa", "\u200b", "."),
        " ".join(random.Random(7).choices(re.findall(r"\w{2,}", _all_patterns()), k=9000)),
    ],
    # mutmut finds no test by an escape
)
def test_long_text_takes_bounded_time(unit: str) -> None:
    text = (unit * (65536 // len(unit) + 1))[:65536]
    started = time.process_time()
    detect_request(text)
    assert time.process_time() - started < 2


def test_no_pattern_repeats_words_without_bound() -> None:
    """Only the letters within one word repeat freely."""
    free = re.findall(r"(?<!\\w)[*+]|\{\d+,\}", _all_patterns())
    assert free == []
