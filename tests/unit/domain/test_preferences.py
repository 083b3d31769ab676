"""A contact's choices: the latest counts in any order of arrival, and a "no" outlives an erasure."""

from dataclasses import replace
from datetime import datetime, timedelta
from functools import reduce
from typing import Final

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from reengage.domain.commands import RecordChoice
from reengage.domain.contact import Contact
from reengage.domain.preferences import (
    ERASURE_MARK_LASTS,
    EVERYWHERE,
    Choice,
    Erasure,
    OptOutScope,
    Preferences,
    Topic,
    preferences_of,
)
from reengage.domain.subject import RETENTION
from tests.cases import each_of
from tests.fakes import NOON

SECOND: Final = timedelta(seconds=1)
MICROSECOND: Final = timedelta(microseconds=1)
CHANNELS: Final = ("sms", "whatsapp", "rcs")
TOPICS: Final[tuple[Topic, ...]] = ("contact", "marketing")
EVIDENCE: Final = {"where": "counter", "wording": "v3"}

VersionedValue = tuple[Topic, str, Choice]


def at(second: int) -> datetime:
    return NOON + second * SECOND


def yes(second: int) -> Choice:
    return Choice(allowed=True, at=at(second), cause=EVIDENCE)


def no(second: int) -> Choice:
    return Choice(allowed=False, at=at(second), cause={"word": "STOP", "message_id": "m1"})


def apply_all(*choices: VersionedValue, before: Preferences | None = None) -> Preferences:
    return reduce(lambda preferences, one: preferences.apply(*one), choices, before or Preferences())


def holds(preferences: Preferences, topic: Topic, channel: str) -> tuple[bool, datetime] | None:
    """Return the latest choice and its instant."""
    choice = preferences.choice(topic, channel)
    return (choice.allowed, choice.at) if choice else None


def everything_that_holds(preferences: Preferences) -> dict[tuple[Topic, str], tuple[bool, datetime] | None]:
    return {(topic, channel): holds(preferences, topic, channel) for topic in TOPICS for channel in CHANNELS}


# Few instants, so that many choices tie.
CHOICES: Final = st.lists(
    st.tuples(
        st.sampled_from(TOPICS),
        st.sampled_from([EVERYWHERE, *CHANNELS[:2]]),
        st.builds(lambda allowed, second: yes(second) if allowed else no(second), st.booleans(), st.integers(0, 4)),
    ),
    max_size=8,
)


# What holds.


@pytest.mark.parametrize("topic", TOPICS)
def test_contact_without_choices_has_neither_yes_nor_no(topic: Topic) -> None:
    assert Preferences().choice(topic, "sms") is None
    assert Preferences().refused(topic, "sms") is None


@settings(max_examples=200, deadline=None)
@given(data=st.data(), choices=CHOICES)
@pytest.mark.slow
def test_the_order_of_arrival_is_all_one(data: st.DataObject, choices: list[VersionedValue]) -> None:
    """Also if some of it arrives twice."""
    replan = data.draw(st.lists(st.sampled_from(choices), max_size=3)) if choices else []
    other_order = data.draw(st.permutations([*choices, *replan]))
    assert everything_that_holds(apply_all(*choices)) == everything_that_holds(apply_all(*other_order))


@settings(max_examples=200, deadline=None)
@given(choices=CHOICES)
@pytest.mark.slow
def test_latest_choice_counts_and_no_wins_a_tie(choices: list[VersionedValue]) -> None:
    preferences = apply_all(*choices)
    for topic in TOPICS:
        for channel in CHANNELS:
            applying = [one for about, scope, one in choices if about == topic and scope in (EVERYWHERE, channel)]
            latest = max((one.at for one in applying), default=None)
            expected = all(one.allowed for one in applying if one.at == latest), latest
            assert holds(preferences, topic, channel) == (expected if applying else None)
            refused = preferences.refused(topic, channel)
            assert (refused is not None) == (bool(applying) and not expected[0])
            assert refused in (None, preferences.choice(topic, channel))


def test_at_a_tie_the_no_holds() -> None:
    for choices in ((yes(1), no(1)), (no(1), yes(1))):
        assert holds(apply_all(*(("contact", "sms", one) for one in choices)), "contact", "sms") == (False, at(1))
    for scopes in ((EVERYWHERE, "sms"), ("sms", EVERYWHERE)):
        preferences = apply_all(("contact", scopes[0], yes(1)), ("contact", scopes[1], no(1)))
        assert holds(preferences, "contact", "sms") == (False, at(1))


def test_opt_out_applies_to_all_channels_or_to_its_own() -> None:
    everywhere, on_sms = apply_all(("contact", EVERYWHERE, no(1))), apply_all(("contact", "sms", no(1)))
    assert [everywhere.refused("contact", channel) is not None for channel in CHANNELS] == [True, True, True]
    assert [on_sms.refused("contact", channel) is not None for channel in CHANNELS] == [True, False, False]


def test_later_yes_on_a_channel_overrides_a_no_everywhere() -> None:
    preferences = apply_all(("contact", EVERYWHERE, no(1)), ("contact", "sms", yes(2)))
    assert [preferences.refused("contact", channel) is not None for channel in CHANNELS] == [False, True, True]
    replan = preferences.apply("contact", EVERYWHERE, no(3))
    assert all(replan.refused("contact", channel) for channel in CHANNELS)


def test_the_two_topics_know_nothing_of_each_other() -> None:
    preferences = apply_all(("marketing", EVERYWHERE, no(1)))
    assert preferences.refused("marketing", "sms")
    assert preferences.choice("contact", "sms") is None
    assert preferences.apply("contact", EVERYWHERE, yes(2)).refused("marketing", "sms")


# What was news.


def test_what_is_no_news_leaves_the_very_same() -> None:
    """So a repeat need not be written."""
    preferences = apply_all(("contact", EVERYWHERE, no(2)))
    for old in (no(2), no(1), yes(2), yes(1)):
        assert preferences.apply("contact", EVERYWHERE, old) is preferences
    assert apply_all(("contact", EVERYWHERE, yes(2))).apply("contact", EVERYWHERE, no(2)).refused("contact", "sms")


def test_choice_keeps_its_cause_and_whether_it_changed_anything() -> None:
    preferences = apply_all(("contact", EVERYWHERE, no(1)))
    assert preferences.contact == {EVERYWHERE: no(1)}
    assert preferences.apply("contact", EVERYWHERE, no(2)).contact == {
        EVERYWHERE: replace(no(2), changed=False, since=no(1).at)
    }
    assert preferences.apply("contact", EVERYWHERE, yes(2)).contact == {EVERYWHERE: yes(2)}
    assert apply_all(("contact", "sms", replace(no(1), changed=False))).contact == {"sms": no(1)}


def test_repeated_no_on_a_channel_changes_nothing() -> None:
    preferences = apply_all(("contact", "sms", no(1)), ("contact", "sms", no(2)))
    assert preferences.contact == {"sms": replace(no(2), changed=False, since=no(1).at)}


def test_repeats_keep_the_instant_of_the_choice_that_changed() -> None:
    preferences = apply_all(*(("contact", EVERYWHERE, no(n)) for n in (1, 2, 3)), ("contact", "sms", no(4)))
    assert {scope: choice.since for scope, choice in preferences.contact.items()} == {
        EVERYWHERE: no(1).at,
        "sms": no(1).at,
    }
    assert preferences.apply("contact", "sms", yes(5)).contact["sms"] == yes(5)


def test_no_on_a_channel_after_a_no_everywhere_changes_nothing() -> None:
    preferences = apply_all(("contact", EVERYWHERE, no(1)), ("contact", "sms", no(2)), ("contact", "rcs", yes(3)))
    assert {scope: choice.changed for scope, choice in preferences.contact.items()} == {
        EVERYWHERE: True,
        "sms": False,
        "rcs": True,
    }


def test_hearing_leaves_everything_else_as_it_was() -> None:
    mark = {"sms": Erasure(at(0), at(1))}
    before = apply_all(("marketing", "sms", yes(1)), before=Preferences(erasures=mark, revision=7))
    after = before.apply("contact", EVERYWHERE, no(2))
    assert after == replace(before, contact={EVERYWHERE: no(2)})
    assert before.contact == {}


@each_of(
    ("opt_outs", "topic", "allowed", "scope"),
    [
        ("brand", "contact", False, EVERYWHERE),
        ("brand", "contact", True, EVERYWHERE),
        ("brand", "marketing", False, EVERYWHERE),
        ("brand", "marketing", True, "sms"),  # a consent covers no more than its channel
        ("channel", "contact", False, "sms"),
        ("channel", "contact", True, "sms"),
        ("channel", "marketing", False, "sms"),
        ("channel", "marketing", True, "sms"),
    ],
)
def test_opt_out_covers_brand_or_channel_and_consent_the_channel(
    opt_outs: OptOutScope, topic: Topic, allowed: bool, scope: str
) -> None:
    contact = Contact("acme", "sms", "+4915112345678")
    assert RecordChoice(contact, topic, Choice(allowed, NOON)).scope(opt_outs) == scope


# Erasure.


def test_an_erasure_leaves_a_no_without_its_cause() -> None:
    before = apply_all(("contact", EVERYWHERE, no(1)), ("marketing", "sms", no(2)), before=Preferences(revision=3))
    assert before.erase("sms", asked_at=at(5), at=at(6)) == Preferences(
        contact={EVERYWHERE: Choice(allowed=False, at=at(1))},
        marketing={"sms": Choice(allowed=False, at=at(2))},
        erasures={"sms": Erasure(at(5), at(6))},
        revision=3,
    )


def test_an_erasure_leaves_no_yes_but_one_that_excepts_from_a_no() -> None:
    excepted = apply_all(("contact", EVERYWHERE, no(1)), ("contact", "sms", yes(2)), ("marketing", "sms", yes(2)))
    after = excepted.erase("sms", asked_at=at(5), at=at(6))
    assert after.contact == {EVERYWHERE: Choice(allowed=False, at=at(1)), "sms": Choice(allowed=True, at=at(2))}
    assert after.marketing == {}


def test_an_erasure_of_one_channel_leaves_the_others_alone() -> None:
    """The erasure is for SMS; on WhatsApp the person is another contact."""
    before = apply_all(("contact", "whatsapp", no(1)), ("marketing", "whatsapp", yes(1)), ("marketing", "sms", yes(2)))
    after = before.erase("sms", asked_at=at(5), at=at(6))
    assert after.contact == {"whatsapp": no(1)}
    assert after.marketing == {"whatsapp": yes(1)}
    assert not after.erased_since("whatsapp", at(0))


def test_a_no_on_another_channel_keeps_no_consent_alive() -> None:
    before = apply_all(("marketing", "whatsapp", no(1)), ("marketing", "sms", yes(2)))
    assert before.erase("sms", asked_at=at(5), at=at(6)).marketing == {"whatsapp": no(1)}


@settings(max_examples=200, deadline=None)
@given(choices=CHOICES, channel=st.sampled_from(CHANNELS))
@pytest.mark.slow
def test_an_erasure_changes_no_refusal_of_any_channel(choices: list[VersionedValue], channel: str) -> None:
    before = apply_all(*choices)
    after = before.erase(channel, asked_at=at(10), at=at(11))
    for topic in TOPICS:
        for other in CHANNELS:
            was, now = before.refused(topic, other), after.refused(topic, other)
            assert (was and was.at) == (now and now.at)
        kept = {**after.contact, **after.marketing}
        assert all(kept[scope].cause is None for scope in (EVERYWHERE, channel) if scope in kept)


@settings(max_examples=200, deadline=None)
@given(choices=CHOICES, since=CHOICES, channel=st.sampled_from(CHANNELS))
@pytest.mark.slow
def test_repeated_erasure_keeps_newer_choices(
    choices: list[VersionedValue], since: list[VersionedValue], channel: str
) -> None:
    """It is delivered again, or an older one arrives late."""
    erased = apply_all(*choices).erase(channel, asked_at=at(10), at=at(11))
    later = apply_all(
        *((topic, scope, replace(one, at=one.at + 20 * SECOND)) for topic, scope, one in since), before=erased
    )
    for asked_at in (at(10), at(9), at(10) - MICROSECOND):
        assert later.erase(channel, asked_at=asked_at, at=at(50)) is later


def test_newer_erasure_removes_later_choices() -> None:
    once = Preferences().erase("sms", asked_at=at(1), at=at(2)).apply("marketing", "sms", yes(3))
    twice = once.erase("sms", asked_at=at(1) + MICROSECOND, at=at(4))
    assert twice.marketing == {}
    assert twice.erasures == {"sms": Erasure(at(1) + MICROSECOND, at(4))}


def test_a_newer_erasure_takes_nothing_back_of_the_one_before() -> None:
    """Two runs, each with its own clock."""
    once = Preferences().erase("sms", asked_at=at(1), at=at(5))
    assert once.erase("sms", asked_at=at(2), at=at(4)).erasures == {"sms": Erasure(at(2), at(5))}


def test_erased_since_holds_for_instants_up_to_the_erasure() -> None:
    preferences = Preferences().erase("sms", asked_at=at(1), at=at(5))
    assert preferences.erased_since("sms", at(0))
    assert preferences.erased_since("sms", at(5))
    assert not preferences.erased_since("sms", at(5) + MICROSECOND)
    assert not preferences.erased_since("whatsapp", at(0))
    assert not Preferences().erased_since("sms", at(0))


# How long it is kept.


@settings(max_examples=100, deadline=None)
@given(choices=CHOICES, channel=st.sampled_from(CHANNELS))
def test_a_choice_never_expires(choices: list[VersionedValue], channel: str) -> None:
    assume(choices)
    preferences = apply_all(*choices)
    assert preferences.expires_at is None
    for topic in TOPICS:
        if preferences.refused(topic, channel):
            assert preferences.erase(channel, asked_at=at(10), at=at(11)).expires_at is None


def test_a_mere_mark_of_an_erasure_expires() -> None:
    """Not before everything that was in flight at that instant has arrived."""
    marked = apply_all(("marketing", "sms", yes(1))).erase("sms", asked_at=at(5), at=at(6))
    assert marked.expires_at == int((at(6) + ERASURE_MARK_LASTS).timestamp())
    assert ERASURE_MARK_LASTS >= RETENTION
    both = marked.erase("rcs", asked_at=at(7), at=at(8) + MICROSECOND)
    assert set(both.erasures) == {"sms", "rcs"}
    assert both.expires_at == int((at(8) + ERASURE_MARK_LASTS).timestamp()) + 1
    assert replace(both, erasures=dict(reversed([*both.erasures.items()]))).expires_at == both.expires_at
    assert both.apply("contact", EVERYWHERE, no(9)).expires_at is None
    assert Preferences().expires_at is None


# Whose it is.


def test_phone_number_has_one_row_per_brand_for_all_channels() -> None:
    number = "+4915112345678"
    assert {preferences_of(Contact("acme", channel, number)) for channel in CHANNELS} == {f"acme#phone#{number}"}
    assert preferences_of(Contact("other", "sms", number)) == f"other#phone#{number}"
    assert preferences_of(Contact("acme", "sms", "+4915112345679")) == "acme#phone#+4915112345679"


def test_an_opaque_address_has_a_row_of_its_own_channel() -> None:
    assert preferences_of(Contact("acme", "whatsapp", "US.1349120865")) == "acme#whatsapp#US.1349120865"
    assert preferences_of(Contact("acme", "rcs", "US.1349120865")) == "acme#rcs#US.1349120865"


def test_change_is_judged_by_the_channel_of_the_choice() -> None:
    """After a change of the scope, choices of both kinds exist side by side."""
    at = [NOON + timedelta(hours=n) for n in range(6)]
    out = Preferences().apply("contact", EVERYWHERE, Choice(allowed=False, at=at[0]), channel="sms")
    back = out.apply("contact", "sms", Choice(allowed=True, at=at[1]), channel="sms")
    replan = back.apply("contact", EVERYWHERE, Choice(allowed=False, at=at[2]), channel="sms")
    assert replan.contact[EVERYWHERE].changed, "sms was allowed, and is not any more"
    elsewhere = back.apply("contact", EVERYWHERE, Choice(allowed=False, at=at[2]), channel="rcs")
    assert not elsewhere.contact[EVERYWHERE].changed
    since = Preferences().apply("contact", EVERYWHERE, Choice(allowed=True, at=at[5]), channel="sms")
    late = since.apply("contact", "sms", Choice(allowed=False, at=at[3]), channel="sms")
    assert not late.contact["sms"].changed, "a later yes holds"
    assert late.refused("contact", "sms") is None
