"""Pause the deployed stack while a broadcast runs and a person comes back, and look at what is still handed over."""

import threading
import time
from collections import Counter
from datetime import timedelta
from typing import Final

from tests.local.desk import BRAND, Desk
from tests.local.emulator import Say
from tests.local.message_provider import TAKES
from tests.local.runbook_situations import resume
from tests.local.stage import Person

PEOPLE: Final = 40
RUNNING: Final = 5
"""Messages that were handed over when the pause is made."""

SEEN_WITHIN: Final = 2.0
"""Seconds after which nothing is handed over: the snapshot's validity, which the app guarantees."""

WATCHED: Final = 8.0
"""Seconds for which the paused stack is watched; at five messages a second the broadcast would end in that time."""


def pause_problems(desk: Desk, say: Say) -> list[str]:
    """Return what was sent in spite of the pause, and what was not sent once after it."""
    desk.provider.answer = TAKES
    people = [_person(desk, number) for number in range(PEOPLE)]
    back = desk.writes("+12025550199", channel="rcs", ago=timedelta(days=9))
    before = len(desk.provider.taken)
    fields = {"date": (desk.stage.now() + timedelta(days=9)).date().isoformat(), "opens": "09:00", "closes": "13:00"}
    send_at = desk.stage.now()
    desk.happens(
        "HolidayHoursAnnounced", BRAND, announcement_id="pause", send_at=send_at, timezone="Europe/London", **fields
    )
    run = threading.Thread(target=desk.tick, args=("SendUpdatesFunctionArn",) * 3, daemon=True)
    run.start()
    desk.until(lambda: len(desk.provider.taken) - before >= RUNNING, "the broadcast")
    desk.stage.put("SendingPaused", {"scope": "all", "why": "a check"})
    desk.until(desk.pauses, "the pause")
    paused_at = time.time()
    desk.stage.writes(back, desk.stage.now(), "I am back")
    time.sleep(WATCHED)  # the time for which nothing may happen
    taken = desk.provider.taken[before:]
    late = [at - paused_at for at, _ in taken if at > paused_at + SEEN_WITHIN]
    wrong = [f"{max(late):.1f} s after the pause was stored, a message was handed over"] if late else []
    if len(taken) >= PEOPLE:
        wrong.append("the broadcast had ended before the pause: nothing was shown")
    if "welcome_back" in {entry.get("reason") for entry in desk.entries(back) if entry["what"] == "sent"}:
        wrong.append("the greeting was sent in spite of the pause")
    last = max(at - paused_at for at, _ in taken)
    say(f"A pause stops a running broadcast after {len(taken)} messages; the last {last:+.1f} s after it was stored")
    run.join()
    return wrong + _after(desk, [*people, back], before)


def _after(desk: Desk, people: list[Person], before: int) -> list[str]:
    """Resume; return who got nothing, or something twice."""
    resume(desk)

    def all_are_sent() -> bool:
        desk.tick()
        return all("sent" in {each["what"] for each in desk.entries(person)} for person in people)

    desk.until(all_are_sent, "what the pause held")
    times = Counter(message for _, message in desk.provider.taken[before:])
    return [f"{message} was handed over {count} times" for message, count in times.items() if count > 1]


def _person(desk: Desk, number: int) -> Person:
    return desk.writes(f"+1202555{2000 + number:04}", channel="rcs", ago=timedelta(hours=3))
