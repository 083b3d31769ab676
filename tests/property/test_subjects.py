"""A subject is the sum of what its events said: in any order, however often."""

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reengage.domain.planning import planned_messages
from reengage.domain.subject import EVENT_TYPES, BusinessEvent, Family, Subject
from tests.fakes import ANNA, NOON, business
from tests.property.model import known_of

STARTS = NOON + timedelta(days=20)


@st.composite
def _events(draw: st.DrawFn) -> list[BusinessEvent]:
    """Of one appointment, some of them within one second, no two of one version."""
    said = st.fixed_dictionaries(
        {"starts_at": st.sampled_from([STARTS, STARTS + timedelta(days=1)])},
        optional={
            "timezone": st.just("Europe/Berlin"),
            "location": st.sampled_from(["Main St 1", "Broad St 9"]),
            "remind_before": st.lists(st.sampled_from(["PT30M", "PT2H", "P1D"]), max_size=2, unique=True),
        },
    )
    names = st.sampled_from([name for name, terms in EVENT_TYPES.items() if terms.kind == "appointment"])
    seconds = st.sampled_from([0, 0.25, 0.5, 0.75, 1, 3600])
    drawn = draw(st.lists(st.tuples(names, seconds), min_size=1, max_size=6, unique=True))
    events = []
    for name, second in drawn:
        fields: dict[str, Any] = {} if name == "AppointmentCancelled" else dict(draw(said))
        contact = draw(st.sampled_from([ANNA, None]))
        events.append(business(name, NOON + timedelta(seconds=second), contact=contact, **fields))
    return events


def _heard(events: list[BusinessEvent]) -> Subject:
    subject = Subject(events[0].subject)
    for event in events:
        subject = subject.hear(event)
    return subject


def _sum(subject: Subject) -> dict[str, tuple[int, bool, object]]:
    """Without how often it changed on the way."""
    families: dict[str, Family] = dict(subject.families)
    return {name: (family.version, family.active, family.said) for name, family in families.items()}


@given(events=_events(), data=st.data())
def test_in_any_order_and_however_often_the_same_events_make_the_same_subject(
    events: list[BusinessEvent], data: st.DataObject
) -> None:
    repeated = events + data.draw(st.lists(st.sampled_from(events), max_size=4))
    assert _sum(_heard(data.draw(st.permutations(repeated)))) == _sum(_heard(events))


@given(events=_events())
def test_it_wants_what_the_model_wants(events: list[BusinessEvent]) -> None:
    """The model sorts the events and lays them over each other."""
    wanted = {message.key: (message.due_at, message.useful_until) for message in planned_messages(_heard(events))}
    assert wanted == dict(known_of(events[0].subject, events).wanted)
