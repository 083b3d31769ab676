"""Whether a message's text asks for an answer. Sending needs no more of the questions than this."""

from .brand import Brand
from .message import ScheduledMessage
from .reasons import ASKING_REASONS
from .subject import Subject


def asks_for_answer(message: ScheduledMessage, subject: Subject | None, brand: Brand | None) -> bool:
    """Whether the message's text asks for an answer: not if the brand asks for none, or the answer is known."""
    if message.reason not in ASKING_REASONS or subject is None or (brand and brand.ask_for_answers is False):
        return False
    subject = subject.for_contact(message.contact)
    track = subject.tracks.get("appointment")
    return track is not None and track.get("starts_at") is not None and not is_confirmed(subject)


def is_confirmed(subject: Subject) -> bool:
    """Whether ``AppointmentConfirmed`` is about the appointment as it is: a later change asks anew."""
    track, confirmation = subject.tracks.get("appointment"), subject.tracks.get("confirmation")
    return track is not None and confirmation is not None and confirmation.version >= track.unchanged_since
