"""One person has one address, however it is written."""

from collections import Counter
from datetime import timedelta

import pytest

from reengage.domain.contact import SHARDS, Contact, Profile, normalise_address
from reengage.domain.conversation import expiry
from tests.cases import each_of
from tests.fakes import NOON

NO_PHONE_NUMBER = r"^expected a phone number in E\.164 form, such as"


@each_of("channel", ["sms", "rcs", "whatsapp"])
@each_of(
    ("text", "normal"),
    [
        ("+4915112345678", "+4915112345678"),
        (" +49 151 1234 5678 ", "+4915112345678"),
        ("+49 (0)151 / 123-456-78", "+4915112345678"),
        ("+49 (0) 151 12345678", "+4915112345678"),
        ("0049 151 12345678", "+4915112345678"),
        ("004915112345678", "+4915112345678"),
        ("tel:+49-151-12345678", "+4915112345678"),
        ("+49\N{NO-BREAK SPACE}151\N{NO-BREAK SPACE}12345678", "+4915112345678"),
        ("+４９１５１１２３４５６７８", "+4915112345678"),
        ("\N{LEFT-TO-RIGHT EMBEDDING}+49 151 12345678\N{POP DIRECTIONAL FORMATTING}", "+4915112345678"),
        ("+44 (0)20 7946 0958", "+442079460958"),
        ("+43 (0)664 1234567", "+436641234567"),
        ("+84 (0)912 345 678", "+84912345678"),
        ("+39 06 1234567", "+39061234567"),  # Italy dials its zero from abroad too
        ("+1 (650) 253-0000", "+16502530000"),
        ("+1.650.253.0000", "+16502530000"),
        ("+55 11 91234-5678", "+5511912345678"),
    ],
)
def test_a_phone_number_has_one_form(channel: str, text: str, normal: str) -> None:
    assert normalise_address(channel, text) == normal


@each_of("channel", ["sms", "rcs", "whatsapp"])
@each_of(
    "text",
    [
        "",
        " ",
        "+",
        "00",
        "0151 12345678",  # of no country
        "015112345678",
        "+999 12345678",  # of a country that there is not
        "+1 650 253",  # too short
        "+1 253 0000",  # dialled within a town only
        "+4915112345678901234",  # too long
        "+1 650 253 0000 # 5",  # an extension takes no message
        "+1 650 253 0000,,5",
        "+1 650 253 0000;5",
        "+1 650 253 0000 / 650 253 0001",
        "011 44 20 7946 0958",  # an American's way of dialling abroad
    ],
)
def test_what_is_no_phone_number_is_rejected(channel: str, text: str) -> None:
    with pytest.raises(ValueError, match=NO_PHONE_NUMBER):
        normalise_address(channel, text)


@pytest.mark.parametrize(
    "text", ["+1 800 FLOWERS", "+1 650 253 0000 ext. 5", "+1 650 253 0000x5", "call +1 650 253 0000", "anna@acme.test"]
)
def test_letters_make_no_phone_number(text: str) -> None:
    """The phone library would dial a vanity number; to this app it is a typing error, and another person's number."""
    with pytest.raises(ValueError, match=NO_PHONE_NUMBER):
        normalise_address("sms", text)


def test_a_number_without_its_plus_is_whatsapps_own_form_alone() -> None:
    assert normalise_address("whatsapp", "4915112345678") == "+4915112345678"
    assert normalise_address("whatsapp", "16502530000") == "+16502530000"
    assert normalise_address("whatsapp", "1 650 253 0000") == "+16502530000"
    with pytest.raises(ValueError, match=NO_PHONE_NUMBER):
        normalise_address("sms", "4915112345678")


@pytest.mark.parametrize("text", ["US.13491208655302741918", "anna.schmidt", " ENT.123#a/b ", "Nguyễn"])
def test_a_whatsapp_user_id_is_kept_as_it_is(text: str) -> None:
    assert normalise_address("whatsapp", text) == text.strip()


@pytest.mark.parametrize("text", ["x" * 256, "é" * 128])
def test_a_user_id_may_take_256_bytes(text: str) -> None:
    assert normalise_address("whatsapp", text) == text


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("x" * 257, "expected an address of 1 to 256 bytes"),
        ("é" * 129, "expected an address of 1 to 256 bytes"),
        ("bad\ud800", "surrogates not allowed"),
    ],
)
def test_a_user_id_that_does_not_fit_a_key_is_rejected(text: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        normalise_address("whatsapp", text)


def test_error_lists_valid_values_for_channel_and_brand() -> None:
    with pytest.raises(ValueError, match="expected one of sms, rcs, whatsapp"):
        Contact.of("acme-dental", "pigeon", "+4915112345678")
    for brand in ("", "acme dental", "acme#dental", "-acme", "a" * 65):
        with pytest.raises(ValueError, match=r"^expected 1 to 64 letters, digits, .* such as acme-dental$"):
            Contact.of(brand, "sms", "+4915112345678")


def test_two_spellings_are_one_contact_with_one_key() -> None:
    one, other = (Contact.of("acme-dental", "sms", text) for text in ("+49 (0)151 12345678", "0049 151 12345678"))
    assert one == other
    assert one.key == other.key == "CONTACT#acme-dental#sms#+4915112345678"


def test_a_shard_is_stable_and_contacts_spread_evenly() -> None:
    """The first one is fixed: rows in the table use their shard, so a new formula would lose them."""
    assert Contact("acme-dental", "sms", "+4915112345678").shard == 7
    spread = Counter(Contact("acme-dental", "sms", f"+49151{n:08}").shard for n in range(3200))
    assert set(spread) == set(range(SHARDS))
    assert max(spread.values()) < 1.5 * min(spread.values())


def test_profile_is_known_until_its_retention_ends() -> None:
    profile = Profile(NOON, NOON, expiry(NOON + timedelta(days=365)))
    end = NOON + timedelta(days=365)
    assert profile.is_kept(end - timedelta(microseconds=1))
    assert not profile.is_kept(end)


def test_whatsapp_mexican_mobiles_lose_their_extra_1() -> None:
    """The booking system writes +52 55…, WhatsApp 521 55…: one person."""
    assert normalise_address("whatsapp", "5215512345678") == normalise_address("whatsapp", "+52 55 1234 5678")


@pytest.mark.parametrize("text", ["551187654321", "+551187654321", "5511987654321", "+55 11 98765-4321"])
def test_whatsapp_brazilian_mobiles_get_their_ninth_digit(text: str) -> None:
    """WhatsApp's id is from before 2012, the booking system's number is not: one person."""
    assert normalise_address("whatsapp", text) == "+5511987654321"


@pytest.mark.parametrize("first", "6789")
def test_a_brazilian_mobile_of_any_range_has_nine_digits(first: str) -> None:
    assert normalise_address("whatsapp", f"5585{first}1234567") == f"+55859{first}1234567"


@pytest.mark.parametrize("text", ["551132654321", "+551122654321", "551142654321", "551152654321"])
def test_a_brazilian_landline_stays_as_it_is(text: str) -> None:
    assert normalise_address("whatsapp", text) == "+" + text.removeprefix("+")


@pytest.mark.parametrize("channel", ["sms", "rcs"])
def test_only_whatsapp_knows_brazilian_mobiles_by_eight_digits(channel: str) -> None:
    assert normalise_address(channel, "+551187654321") == "+551187654321"


@pytest.mark.parametrize("text", ["+55 11 8765-4321", "00551187654321", "tel:+55-11-8765-4321", "55 (11) 8765 4321"])
def test_spaces_do_not_change_an_eight_digit_number(text: str) -> None:
    """A booking system's old number, and WhatsApp's id: two contacts would be two opt-outs."""
    assert normalise_address("whatsapp", text) == "+5511987654321"


@pytest.mark.parametrize("text", ["22997123456", "+229 97 12 34 56", "2290197123456"])
def test_whatsapp_knows_numbers_of_benin_by_eight_digits(text: str) -> None:
    """These were rejected, and a STOP was among them."""
    assert normalise_address("whatsapp", text) == "+2290197123456"


@pytest.mark.parametrize("text", ["+52 1 55 1234 5678", "005215512345678", "tel:+52-1-55-1234-5678"])
def test_spaces_do_not_change_a_mexican_mobile(text: str) -> None:
    assert normalise_address("whatsapp", text) == "+525512345678"
