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
    track, confirmation = subject.tracks.get("appointment"), subject.tracks.get("confirmation")
    if track is None or track.get("starts_at") is None:
        return False
    return confirmation is None or confirmation.version < track.unchanged_since
