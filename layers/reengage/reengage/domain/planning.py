"""From a subject to the messages that it wants: pure functions, asked when planning and again when sending."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

from .broadcast import Broadcast
from .conversation import InboundMessage
from .instants import Duration, at_wall_clock, parse_instant, parse_zone, shift
from .message import ScheduledMessage
from .reasons import REASONS, Reason
from .subject import Family, Subject, SubjectRef

CARRIED_WITHIN: Final = timedelta(hours=1)
"""A reminder that is due so close to the online check-in carries its link, and spares a message."""


def planned_messages(subject: Subject | None) -> tuple[ScheduledMessage, ...]:
    """Every message to its own contact that the subject's newest versions call for, in order of due time in a reason.

    Nothing for a family that was undone, or whose contact is not known yet.
    """
    if subject is None:
        return ()
    return tuple(
        message
        for name, reason, family in _wanted(subject)
        if not reason.audience and not (name == "online_check_in" and _carrier(subject))
        for message in _of_reason(subject, name, reason, family)
    )


def broadcasts(subject: Subject | None, place: tzinfo | None = None) -> tuple[Broadcast, ...]:
    """Every broadcast that the subject's newest version calls for. ``place``: whose calendar its days go by, where the
    event has not said so; else the offset in which its instants were given.
    """
    if subject is None:
        return ()
    return tuple(
        Broadcast(name, subject.ref, due_at=dues[0][1], useful_until=ends[-1], version=family.revision)
        for name, reason, family in _wanted(subject)
        if reason.audience
        for _, dues, ends in [_times(reason, family, place)]
    )


def again(message: ScheduledMessage, subject: Subject | None, place: tzinfo | None = None) -> ScheduledMessage | None:
    """The very same message as the subject's newest version wants it: due, of use and numbered as of that version.

    ``None`` where it is not wanted any more.
    """
    if message.terms.audience:
        wanted = [
            broadcast.to(message.contact, message.about, at=message.planned_at)
            for broadcast in broadcasts(subject, place)
        ]
    else:
        wanted = list(planned_messages(subject))
    return next((planned for planned in wanted if planned.key == message.key), None)


def carries_check_in(message: ScheduledMessage, subject: Subject | None) -> bool:
    """Whether a reminder brings the link for the online check-in along."""
    return subject is not None and message.step == _carrier(subject)


def earliest(message: ScheduledMessage, subject: Subject | None, closes_at: datetime) -> datetime | None:
    """When it may be sent at the earliest, since the window closes before it is due; ``None``: not before it is due.

    Of several that one reason has after ``closes_at``, only the first may: together they would say one thing twice.
    """
    terms = message.terms
    later = [m for m in planned_messages(subject) if m.reason == message.reason and m.due_at >= closes_at]
    family = subject.families.get(terms.family) if subject else None
    if family is None or terms.earliest is None or not later or later[0].key != message.key:
        return None
    about = parse_instant(family.get(terms.anchor))
    return shift(about, terms.earliest, _zone(family, about))


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


def _wanted(subject: Subject) -> Iterator[tuple[str, Reason, Family]]:
    """The reasons for which the subject has something to say now."""
    for name, reason in REASONS.items():
        family = subject.families.get(reason.family)
        if reason.kind != subject.ref.kind or family is None:
            continue
        said = all(family.get(field) is not None for field in (reason.anchor, reason.needs) if field)
        if said and not subject.is_undone(reason.family, also_by=reason.undone_with):
            yield name, reason, family


def _of_reason(subject: Subject, name: str, reason: Reason, family: Family) -> list[ScheduledMessage]:
    contact = subject.contact_of(family)
    if contact is None:
        return []
    about, dues, ends = _times(reason, family)
    return [
        ScheduledMessage(
            contact=contact,
            reason=name,
            subject=subject.ref,
            step=str(offset),
            about=None if reason.once else about,
            due_at=due,
            useful_until=useful_until,
            version=subject.revision_of(family),
        )
        for (offset, due), useful_until in zip(dues, ends, strict=True)
    ]


Due = tuple[Duration, datetime]


def _times(reason: Reason, family: Family, place: tzinfo | None = None) -> tuple[datetime, list[Due], list[datetime]]:
    """The anchor, each offset with its instant, and until when each message is of use.

    An empty list of offsets asks for no message.
    """
    about = parse_instant(family.get(reason.anchor))
    dues = _dues(reason, family, about)
    last = [_last_use(reason, family, about, dues[-1][1], place)] if dues else []
    return about, dues, [due for _, due in dues[1:]] + last


def _dues(reason: Reason, family: Family, about: datetime) -> list[Due]:
    """Each offset with its instant, earliest first; of two that fall together the first one named stays."""
    given = family.get(reason.offsets)
    texts = [given] if isinstance(given, str) else given
    offsets = [Duration.parse(text) for text in texts] if texts is not None else list(reason.defaults)
    zone = _zone(family, about)
    at: dict[datetime, Duration] = {}
    for offset in offsets:
        at.setdefault(shift(about, -offset if reason.before else offset, zone), offset)
    return sorted(((offset, due) for due, offset in at.items()), key=lambda pair: pair[1])


def _last_use(reason: Reason, family: Family, about: datetime, last_due: datetime, place: tzinfo | None) -> datetime:
    if reason.lasts:
        return last_due + reason.lasts
    if not reason.until:
        return about
    zone = _zone(family, about) if family.get("timezone") or place is None else place
    midnight = datetime.combine(date.fromisoformat(family.get(reason.until)) + timedelta(days=1), datetime.min.time())
    return at_wall_clock(midnight, zone).astimezone(UTC)


def _carrier(subject: Subject) -> str | None:
    """The step of the reminder that brings the check-in's link along: the last one within an hour of the check-in."""
    wanted = {name: (reason, family) for name, reason, family in _wanted(subject)}
    if not {"online_check_in", "appointment_reminder"} <= wanted.keys():
        return None
    [(_, check_in)] = _times(*wanted["online_check_in"])[1]
    near = [
        str(offset)
        for offset, due in _times(*wanted["appointment_reminder"])[1]
        if abs(due - check_in) <= CARRIED_WITHIN
    ]
    return near[-1] if near else None


def _zone(family: Family, about: datetime) -> tzinfo:
    name = family.get("timezone")
    zone = parse_zone(name) if name else about.tzinfo
    assert zone is not None
    return zone
