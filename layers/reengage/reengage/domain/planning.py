"""From a subject to the messages that it wants: a pure function, asked when planning and again when sending."""

from datetime import datetime, tzinfo

from .conversation import InboundMessage
from .instants import Duration, parse_instant, parse_zone, shift
from .message import ScheduledMessage
from .reasons import REASONS, Reason
from .subject import Family, Subject, SubjectRef


def planned_messages(subject: Subject | None) -> tuple[ScheduledMessage, ...]:
    """Every message that the subject's newest versions call for, in order of due time within a reason.

    Nothing for a family that was undone, or whose contact is not known yet.
    """
    if subject is None:
        return ()
    return tuple(
        message
        for name, reason in REASONS.items()
        if reason.kind == subject.ref.kind and (family := subject.families.get(reason.family))
        for message in _of_reason(subject, name, reason, family)
    )


def reply(reason: str, to: InboundMessage, now: datetime) -> ScheduledMessage:
    """The one answer of that reason to an inbound message: the same however often that message comes."""
    lasts = REASONS[reason].lasts
    assert lasts is not None
    return ScheduledMessage(
        contact=to.contact,
        reason=reason,
        subject=SubjectRef(to.contact.brand, REASONS[reason].kind, to.message_id),
        step=str(Duration()),
        about=to.sent_at,
        due_at=now,
        useful_until=to.sent_at + lasts,
        version=0,
        planned_at=now,
    )


def _of_reason(subject: Subject, name: str, reason: Reason, family: Family) -> list[ScheduledMessage]:
    contact, anchor = family.contact, family.get(reason.anchor)
    if not family.active or contact is None or anchor is None:
        return []
    about = parse_instant(anchor)
    dues = _dues(reason, family, about)
    if not dues:  # an empty list of offsets asks for no message
        return []
    ends = [due for _, due in dues[1:]] + [dues[-1][1] + reason.lasts if reason.lasts else about]
    return [
        ScheduledMessage(
            contact=contact,
            reason=name,
            subject=subject.ref,
            step=str(offset),
            about=about,
            due_at=due,
            useful_until=useful_until,
            version=family.revision,
        )
        for (offset, due), useful_until in zip(dues, ends, strict=True)
    ]


def _dues(reason: Reason, family: Family, about: datetime) -> list[tuple[Duration, datetime]]:
    """Each offset with its instant, earliest first; of two that fall together the first one named stays."""
    given = family.get(reason.offsets)
    offsets = [Duration.parse(text) for text in given] if given is not None else list(reason.defaults)
    zone = _zone(family, about)
    at: dict[datetime, Duration] = {}
    for offset in offsets:
        at.setdefault(shift(about, -offset if reason.before else offset, zone), offset)
    return sorted(((offset, due) for due, offset in at.items()), key=lambda pair: pair[1])


def _zone(family: Family, about: datetime) -> tzinfo:
    name = family.get("timezone")
    zone = parse_zone(name) if name else about.tzinfo
    assert zone is not None
    return zone
