"""One surname after an answer is a signature; one word that may mean something is not."""

import pytest

from reengage.domain.answers import Answer, detect_signed_answer

BUSY = {
    "Yes": "Wait Almost Postponed Delayed Busy Unavailable Away Moving Sooner Weekend Half Dead Moved Zoom Though",
    "Sí": "Espera Casi Quizá Ocupada Cuánto Dónde Anulada Nada Nadie Jamás Depende Trabajo Fiebre Aunque Fallecido",
    "Oui": "Attendez Presque Occupée Combien Où Reporté Annulée Rien Sauf Travail Fièvre Décédé Mauvais",
    "Ja": "Absage Verschiebung Freitag Herbst Winter Sommer Urlaub Krankheit Notfall Fragen Umzug Kurzarbeit Später",
    "Vâng": "Hoãn Nếu Việc Sốt Khi Thôi",
}


@pytest.mark.parametrize(
    ("text", "locale", "answer"),
    [
        ("Ja, Müller", "de", Answer.CONFIRMED),
        ("Ja, Mueller", "de", Answer.CONFIRMED),
        ("Ja. Schmidt", "de", Answer.CONFIRMED),
        ("Ja, komme. Schneider", "de", Answer.CONFIRMED),
        ("2, Müller", "de", Answer.CANCEL_REQUESTED),
        ("3 - Schmidt", "de", Answer.RESCHEDULE_REQUESTED),
        ("Yes, Smith", "en", Answer.CONFIRMED),
        ("Sí, García", "es", Answer.CONFIRMED),
        ("Oui, Dupont", "fr", Answer.CONFIRMED),
        ("Vâng, Nguyễn", "vi", Answer.CONFIRMED),
        ("Ja Müller", "de", None),
        ("ja, müller", "de", None),
        ("Ja, Müller und Schmidt", "de", None),
        ("Nein, Müller", "de", None),
    ],
)
def test_a_surname_signs_an_answer(text: str, locale: str, answer: Answer | None) -> None:
    assert detect_signed_answer(text, locale).answer is answer


def test_the_persons_own_surname_signs_an_answer() -> None:
    """The profile of WhatsApp has the name."""
    assert detect_signed_answer("Ja, Brzęczyszczykiewicz", "de", "Jan Brzęczyszczykiewicz").answer is Answer.CONFIRMED
    assert detect_signed_answer("Ja, Brzęczyszczykiewicz", "de").answer is None


@pytest.mark.parametrize(
    ("text", "locale", "name"),
    [
        ("Yes, cancelled", "en", "x cancelled"),
        ("Yes, Cancelled", "en", "Max Cancelled"),
        ("Yes, cancelled", "en", "Cancelled"),
        ("Yes, please cancel", "en", "Please cancel"),
        ("Yes, Postpone", "en", "Please Postpone"),
        ("Yes, Vacation", "en", "On Vacation"),
        ("Yes, vacation", "en", "On Vacation"),
        ("Yes, on vacation", "en", "On vacation"),
        ("Yes, can't", "en", "Can't talk"),
        ("Yes, beach", "en", "Beach"),
        ("Yes, at the gym", "en", "At the gym"),
        ("Ja, verhindert", "de", "Verhindert"),
        ("Ja, Beschäftigt", "de", "Beschäftigt"),
        ("Ja, verhindert", "de", "Max Verhindert"),
        ("Ja, Verhindert", "de", "Max Verhindert"),
        ("Ja, Strand", "de", "Bin am Strand"),
        ("Ja, strand", "de", "Max Strand"),
        ("Ja, Freitag", "de", "Max Freitag"),
        ("Sí, Cancelada", "es", "Ana Cancelada"),
        ("Oui, annuler", "fr", "Marie Annuler"),
    ],
)
def test_a_status_as_a_name_signs_nothing(text: str, locale: str, name: str) -> None:
    """A name of WhatsApp is free text: a profile named "x cancelled" let "Yes, cancelled" confirm the visit."""
    assert detect_signed_answer(text, locale, name).answer is not Answer.CONFIRMED


@pytest.mark.parametrize(
    ("text", "locale", "name"),
    [
        ("Ja, Strand", "de", "Max Strand"),
        ("Ja, Strand", "de", "Dr. Max Strand"),
        ("Ja, Strand", "de", "Max von Strand"),
        ("Ja, max strand", "de", "Max Strand"),
        ("Yes, will", "en", "Will Young"),
        ("Yes, Smythe", "en", "Tom Smythe"),
    ],
)
def test_a_persons_own_name_still_signs(text: str, locale: str, name: str) -> None:
    assert detect_signed_answer(text, locale, name).answer is Answer.CONFIRMED


@pytest.mark.parametrize(("yes", "words"), BUSY.items())
def test_a_word_that_is_no_name_signs_nothing(yes: str, words: str) -> None:
    """Words such as "Yes, Busy" and "Sí, Anulada" confirmed the visit."""
    locale = {"Yes": "en", "Sí": "es", "Oui": "fr", "Ja": "de", "Vâng": "vi"}[yes]
    assert [word for word in words.split() if detect_signed_answer(f"{yes}, {word}", locale).answer] == []


@pytest.mark.parametrize(
    ("text", "locale", "answer"),
    [
        ("Yes, unfortunately", "en", None),
        ("Unfortunately yes", "en", None),
        ("Ja, leider", "de", None),
        ("Sí, lamentablemente", "es", None),
        ("Oui, malheureusement", "fr", None),
        ("Vâng, rất tiếc", "vi", None),
        ("Sorry, yes", "en", Answer.CONFIRMED),
        ("Unfortunately I can't make it", "en", Answer.CANCEL_REQUESTED),
        ("Leider kann ich nicht kommen", "de", Answer.CANCEL_REQUESTED),
        ("Leider absagen?", "de", None),
        ("Malheureusement je ne peux pas venir", "fr", Answer.CANCEL_REQUESTED),
        ("Unfortunately, can we do Thursday instead?", "en", Answer.RESCHEDULE_REQUESTED),
    ],
)
def test_a_regret_confirms_nothing(text: str, locale: str, answer: Answer | None) -> None:
    assert detect_signed_answer(text, locale).answer is answer
