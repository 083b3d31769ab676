"""A STOP that is ignored and a STOP that is imagined are both incidents."""

import random
import re
import time
import unicodedata
from itertools import combinations
from typing import Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reengage.domain import words
from reengage.domain.words import ALONE, LONGEST, PHRASES, Asked, Request, asked, normalised

LISTED = [(request, word) for table in (ALONE, PHRASES) for request in Request for word in sorted(table[request])]

STOPS = """
    STOP|STOPALL|STOP ALL|UNSUBSCRIBE|CANCEL|END|QUIT|REVOKE|OPTOUT|OPT-OUT|OPT OUT|REMOVE|ARRET|ARRÊT|TD
    stop texting me|please unsubscribe me|unsubscribe me|stop messaging me|please stop|stop it|no more texts please
    don't text me|dont contact me|do not message me|leave me alone|take me off your list|please opt me out
    could you please stop texting me|I want to unsubscribe|stop sending me messages|remove me from your list
    STOPP|abmelden|abbestellen|bitte stopp|stopp danke|bitte abmelden|bitte aufhören|hören Sie bitte endlich auf
    keine Nachrichten mehr|bitte keine SMS mehr|bitte keine Werbung|Schreiben Sie mir bitte nicht mehr
    bitte nicht mehr schreiben|Lassen Sie mich in Ruhe|ich möchte mich abmelden|ich moechte mich abmelden
    DỪNG|NGỪNG|HỦY|HUỶ|ngung|dừng lại|dừng nhé|stop ạ|hủy đăng ký|huỷ đăng ký|huy dang ky|ngừng nhắn tin
    vui lòng ngừng nhắn tin cho tôi|đừng nhắn tin cho tôi nữa|dung nhan tin nua|không nhận tin nữa
    xin đừng liên lạc nữa ạ|từ chối quảng cáo|ngung nhan tin cho toi|đừng làm phiền tôi nữa
"""
STARTS = "START|UNSTOP|wieder anmelden|bắt đầu|bat dau|opt me back in please|start texting me again"
HELPS = "HELP|INFO|hilfe|Hilfe bitte|trợ giúp|tro giup|giúp em với ạ|help me please|giúp tôi"


def _cells(table: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"[|\n]", table) if cell.strip()]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("text", _cells(STOPS))
def test_a_stop_is_heard(text: str, form: Literal["NFC", "NFD"]) -> None:
    for said in (text, text.upper(), text.lower(), text.title()):
        assert asked(unicodedata.normalize(form, said)).request is Request.STOP, said


@pytest.mark.parametrize(
    ("request_", "text"),
    [(request, text) for request, table in ((Request.START, STARTS), (Request.HELP, HELPS)) for text in _cells(table)],
)
def test_a_start_and_a_call_for_help_are_heard(request_: Request, text: str) -> None:
    assert asked(text).request is request_


@pytest.mark.parametrize(
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
def test_a_stop_is_heard_however_it_is_written(text: str) -> None:
    assert asked(text).request is Request.STOP


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
def test_every_listed_word_is_heard_in_any_dress(data: st.DataObject, listed: tuple[Request, str]) -> None:
    request, word = listed
    dressed = [data.draw(_other_writing(character)) + data.draw(UNSEEN) for character in word]
    text = data.draw(AROUND) + "".join(dressed) + data.draw(AROUND)
    assert asked(text) == Asked(request, word)


def test_every_listed_word_is_heard_as_it_is_listed() -> None:
    assert [(asked(word).request, word) for _, word in LISTED] == LISTED


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
    Anmelden|đăng ký lại|Ist er quitt?
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


@pytest.mark.parametrize("text", _cells(QUIET_IN_ENGLISH) + _cells(QUIET_IN_GERMAN) + _cells(QUIET_IN_VIETNAMESE))
def test_ordinary_talk_asks_nothing(text: str) -> None:
    assert asked(text) == Asked()


@pytest.mark.parametrize("text", ["", " ", "🛑", "...", "\u200b", "please", "danke", "ạ", "1", "a b"])
def test_no_words_ask_nothing(text: str) -> None:
    assert asked(text) == Asked()


BESIDE = st.lists(
    st.sampled_from(["tomorrow", "the", "bus", "appointment", "3pm", "der", "Termin", "um", "xe", "lịch", "hẹn", "ở"]),
    min_size=1,
    max_size=5,
).map(" ".join)


@given(before=BESIDE, listed=st.sampled_from(LISTED), after=BESIDE, gap=st.sampled_from([" ", ", ", ". ", "\n"]))
def test_a_listed_word_within_other_words_asks_nothing(
    before: str, listed: tuple[Request, str], after: str, gap: str
) -> None:
    _, word = listed
    for text in (before + gap + word, word + gap + after, gap.join((before, word, after))):
        assert asked(text).request is None, text


# Marketing alone

MARKETING_STOPS = """
    Stop promotions|STOP PROMOS|stop sending me offers please|Stop the ads|stop your marketing messages|no more ads
    Unsubscribe from Promos|unsubscribe from your marketing|Opt out of promotions|stop promotional texts|no more offers
    Detener promociones|no mas promociones|Parar promoções|PARAR PROMOCOES|arrêter les promos
"""


@pytest.mark.parametrize("kind", ["text", "button"])
@pytest.mark.parametrize("text", _cells(MARKETING_STOPS))
def test_a_stop_of_marketing_is_no_more_than_that(text: str, kind: str) -> None:
    """Its reminders are still welcome."""
    assert asked(text, kind).request is Request.STOP_MARKETING


# Buttons, and what has no words


@pytest.mark.parametrize("kind", ["button", "interactive"])
@pytest.mark.parametrize(
    "text", ["Stop", "STOP ALL", "Unsubscribe", "Unsubscribe from all", "Opt out of all", "Abmelden", "Stop it"]
)
def test_a_button_that_says_so_in_so_many_words_is_a_stop(text: str, kind: str) -> None:
    assert asked(text, kind).request is Request.STOP


@pytest.mark.parametrize("kind", ["button", "interactive"])
@pytest.mark.parametrize(
    "text",
    ["Cancel", "End", "Quit", "Remove", "TD", "Start", "START", "Info", "Help", "Hủy", "Change", "Bắt đầu", "Yes"],
)
def test_a_button_is_about_what_its_message_was_about(text: str, kind: str) -> None:
    """Under a reminder "Cancel" cancelled the appointment, and opted the person out; "Start" began a quiz, and undid a
    STOP.
    """
    assert asked(text, kind) == Asked()


def test_a_button_that_says_it_in_other_words_is_suspected() -> None:
    assert asked("Please make these messages stop", "button") == Asked(suspected=True)


@pytest.mark.parametrize("kind", ["location", "contacts", "reaction"])
@pytest.mark.parametrize("text", ["END.", "TD", "Stop", "Start", "Remove", "how do I unsubscribe"])
def test_a_place_a_card_or_a_thumb_asks_nothing(text: str, kind: str) -> None:
    """A bar called "END." was shared, and nobody wrote to the person again."""
    assert asked(text, kind) == Asked()


@pytest.mark.parametrize("kind", ["text", "image", "video", "document", "order", "edit", "unsupported", "voice_note"])
def test_what_somebody_wrote_counts_with_whatever_it_came(kind: str) -> None:
    assert asked("Stop", kind).request is Request.STOP


# A stop in somebody's own words

SUSPECTED = """
    I don't want these messages|how do I unsubscribe|who is this? remove my number|I want off this list
    Take my number off, thanks|please make it stop|Reply STOP|STOP 12345|STOP to 12345|i want out|stop contact
    CANCEL ALL|Löschen|HUY DK|TC
    Stop texting me, I've asked you three times|Please take my name off your list|Wrong number, mate
    can you guys stop sending me these texts|please make these messages stop|I never signed up for these texts
    I am so tired of your messages|take me off your mailing list now or I call my lawyer|I already replied STOP
    Not interested, stop messaging|how can I stop getting these|cancel all messages|No texts please|Hi, stop|no, stop!
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
    Please cancel|cancel, thanks|end now|hủy ạ|huỷ nhé|Ende|Abmeldung|kündigen|huy|dung|từ chối
"""


@pytest.mark.parametrize("text", _cells(SUSPECTED))
def test_a_stop_in_other_words_is_suspected(text: str) -> None:
    assert asked(text) == Asked(suspected=True)


# How the lists are written out


def test_a_template_stands_for_each_choice_and_a_phrase_for_its_unmarked_form_too() -> None:
    assert list(words._written_out("(Dừng|NGỪNG) gửi( đi|)")) == [
        *("dừng gửi đi", "dung gui di", "dừng gửi", "dung gui"),
        *("ngừng gửi đi", "ngung gui di", "ngừng gửi", "ngung gui"),
    ]


def test_a_single_word_loses_no_marks() -> None:
    """Without them, "hủy" would be a name."""
    assert list(words._written_out("hủy")) == ["hủy"]


def test_of_two_phrases_that_begin_alike_the_longer_is_found() -> None:
    found = words._any_of(("No", "no more", "Không"))
    assert found.findall("no more no nope không casino") == ["no more", "no", "không"]


# How it is kept


@given(st.text() | st.text("oaeuyq\u0300\u0301\u0309\u0303\u0323\u0308\u0336\u200b'´’ʼŉßİäöüỷđ각\u20e3🅾.- "))
@example("\N{HANGUL CHOSEONG KIYEOK}\N{COMBINING ENCLOSING KEYCAP}\N{HANGUL JUNGSEONG A}")
def test_to_normalise_twice_is_to_normalise_once(text: str) -> None:
    once = normalised(text)
    assert normalised(once) == once


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
def test_a_text_has_one_plain_form(text: str, plain: str) -> None:
    assert normalised(text) == plain


def test_no_word_asks_two_things() -> None:
    listed = {request: ALONE[request] | PHRASES[request] for request in Request}
    assert [one & other for one, other in combinations(listed.values(), 2)] == [frozenset()] * 6
    assert not any("" in those for those in listed.values())


def test_the_words_asked_in_are_told_without_what_is_around_them() -> None:
    assert asked("Please, STOP!! 🙏") == Asked(Request.STOP, "stop")


def test_what_is_too_long_for_a_listed_word_is_none() -> None:
    assert asked("stop".ljust(LONGEST)).request is Request.STOP
    assert asked("stop".ljust(LONGEST + 1)) == Asked(suspected=True)
    assert asked("stop".ljust(LONGEST) + "by on Friday").request is None


@pytest.mark.parametrize(
    "unit",
    [
        *("a", " ", "stop ", "s ", "please ", "not want ", "mich ", "bitte mir uns keine ", "đừng gửi ", "liked "),
        *("a\u0301\u0323", "\u0301\u0323", "\ufdfa", "\u200b", "."),
        " ".join(random.Random(7).choices(re.findall(r"\w{2,}", words._SUSPICIOUS.pattern), k=9000)),
    ],
    ids=lambda unit: " ".join(f"{ord(character):x}" for character in unit[:6]),  # mutmut finds no test by an escape
)
def test_a_long_text_is_no_long_work(unit: str) -> None:
    text = (unit * (65536 // len(unit) + 1))[:65536]
    started = time.process_time()
    asked(text)
    assert time.process_time() - started < 2


def test_no_pattern_repeats_without_bound_over_words() -> None:
    """What is repeated freely is within one word."""
    free = re.findall(r"(?<!\\w)[*+]|\{\d+,\}", words._SUSPICIOUS.pattern)
    assert free == []
