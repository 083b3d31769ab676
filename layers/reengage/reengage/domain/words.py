"""What an inbound message asks of us: to stop, to stop marketing, to start again, for help, or nothing of the kind.

What is listed counts only as the whole message: "I can't stop by on Friday" is no opt-out, "when does it start?" no
opt-in. The first words are those of CTIA's Messaging Principles and Best Practices and of the lists that AWS End User
Messaging and Twilio answer by default; the others are each locale's own. All locales count for everybody, for nobody
asks in which language somebody stops. A button asks less than words that somebody wrote: on one, "Cancel" is about an
appointment and "Start" about a quiz. A place, a card or a thumb asks nothing, whatever is written on it.

Some words are left out, for they say other things more often:

- German "Ende" may answer "at the start or the end of May?", "nein" and "aus" nearly anything, "kündigen" is about a
  contract. The first and the last are suspected.
- Vietnamese "dung" without its marks may be "đúng" (right) or a name, "huy" a name. Both are suspected.
- START takes no YES, no "anmelden" and no "đăng ký lại" (to register again): they answer other questions, about a
  course, say, and would undo a STOP.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from itertools import chain, product
from types import MappingProxyType
from typing import Final, NamedTuple


class Request(StrEnum):
    STOP = "stop"
    STOP_MARKETING = "stop_marketing"
    START = "start"
    HELP = "help"


class Asked(NamedTuple):
    """``request`` with the listed words that it was asked in; ``suspected``: looks like a stop, and is not listed."""

    request: Request | None = None
    words: str = ""
    suspected: bool = False


LONGEST: Final = 4096
"""WhatsApp's limit. What is longer is no listed word, and only its head is looked at: to compose marks is quadratic."""


def asked(text: str, kind: str = "text") -> Asked:
    """What a message asks, by its whole text, whatever its case, punctuation, or way of writing letters. ``kind`` is
    the message's.
    """
    if kind in _WORDLESS or _REACTION.match(text):
        return Asked()
    if kind in _BUTTONS:
        return pressed(text)
    sentences = _sentences(text[:LONGEST])
    listed = _listed(sentences) if len(text) <= LONGEST else None
    return listed or Asked(suspected=_is_suspected(sentences))


def pressed(text: str) -> Asked:
    """What a button asks, by its label or by what a business wrote behind it: to stop, in so many words, or nothing."""
    sentences = _sentences(text[:LONGEST])
    return _phrased(sentences, _STOPS) or Asked(suspected=_is_suspicious(sentences))


def normalised(text: str) -> str:
    """Letters and digits in one plain form of each, one space between words, nothing around them."""
    return " ".join(_sentences(text))


_WORDLESS: Final = frozenset({"location", "contacts", "reaction"})
_BUTTONS: Final = frozenset({"button", "interactive"})
_STOPS: Final = (Request.STOP, Request.STOP_MARKETING)

# How letters are made plain

_APOSTROPHES: Final = "'’‘ʼ`´′＇"  # noqa: RUF001 - all that phones write for one
_INVISIBLE: Final = "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0"
"""They count as letters or marks, and show nothing."""

_BLACK_LETTERS: Final = {first + n: chr(ord("a") + n) for first in (0x1F150, 0x1F170) for n in range(26)}
"""Letters in a black circle or square: symbols, for Unicode."""

_UMLAUTS: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})

# Vietnamese puts the tone of an open syllable on the one vowel or on the other: "huỷ" is "hủy".
_TONES: Final = dict(
    pair.split("/")
    for pair in (
        *("oà/òa", "oá/óa", "oả/ỏa", "oã/õa", "oạ/ọa", "oè/òe", "oé/óe", "oẻ/ỏe", "oẽ/õe", "oẹ/ọe"),
        *("uỳ/ùy", "uý/úy", "uỷ/ủy", "uỹ/ũy", "uỵ/ụy"),
    )
)
_TONE: Final = re.compile(rf"(?<!q)(?:{'|'.join(_TONES)})(?!\w)")

_BREAK: Final = re.compile(r"[.!?;:,\r\n]")
_WORD: Final = re.compile(r"[^\W_]+")


def _sentences(text: str) -> list[str]:
    """The words of each part between marks that end or part a sentence."""
    sentences = (" ".join(_WORD.findall(part)) for part in _BREAK.split(_plain(text)))
    return [sentence for sentence in sentences if sentence]


def _plain(text: str) -> str:
    """Marks that compose no letter, such as a strikethrough or an emoji's selector, go after the others have."""
    seen = "".join(filter(_is_seen, text)).translate(_BLACK_LETTERS)
    folded = unicodedata.normalize("NFKC", seen).casefold()
    letters = "".join(c for c in folded if _is_seen(c) and not unicodedata.category(c).startswith("M"))
    composed = unicodedata.normalize("NFC", letters).translate(_UMLAUTS)
    return _TONE.sub(lambda tone: _TONES[tone[0]], composed)


def _is_seen(character: str) -> bool:
    """An apostrophe counts as unseen, for "dont" is "don't"."""
    return unicodedata.category(character) != "Cf" and character not in _APOSTROPHES + _INVISIBLE


# What is listed. "(a|b) c" stands for "a c" and "b c", and does not nest. A phrase counts without Vietnamese marks too.

_ALONE: Final[Mapping[Request, tuple[str, ...]]] = {
    Request.STOP: ("cancel", "end", "quit", "revoke", "remove", "td", "arret", "arrêt", "hủy"),
    Request.START: ("start", "unstop", "bắt đầu"),
    Request.HELP: ("info",),
}
"""These have nothing beside them: "please cancel" and "hủy nhé" are as likely about an appointment."""

_PHRASES: Final[Mapping[Request, tuple[str, ...]]] = {
    Request.STOP: (
        "(stop|stop all|stopall|unsubscribe|unsub|unsubcribe|unsuscribe|unsubscibe|opt out|optout|opt-out)",
        "stop (it|this)",
        "(stop|quit) (texting|messaging|contacting|spamming|bothering|writing|writing to) me( again| anymore|)",
        "stop (texting|messaging|spamming)",
        "(unsubscribe|opt out|opt me out|stop) (from |of |)(all|everything|all messages)",
        "stop (sending |sending me |)(the |these |all |your |)(messages|texts|text messages|sms|spam)",
        "(can|could|will|would) you (unsubscribe me|opt me out|stop texting me|stop messaging me|stop contacting me)",
        "(do not|don't|never) (text|message|contact|write|write to|sms) me( again| anymore| any more| ever again|)",
        "(do not|don't) send me (any|any more|more) (messages|texts|text messages|sms)",
        "no more (messages|texts|text messages|sms|spam)",
        "i (do not|don't) want (any more|more) (messages|texts|text messages|sms)",
        "(unsubscribe|remove) me( from this list| from the list| from your list| from your mailing list|)",
        "take me off( of|) (this|the|your) (list|mailing list)",
        "opt me out",
        "(i want|i would like|i'd like|i wish) to (unsubscribe|opt out|be removed)",
        "leave me alone",
        # German
        "(stopp|stoppen|abmelden|abbestellen|austragen|aufhören)",
        "(mich|ich möchte mich|ich will mich|ich würde mich gerne) (abmelden|austragen)",
        "(meld|meldet|melden sie) mich ab",
        "(nachrichten|newsletter|sms|werbung) (abbestellen|stoppen)",
        "keine (nachrichten|sms|werbung|spam) mehr( senden| schicken|)",
        "keine weiteren (nachrichten|sms)( senden| schicken|)",
        "keine werbung",
        "ich (möchte|will) keine (nachrichten|sms|werbung) mehr( erhalten| bekommen|)",
        "(schreib|schreibt|schreiben sie) mir (nicht mehr|nie wieder|keine nachrichten mehr)",
        "(mir |)nicht mehr (schreiben|anschreiben|kontaktieren)",
        "(kontaktiert|kontaktieren sie) mich nicht mehr",
        "(hör|hört|hören sie) auf( damit|)",
        "(lass|lasst|lassen sie) mich in ruhe",
        # Vietnamese
        "(dừng|ngừng|ngưng|ngung)( lại|)",
        "(hủy|bỏ) (đăng ký|nhận tin|nhận tin nhắn|tin nhắn)",
        "từ chối (nhận tin|nhận tin nhắn|tin nhắn|quảng cáo|nhận quảng cáo)",
        "(dừng|ngừng|ngưng) (nhắn|gửi|nhận) tin( nhắn|)( cho tôi| cho mình| cho em|)( nữa|)",
        "đừng (nhắn|nhắn tin|gửi tin|gửi tin nhắn|liên lạc)( cho tôi| cho mình| cho em|) nữa",
        "(tôi |mình |em |)không (muốn |)nhận tin( nhắn|) nữa",
        "đừng làm phiền( tôi| mình|)( nữa|)",
    ),
    # As buttons of marketing templates have it, in the languages that these are often in.
    Request.STOP_MARKETING: (
        "stop (sending |sending me |)(the |these |all |your |)(promotions|promos|offers|marketing|ads|advertising)",
        "stop (sending |sending me |)(the |these |all |your |)(promotional|marketing) (messages|texts|offers)",
        "(unsubscribe|opt out) (from|of) (the |these |all |your |)(promotions|promos|offers|marketing|ads|advertising)",
        "(unsubscribe|opt out) (from|of) (the |these |all |your |)(promotional|marketing) (messages|texts|offers)",
        "no more (promotions|promos|offers|marketing|ads|advertising|promotional messages|marketing messages)",
        "(detener|parar|no más) promociones",
        "(parar|interromper|cancelar|chega de) promoções",
        "(arrêter|stopper) les (promotions|promos)",
    ),
    Request.START: (
        "(resubscribe|resubscribe me|opt in|opt back in|opt me in|opt me back in)",
        "start (texting|messaging) me again",
        "wieder anmelden",
        "(nhận tin lại|nhận lại tin nhắn)",
    ),
    Request.HELP: ("help( me|)", "hilfe", "(trợ giúp|giúp|giup|giúp đỡ)", "giúp (tôi|mình|em|anh|chị)( với|)"),
}

_COURTESIES: Final = (
    *("please", "pls", "plz", "kindly", "thanks", "thank you", "thx", "ty", "very much", "now", "immediately", "asap"),
    *("bitte", "danke", "danke schön", "dankeschön", "vielen dank", "jetzt", "sofort", "endlich", "mal", "doch"),
    *("ạ", "nhé", "nhe", "nha", "đi", "giùm", "ngay", "xin", "hãy", "vui lòng", "làm ơn", "cảm ơn", "cám ơn"),
    *("vui long", "lam on", "cam on"),
)
"""Words of politeness and of emphasis, with which a phrase asks the same."""

_GREETINGS: Final = (
    *("hi", "hey", "hello", "no", "ok", "okay", "yes", "just", "i said", "hallo", "nein", "ich sagte"),
    *("can you", "could you", "will you", "would you", "i want you to", "können sie", "könnt ihr", "kannst du"),
    *("alo", "shop", "shop ơi", "em ơi", "giúp tôi", "giúp mình", "giúp em", "cho tôi", "cho mình", "cho em"),
)
"""With one of these beside it a listed word is a suspicion only."""


def _written_out(template: str) -> Iterator[str]:
    choices = (part.split("|") for part in re.split(r"[()]", template))
    for chosen in product(*choices):
        phrase = normalised("".join(chosen))
        yield phrase
        if " " in phrase:
            yield _unmarked(phrase)


def _unmarked(text: str) -> str:
    """As Vietnamese is written in haste. Of a phrase only: a single word would be too many others."""
    letters = unicodedata.normalize("NFD", text).replace("đ", "d")
    return "".join(c for c in letters if not unicodedata.category(c).startswith("M"))


def _any_of(phrases: tuple[str, ...]) -> re.Pattern[str]:
    longer_first = sorted(map(normalised, phrases), reverse=True)  # of two that begin alike
    return re.compile(rf"\b(?:{'|'.join(longer_first)})\b")


_COURTESY: Final = _any_of(_COURTESIES)
_GREETING: Final = _any_of(_GREETINGS)


def _core(words: str) -> str:
    """Without courtesies, and a word said again and again said once."""
    return _once(" ".join(_COURTESY.sub("", words).split()))


def _once(words: str) -> str:
    """A word repeated, and one spelled letter by letter, is that word."""
    parts = words.split()
    if all(len(part) == 1 for part in parts):
        return "".join(parts)
    return parts[0] if len(set(parts)) == 1 else words


ALONE: Final[Mapping[Request, frozenset[str]]] = MappingProxyType(
    {request: frozenset(chain(*map(_written_out, _ALONE.get(request, ())))) for request in Request}
)
PHRASES: Final[Mapping[Request, frozenset[str]]] = MappingProxyType(
    {request: frozenset(map(_core, chain(*map(_written_out, templates)))) for request, templates in _PHRASES.items()}
)


def _listed(sentences: list[str]) -> Asked | None:
    """A listed word as all there is; else one request in each sentence, those of mere politeness aside."""
    word = _once(" ".join(sentences))
    alone = next((Asked(request, word) for request in Request if word in ALONE[request]), None)
    return alone or _phrased(sentences, Request)


def _phrased(sentences: list[str], requests: Iterable[Request]) -> Asked | None:
    word = _once(" ".join(sentences))
    cores = [core for core in map(_core, sentences) if core]
    for request in requests:
        if " " not in word and word in PHRASES[request]:
            return Asked(request, word)
        if cores and PHRASES[request].issuperset(cores):
            return Asked(request, cores[0])
    return None


# What looks like a stop. Each pattern takes a bounded number of words, so the work grows with the text's length only.

_MESSAGES: Final = (
    r"(?:messages?|msgs?|texts?|sms|reminders?|ads?|adverts?|offers?|promos?|promotions?|marketing|spam|newsletters?"
    r"|notifications?|alerts?)"
)
_THESE: Final = r"(?:(?:me|us|all|any|the|these|this|those|your|such|of|with|more|further|future|damn|stupid) ){0,4}"
_NACHRICHTEN: Final = (
    r"(?:nachricht(?:en)?|sms|werbung|werbe\w*|spam|erinnerung(?:en)?|newsletter|angebote|benachrichtigung(?:en)?)"
)
_NO_CLASS: Final = r"(?:(?!termin|kurs|training|unterricht|yoga|kind|sohn|tochter)\w+ ){0,4}?"
_TIN: Final = r"(?:tin|tn|sms|quảng cáo|qc|thông báo)"
_TOI: Final = r"(?:tôi|tui|mình|em|anh|chị|cháu|tao)"

_IN_ENGLISH: Final = (
    r"unsubscrib\w*|unsub|optout|opt(?:ed|ing)? (?:me |us )?out(?! of)",
    rf"opt(?:ed|ing)? (?:me |us )?out of (?:(?:receiving )?{_THESE}{_MESSAGES}|(?:it|this|these|everything)$)",
    r"(?<!dont )(?<!not )(?<!never )(?:stop|quit) (?:texting|messaging|msging|contacting|spamming|bothering)",
    r"(?:stop|quit) (?:calling|writing|writing to) (?:me|us)",
    rf"(?<!bus )(?:stop|quit) (?:sending |getting |receiving )?{_THESE}{_MESSAGES}",
    rf"(?:these|the|your|this|those) {_MESSAGES} (?:to |must |need to |should |have to )?stop",
    r"i (?:\w+ )?(?:replied|said|sent|texted|typed|wrote) (?:\w+ )?stop(?: already| before| twice| \w+ times)?$",
    (
        r"(?<!you )(?:dont|do not|never) (?:ever |please )?(?:text|message|contact|sms|spam|bother|write|write to) "
        r"(?:me|us|this number)(?! back| off)"
    ),
    rf"(?<!you )(?:dont|do not|never) (?:ever |please )?send {_THESE}(?:{_MESSAGES}|anything)",
    (
        r"(?:dont|do not|didnt|did not|never|not|no longer) (?:\w+ )?(?:want|wish|need|care|sign up|signed up|ask|asked"
        rf"|interested|agree|agreed|consent|consented) (?:(?!miss|lose)\w+ ){{0,4}}?{_MESSAGES}"
    ),
    (
        r"(?:dont|do not|no longer) (?:want|wish) (?:to (?:hear from|be contacted|be texted|be messaged)"
        r"|you to (?:contact|text|message|write))"
    ),
    r"(?:remove|delete|erase) (?:me|us|my (?:\w+ ){0,2}?(?:number|phone|contact|details|data|info|information))",
    r"take (?:me|us|my name|my number|this number) off(?: (?:of )?(?:the|your|this|all)|$)",
    r"off (?:of )?(?:your|this) list$|(?:please|you) make (?:it|this|them) stop$",
    rf"no more (?:\w+ )?{_MESSAGES}|^no {_MESSAGES}$|rather not (?:get|receive) {_THESE}{_MESSAGES}",
    rf"stop (?:getting|receiving) (?:these|those|them)$|stop sending {_THESE}(?:things|stuff)",
    r"(?:asked|told|asking|telling) you (?:\w+ )?to stop$",
    r"(?:not|never|didnt) (?:sign|signed) up for (?:this|these|it)$",
    r"(?<!you )(?:dont|do not|never) (?:text|message|msg|contact) (?:anymore|any more|again)",
    rf"(?:cancel|end|disable|mute|turn off) (?:(?:my|the|this|these|all|your) ){{0,2}}(?:subscription|{_MESSAGES})",
    rf"(?:too many|so many|enough|sick of|tired of|fed up with) {_THESE}{_MESSAGES}",
    r"leave (?:me|us) alone|lose my number|wrong (?:number|person)|fuck off|piss off|^(?:just )?(?:go away|get lost)$",
    r"(?:(?:this|that) is|its|reported? (?:\w+ )?as) spam|spamming|harass\w*",
    r"(?:block|report)(?:ing)? (?:you|this number)",
    r"(?:how|where) did you get (?:my|this) number|who gave you (?:my|this) number",
    r"(?:revoke|withdraw) (?:my )?consent|gdpr|tcpa|^stop (?:to )?\d{3,6}$",
)
_IN_GERMAN: Final = (
    rf"(?:mich|uns) {_NO_CLASS}(?:abmelden|abmelde|austragen)",
    rf"(?:meld|trag)\w* (?:sie |ihr |ich )?mich {_NO_CLASS}(?:ab|aus)$",
    rf"wie (?:kann|koennen) {_NO_CLASS}(?:abbestellen|abmelden)",
    (
        rf"(?:{_NACHRICHTEN}|abo) (?:\w+ ){{0,2}}?"
        r"(?:ab(?:zu)?bestellen|abstellen|stoppen|abmelden|ausschalten|beenden|kuendigen)"
    ),
    rf"stopp\w* (?:\w+ ){{0,2}}?{_NACHRICHTEN}|zu viele? {_NACHRICHTEN}",
    (
        r"hoer\w* (?:sie |ihr )?(?:\w+ ){0,2}?auf (?:\w+ ){0,3}?(?:zu )?"
        r"(?:schreiben|anzuschreiben|schicken|senden|nerven|kontaktieren|spammen)"
    ),
    (
        r"(?:mir|mich|uns|bitte) (?:\w+ ){0,2}?(?:nicht|nie) (?:mehr|wieder|laenger) (?:\w+ ){0,2}?"
        r"(?:schreib\w*|anschreib\w*|kontaktier\w*|belaestig\w*)"
    ),
    (
        r"(?:schreib|kontaktier|belaestig)\w* (?:sie |ihr )?(?:mir|mich|uns) (?:\w+ ){0,2}?"
        r"(?:nicht mehr|nicht wieder|nie wieder|nie mehr|keine|nicht$)"
    ),
    r"(?:nicht mehr|nie wieder|nicht laenger) (?:kontaktiert|angeschrieben|belaestigt) werden",
    r"^nie wieder (?:schreiben|anschreiben|kontaktieren)|(?:will|moechte) das nicht mehr (?:bekommen|erhalten)",
    (
        r"(?:will|moechte|wollen|moechten|wuensche|brauche|bitte) (?:\w+ ){0,3}?keine? (?:\w+ ){0,2}?"
        rf"{_NACHRICHTEN}\b(?! (?:verpassen|versaeumen))"
    ),
    (
        r"(?<!warum )(?<!wieso )(?<!weshalb )(?:schick|send)\w* (?:sie |ihr |bitte ){0,2}(?:mir|uns) (?:\w+ ){0,2}?"
        rf"keine? (?:\w+ ){{0,2}}?{_NACHRICHTEN}"
    ),
    rf"^keine (?:\w+ )?{_NACHRICHTEN} (?:\w+ ){{0,2}}?mehr|^keine? {_NACHRICHTEN} bitte",
    r"bitte meld\w* (?:sie )?(?:sich|euch|dich) nicht mehr",
    r"(?:loesch|entfern|streich)\w* (?:sie |ihr |bitte ){0,2}(?:mich|mein\w* (?:\w+ )?(?:\w*nummer|daten|kontakt\w*))",
    r"(?:mich|meine (?:\w+ )?(?:\w*nummer|daten)) (?:\w+ ){0,4}?(?:loeschen|entfernen)",
    r"mich (?:\w+ ){0,2}?(?:aus|von) (?:der|ihrer|eurer|dem|ihrem|eurem) (?:liste|\w*verteiler)",
    r"(?:lass|lasst|lassen|lasse) (?:sie |ihr )?(?:mich|uns) (?:\w+ ){0,2}?in ruhe\b(?! \w+en\b)",
    r"(?:das ist|nur|reiner|der|dieser|euren|ihren) spam(?! ordner| filter)|spammt",
    r"falsche (?:nummer|person)|belaestigung|verpiss\w*|dsgvo",
    r"woher (?:haben|habt|hast) (?:sie|ihr|du) meine \w*nummer|blockier\w* (?:sie|euch|dich|diese nummer)",
    (
        r"widerspreche (?:\w+ ){0,4}?(?:werbung|nutzung|verarbeitung)|einwilligung (?:\w+ )?(?:zurueck|widerruf\w*)"
        r"|widerruf\w* (?:\w+ ){0,3}?einwilligung"
    ),
)
_IN_VIETNAMESE: Final = (
    (
        r"(?:đừng|dừng|ngừng|ngưng) (?:có |bao giờ |việc )?"
        r"(?:nhắn(?: tin| cho| vào| nữa|$)|spam|liên lạc|liên hệ|làm phiền|quấy rầy)"
    ),
    rf"(?:đừng|dừng|ngừng|ngưng) (?:có |bao giờ |việc )?(?:gửi|gởi|nhận) (?:\w+ ){{0,3}}?{_TIN}",
    rf"đừng (?:gửi|gởi) (?:cho {_TOI} )?nữa",
    rf"(?:ngừng|dừng|ngưng|tắt|hủy|chặn) {_TIN}",
    rf"(?:không|ko|k|hông|khỏi) (?:muốn|cần|thích) (?:\w+ ){{0,2}}?nhận (?:\w+ ){{0,3}}?(?:{_TIN}|khuyến mãi)",
    r"không (?:hề )?đăng ký nhận",
    rf"(?:không|ko|k|hông|khỏi) (?:nhận|nhắn|gửi|gởi) (?:thêm )?{_TIN} (?:\w+ ){{0,4}}?nữa",
    r"(?:không|ko|k|hông) muốn (?:bị )?(?:làm phiền|quấy rầy)",
    r"hủy đăng ký(?! (?:lớp|khóa|học|khám|lịch|tham gia|suất|chỗ))|hủy nhận",
    rf"từ chối (?:nhận )?{_TIN}",
    (
        r"(?:xóa|gỡ|bỏ|loại) (?:\w+ ){0,2}?(?:số|sđt|thông tin) (?:điện thoại |đt |của |này |cá nhân ){0,3}"
        rf"(?:{_TOI}|ra khỏi|khỏi|đi)"
    ),
    r"(?:khỏi|ra) danh sách",
    r"nhầm (?:số|người)|lộn số|sai số điện thoại|lừa đảo",
    rf"(?:nhắn|nhắn tin|gửi tin|gửi tin nhắn) (?:cho {_TOI} )?(?:hoài|nhiều quá|suốt|liên tục|miết)",
    r"spam (?:hoài|nhiều|quá)",
    rf"(?:sao|đâu|ai) (?:\w+ ){{0,4}}?(?:có|biết|lấy|cho) số (?:\w+ ){{0,2}}?(?:{_TOI}|này)",
)
_IN_OWN_WORDS: Final = "|".join((*_IN_ENGLISH, *_IN_GERMAN, *_IN_VIETNAMESE))
_SUSPICIOUS: Final = re.compile(rf"\b(?:{_IN_OWN_WORDS}|{_unmarked('|'.join(_IN_VIETNAMESE))})\b")

_NEARLY: Final = frozenset(
    map(
        normalised,
        (
            *(
                "no more",
                "enough",
                "spam",
                "стоп",
                "ende",
                "beenden",
                "kündigen",
                "kündigung",
                "abmeldung",
                "schluss damit",
            ),
            *("i want out", "stop contact", "cancel all", "reply stop", "text stop", "send stop", "löschen"),
            *("huy", "dung", "từ chối", "tu choi", "huy dk", "tc"),
        ),
    )
)
"""As the whole message."""

_REACTION: Final = re.compile(
    r"\s*(?:liked|loved|disliked|laughed at|emphasi[sz]ed|questioned|reacted \S+ to) [\"“]", re.IGNORECASE
)
"""What a phone sends for a thumb on our own message, which may well say how to stop."""

_LOOKS_LIKE: Final = str.maketrans(
    "аеорсѕтухікмнвјԁαερτοσυικνβ05",  # noqa: RUF001 - Cyrillic and Greek lookalikes
    "aeopcstyxikmhbjdaeptosuiknbos",
)


def _is_suspected(sentences: list[str]) -> bool:
    whole = _core(" ".join(sentences))
    stops = PHRASES[Request.STOP]
    return (
        whole in ALONE[Request.STOP] | _NEARLY
        or (len(sentences) == 1 and _shape(whole) in _SHAPES)
        or any(_core(_GREETING.sub("", sentence)) in stops for sentence in sentences)
        or _is_suspicious(sentences)
    )


def _is_suspicious(sentences: list[str]) -> bool:
    return any(_SUSPICIOUS.search(form) for sentence in sentences for form in (sentence, _core(sentence)))


def _shape(words: str) -> str:
    """Letters of other scripts as the Latin ones that they look like, each once where it is repeated, no spaces."""
    return re.sub(r"(.)\1+", r"\1", words.translate(_LOOKS_LIKE).replace(" ", ""))


_SHAPES: Final = frozenset(map(_shape, ALONE[Request.STOP] | PHRASES[Request.STOP]))
