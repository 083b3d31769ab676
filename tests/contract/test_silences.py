"""Providers from which no receipt comes: stored by compare-and-set, ended by any receipt."""

from datetime import timedelta

from reengage.domain.silence import ENOUGH, Silence
from tests.contract.samples import NOW
from tests.contract.stores import Harness

NAME = "twilio/sms"
SILENCE = Silence(NOW, 1)


def test_without_a_message_there_is_no_silence(harness: Harness) -> None:
    assert harness.store.read_silence(NAME) is None
    assert harness.store.read_silences() == {}
    harness.store.end_silence(NAME)


def test_a_silence_is_read_as_it_was_written(harness: Harness) -> None:
    other = Silence(NOW + timedelta(seconds=1), ENOUGH)
    assert harness.store.write_silence(NAME, SILENCE, replacing=None)
    assert harness.store.write_silence("meta/whatsapp", other, replacing=None)
    assert harness.store.read_silence(NAME) == SILENCE
    assert harness.store.read_silences() == {NAME: SILENCE, "meta/whatsapp": other}


def test_a_silence_begins_with_its_first_message(harness: Harness) -> None:
    assert harness.store.write_silence(NAME, SILENCE, replacing=None)
    assert not harness.store.write_silence(NAME, Silence(NOW + timedelta(hours=1), 2), replacing=None)
    assert harness.store.write_silence(NAME, SILENCE.with_more(1), replacing=SILENCE)
    assert not harness.store.write_silence(NAME, SILENCE.with_more(2), replacing=SILENCE)
    assert harness.store.read_silence(NAME) == Silence(NOW, 2)


def test_the_end_of_a_silence_is_final(harness: Harness) -> None:
    harness.store.write_silence(NAME, SILENCE, replacing=None)
    harness.store.end_silence(NAME)
    assert harness.store.read_silence(NAME) is None
    assert not harness.store.write_silence(NAME, SILENCE.with_more(1), replacing=SILENCE)
