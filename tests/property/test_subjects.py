"""A subject is the merge of its events: in any order, with any repeats."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reengage.domain.contact import Contact
from reengage.domain.planning import planned_messages
from reengage.domain.same_person import aliases_of, with_aliases
from reengage.domain.subject import EVENT_TYPES, OF_ONE_CONTACT, BusinessEvent, EventEffect, Subject, Track
from tests.fakes import ANNA, NOON, business
from tests.property.model import known_of

STARTS = NOON + timedelta(days=20)
BEN = replace(ANNA, address="+16502530000")

_STARTS = {"starts_at": st.sampled_from([STARTS, STARTS + timedelta(days=1)])}
_ENDS = {"ends_at": st.sampled_from([STARTS, STARTS + timedelta(days=1)]), "product": st.just("Pro")}
_ZONE = {"timezone": st.just("Europe/Berlin")}
_OF_APPOINTMENTS = _ZONE | {
    "location": st.sampled_from(["Main St 1", "Broad St 9"]),
    "remind_before": st.lists(st.sampled_from(["PT30M", "PT2H", "PT24H", "P1D"]), max_size=2, unique=True),
    "check_in_url": st.just("https://acme.example/check-in"),
    "check_in_before": st.sampled_from(["PT12H", "PT24H", "P1D"]),
}
_OF_TRIALS = _ZONE | {"follow_up": st.lists(st.sampled_from(["-P3D", "PT1H", "P1D"]), max_size=3, unique=True)}

FIELDS: Mapping[str, st.SearchStrategy[dict[str, Any]]] = {
    "appointment": st.fixed_dictionaries(_STARTS, optional=_OF_APPOINTMENTS),
    "trial": st.fixed_dictionaries(_ENDS, optional=_OF_TRIALS),
    "product": st.fixed_dictionaries({"name": st.sampled_from(["Shoe", "Boot"])}),
    "cart": st.fixed_dictionaries({"items": st.sampled_from([["Shoe"], ["Boot"]])}),
    "order": st.fixed_dictionaries({}, optional={"tracking_url": st.just("https://acme.example/track")}),
}
"""The fields of each kind's events, and the events that undo them."""


@st.composite
def _events(draw: st.DrawFn) -> list[BusinessEvent]:
    """Events of one subject, some within one second; no two have one version."""
    kind = draw(st.sampled_from(sorted(FIELDS)))
    names = st.sampled_from([name for name, terms in EVENT_TYPES.items() if terms.kind == kind])
    seconds = st.sampled_from([0, 0.25, 0.5, 0.75, 1, 3600])
    drawn = draw(
        st.lists(
            st.tuples(names, seconds),
            min_size=1,
            max_size=6,
            unique_by=lambda pair: (EVENT_TYPES[pair[0]].rank, EVENT_TYPES[pair[0]].track, pair[1]),
        )
    )
    contacts = [ANNA] if kind in OF_ONE_CONTACT else [ANNA, BEN, None]
    events = []
    for name, second in drawn:
        fields = {} if EVENT_TYPES[name].rank is EventEffect.UNDO else draw(FIELDS[kind])
        contact = draw(st.sampled_from(contacts))
        events.append(business(name, NOON + timedelta(seconds=second), contact=contact, **fields))
    return events


def _apply(events: list[BusinessEvent]) -> Subject:
    subject = Subject(events[0].subject)
    for event in events:
        subject = subject.apply(event)
    return subject


def _sum(subject: Subject) -> dict[str, tuple[int, bool, object]]:
    """Return the subject without its number of changes."""
    tracks: dict[str, Track] = dict(subject.tracks)
    return {name: (track.version, track.active, track.fields) for name, track in tracks.items()}


@settings(deadline=None)
@given(events=_events(), data=st.data())
def test_order_and_repeats_of_events_do_not_change_the_subject(
    events: list[BusinessEvent], data: st.DataObject
) -> None:
    repeated = events + data.draw(st.lists(st.sampled_from(events), max_size=4))
    assert _sum(_apply(data.draw(st.permutations(repeated)))) == _sum(_apply(events))


@settings(deadline=None)
@given(events=_events())
def test_it_wants_what_the_model_wants(events: list[BusinessEvent]) -> None:
    """The model sorts the events and merges them in order."""
    wanted = {message.key: (message.due_at, message.valid_until) for message in planned_messages(_apply(events))}
    assert wanted == dict(known_of(events[0].subject, events).wanted)


@settings(deadline=None)
@given(events=_events(), contact=st.sampled_from([ANNA, BEN]))
def test_a_persons_view_is_its_own_view(events: list[BusinessEvent], contact: Contact) -> None:
    view = _apply(events).for_contact(contact)
    assert view.for_contact(contact) is view
    assert replace(view).for_contact(contact) == view


@settings(deadline=None)
@given(events=_events(), is_linked=st.booleans())
def test_the_view_of_the_only_person_plans_all(events: list[BusinessEvent], is_linked: bool) -> None:
    """The plan is derived once, for the planner and for the sender."""
    subject = _apply(events)
    if is_linked:
        subject = with_aliases(subject, aliases_of(subject, [ANNA, BEN]))
    if view := subject.only_view:
        assert planned_messages(replace(view)) == planned_messages(replace(subject))


@settings(deadline=None)
@given(events=_events())
def test_subject_plans_only_for_its_own_contact(events: list[BusinessEvent]) -> None:
    """A message goes only to a contact that some event named."""
    named = {event.contact for event in events}
    assert {message.contact for message in planned_messages(_apply(events))} <= named
