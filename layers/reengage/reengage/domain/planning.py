"""Derive the messages that a subject asks for. The planner calls this, and the sender again before each send."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final
from urllib.parse import quote

from .broadcast import Broadcast
from .conversation import InboundMessage
from .instants import Duration, at_wall_clock, parse_instant, parse_zone, shift
from .message import PART, ScheduledMessage
from .reasons import REASONS, Reason
from .subject import Subject, SubjectRef, Track

CARRIED_WITHIN: Final = timedelta(hours=1)
"""A reminder that is due within this time of the online check-in carries its link, which saves a message."""

Reasons = Mapping[str, Sequence[tuple[str, Reason]]]
"""Reasons with their names, by the kind of their subject."""


def _by_kind(reasons: Iterable[tuple[str, Reason]]) -> Reasons:
    by_kind: dict[str, list[tuple[str, Reason]]] = {}
    for name, reason in reasons:
        by_kind.setdefault(reason.kind, []).append((name, reason))
    return by_kind


OWN_REASONS: Final = _by_kind(each for each in REASONS.items() if not each[1].audience and not each[1].correction)
"""The reasons of messages to the subject's own contact, without corrections."""

BROADCAST_REASONS: Final = _by_kind(each for each in REASONS.items() if each[1].audience)


def planned_messages(subject: Subject | None, default_zone: tzinfo | None = None) -> tuple[ScheduledMessage, ...]:
    """Return the messages that the subject's newest versions call for.

    They are ordered by person, reason and due time. A track that was ended, or has no known contact, adds no message.
    """
    if subject is None:
        return ()
    if default_zone not in subject.plans:
        plan = tuple(_planned_messages(subject, default_zone))
        for each in (subject, subject.only_view):
            if each:
                each.plans[default_zone] = plan
    return subject.plans[default_zone]


def _planned_messages(subject: Subject, default_zone: tzinfo | None) -> Iterator[ScheduledMessage]:
    return (
        message
        for view in subject.views()
        for name, reason, part in _wanted(view, OWN_REASONS)
        if not (name == "online_check_in" and _carrier(view, default_zone))
        for message in _of_reason(view, name, reason, part, default_zone)
    )


def broadcasts(subject: Subject | None, default_zone: tzinfo | None = None) -> tuple[Broadcast, ...]:
    """Return the broadcasts that the subject's newest version calls for.

    ``default_zone``: the zone of its days, if the event names no zone.
    """
    if subject is None:
        return ()
    return tuple(
        Broadcast(name, subject.ref, due_at=dues[0][1], valid_until=ends[-1], version=track.revision)
        for name, reason, part in _wanted(subject, BROADCAST_REASONS)
        for track in [subject.tracks[part]]
        for _, dues, ends in [_times(reason, track, default_zone)]
    )


def replan(
    message: ScheduledMessage, subject: Subject | None, default_zone: tzinfo | None = None
) -> ScheduledMessage | None:
    """Return the same message as the subject's newest version wants it: due time, validity and version.

    ``None`` if it is not wanted any more.
    """
    if message.reason_spec.correction:
        wanted = [replace(each, offset=message.offset) for each in corrections(subject, message.planned_at)]
    elif message.reason_spec.audience:
        wanted = [
            broadcast.message_for(message.contact, message.anchor_at, at=message.planned_at)
            for broadcast in broadcasts(subject, default_zone)
        ]
    else:
        wanted = list(planned_messages(subject, default_zone))
    return next((planned for planned in wanted if planned.key == message.key), None)


def corrections(subject: Subject | None, at: datetime) -> list[ScheduledMessage]:
    """Return the messages that may correct an earlier one, due at ``at``: the time now, or that it is cancelled.

    There is one a person at most. Whether an earlier message was sent at all is for the planner to find out.
    """
    views = subject.views() if subject else ()
    return [message for view in views if (message := _correction(view, at))]


def _correction(view: Subject, at: datetime) -> ScheduledMessage | None:
    track = view.tracks.get("appointment")
    named = view.contact_of(track) if track else None
    if track is None or named is None or track.get("starts_at") is None:
        return None
    starts_at, former = parse_instant(track.get("starts_at")), track.former_time
    if not track.is_active:
        reason, valid_until = "appointment_cancelled", starts_at
    else:
        reason, valid_until = "appointment_moved", min(former, starts_at) if former else starts_at
    return ScheduledMessage(
        contact=view.reached_at(named),
        reason=reason,
        subject=view.ref,
        offset=str(Duration()),
        anchor_at=starts_at,
        due_at=at,
        valid_until=valid_until,
        version=view.revision_of(track),
        planned_at=at,
    )


def carries_check_in(message: ScheduledMessage, subject: Subject | None, default_zone: tzinfo | None = None) -> bool:
    """Return whether a reminder carries the link of the online check-in."""
    return subject is not None and message.offset == _carrier(subject.for_contact(message.contact), default_zone)


def earliest(
    message: ScheduledMessage, subject: Subject | None, closes_at: datetime, default_zone: tzinfo | None = None
) -> datetime | None:
    """Return when it may be sent early, because the window closes before it is due; ``None`` if not before it is due.

    Only a reason's first message after ``closes_at`` may be sent early: a second one would repeat it.
    """
    reason_spec = message.reason_spec
    subject = subject.for_contact(message.contact) if subject else None
    later = [m for m in planned_messages(subject, default_zone) if m.reason == message.reason and m.due_at >= closes_at]
    track = subject.tracks.get(message.track) if subject else None
    if track is None or reason_spec.earliest_offset is None or not later or later[0].key != message.key:
        return None
    anchor_at = parse_instant(track.get(reason_spec.anchor))
    return shift(anchor_at, reason_spec.earliest_offset, wall_zone(track, anchor_at, default_zone))


def reply(reason: str, to: InboundMessage, now: datetime) -> ScheduledMessage:
    """Return the reply of that reason to an inbound message: the same one if the message arrives again."""
    valid_for = REASONS[reason].valid_for
    assert valid_for is not None
    return ScheduledMessage(
        contact=to.contact,
        reason=reason,
        subject=SubjectRef(to.contact.brand, REASONS[reason].kind, to.message_id),
        offset=str(Duration()),
        anchor_at=None,  # a provider may repeat the message with another instant
        due_at=now,
        valid_until=to.sent_at + valid_for,
        version=0,
        planned_at=now,
    )


def _wanted(subject: Subject, reasons: Reasons) -> Iterator[tuple[str, Reason, str]]:
    """Yield each reason for which the subject wants messages now, with the name of its track, or of a part of it."""
    for name, reason in reasons.get(subject.ref.kind, ()):
        for part, track in subject.tracks.items():
            if part.partition(":")[0] != reason.track:
                continue
            given = all(track.get(field) is not None for field in (reason.anchor, reason.required_field) if field)
            if given and not subject.is_over(reason, part):
                yield name, reason, part


def _of_reason(
    subject: Subject, name: str, reason: Reason, part: str, default_zone: tzinfo | None
) -> list[ScheduledMessage]:
    track, shipment = subject.tracks[part], part.partition(":")[2]
    named = subject.contact_of(track)
    if named is None:
        return []
    anchor_at, dues, ends = _times(reason, track, default_zone)
    return [
        ScheduledMessage(
            contact=subject.reached_at(named),
            reason=name,
            subject=subject.ref,
            offset=f"{offset}{PART}{quote(shipment, safe='')}" if shipment else str(offset),
            anchor_at=None if reason.once else anchor_at,
            due_at=due,
            valid_until=valid_until,
            version=subject.revision_of(track),
        )
        for (offset, due), valid_until in zip(dues, ends, strict=True)
    ]


Due = tuple[Duration, datetime]


def _times(
    reason: Reason, track: Track, default_zone: tzinfo | None = None
) -> tuple[datetime, list[Due], list[datetime]]:
    """Return the anchor, each offset with its instant, and until when each message is valid.

    An empty list of offsets asks for no message.
    """
    anchor_at = parse_instant(track.get(reason.anchor))
    dues = _dues(reason, track, anchor_at, default_zone)
    last = [_last_use(reason, track, anchor_at, dues[-1][1], default_zone)] if dues else []
    return anchor_at, dues, [due for _, due in dues[1:]] + last


def _dues(reason: Reason, track: Track, anchor_at: datetime, default_zone: tzinfo | None) -> list[Due]:
    """Return each offset with its instant, earliest first. Of two at one instant, the first in the list stays."""
    given = track.get(reason.offsets)
    texts = [given] if isinstance(given, str) else given
    offsets = [Duration.parse(text) for text in texts] if texts is not None else list(reason.default_offsets)
    zone = wall_zone(track, anchor_at, default_zone)
    at: dict[datetime, Duration] = {}
    for offset in offsets:
        at.setdefault(shift(anchor_at, -offset if reason.before else offset, zone), offset)
    return sorted(((offset, due) for due, offset in at.items()), key=lambda pair: pair[1])


def _last_use(
    reason: Reason, track: Track, anchor_at: datetime, last_due: datetime, default_zone: tzinfo | None
) -> datetime:
    given = track.get(reason.valid_until_instant)
    if given and (until := parse_instant(given)) > last_due:  # a date that was moved past it has no use for it
        return until.astimezone(UTC)
    if reason.valid_for:
        return last_due + reason.valid_for
    if not reason.valid_until_field:
        return anchor_at
    zone = wall_zone(track, anchor_at, None) if track.timezone or default_zone is None else default_zone
    midnight = datetime.combine(
        date.fromisoformat(track.get(reason.valid_until_field)) + timedelta(days=1), datetime.min.time()
    )
    return at_wall_clock(midnight, zone).astimezone(UTC)


def _carrier(subject: Subject, default_zone: tzinfo | None) -> str | None:
    """Return the offset of the reminder that carries the check-in's link: the last within an hour of the check-in."""
    wanted = {name: (reason, subject.tracks[part]) for name, reason, part in _wanted(subject, OWN_REASONS)}
    if not {"online_check_in", "appointment_reminder"} <= wanted.keys():
        return None
    [(_, check_in)] = _times(*wanted["online_check_in"], default_zone)[1]
    near = [
        str(offset)
        for offset, due in _times(*wanted["appointment_reminder"], default_zone)[1]
        if abs(due - check_in) <= CARRIED_WITHIN
    ]
    return near[-1] if near else None


def wall_zone(track: Track, anchor_at: datetime, default_zone: tzinfo | None) -> tzinfo:
    """Return the zone of the subject's clocks and calendar.

    The event's zone comes first. Next is the offset of the instant, unless that is UTC, which is no wall clock. Then
    comes the default zone, then UTC.
    """
    if track.timezone:
        return parse_zone(track.timezone)
    if anchor_at.utcoffset() or default_zone is None:
        assert anchor_at.tzinfo is not None
        return anchor_at.tzinfo
    return default_zone
