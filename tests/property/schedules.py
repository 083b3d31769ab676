"""Several actors at once, stepped one port call at a time: every order of their calls, or one that is drawn.

A port call is atomic, as a DynamoDB call is; what lies between two calls of one actor touches nothing shared. So
the orders of calls are all that can ever happen. Calls of ``NOT_SHARED`` count as part of the step before.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.fakes import Around, Crash

NOT_SHARED = ("publish", "write_unpublished", "delete_unpublished")
"""No other actor reads what these calls write: a run's list is its own until the run can be at work no more."""

Body = Callable[[Around], object]
"""The work of an actor; each port call passes through the ``Around`` that it gets."""


class Option(NamedTuple):
    """A possible next step: that actor makes its call, or dies before it."""

    actor: str
    dies: bool = False


Choose = Callable[[Sequence[Option]], Option]


class Step(NamedTuple):
    """A call that was made, and its answer."""

    actor: str
    call: str
    answer: Any


@dataclass(slots=True)
class Played:
    """The steps that were made, in order; and the actors that died or ended with an error, and will be retried."""

    steps: list[Step] = field(default_factory=list)
    failed: dict[str, BaseException] = field(default_factory=dict)

    def index(self, actor: str, call: str, *, before: int | None = None) -> int | None:
        """Return the index of the actor's last such call, before that index if one is given."""
        found = [i for i, step in enumerate(self.steps[:before]) if (step.actor, step.call) == (actor, call)]
        return found[-1] if found else None


class _Actor:
    """A thread that waits before each port call until the schedule resumes or kills it."""

    def __init__(self, name: str, body: Body, played: Played) -> None:
        self.name, self.waiting = name, ""
        self._body, self._played = body, played
        self._paused, self._goes, self._dies = threading.Semaphore(0), threading.Semaphore(0), False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._paused.acquire()

    def go(self, *, dies: bool) -> None:
        self._dies = dies
        self._goes.release()
        self._paused.acquire()
        if not self.waiting:
            self._thread.join()

    def _around(self, name: str, call: Callable[[], Any]) -> Any:
        if name in NOT_SHARED:
            return call()
        self.waiting = name
        self._paused.release()
        self._goes.acquire()
        if self._dies:
            raise Crash
        answer = call()
        self._played.steps.append(Step(self.name, name, answer))
        return answer

    def _run(self) -> None:
        try:
            self._body(self._around)
        except (Crash, Exception) as error:  # noqa: BLE001 - as Lambda does: noted, and the event comes again
            self._played.failed[self.name] = error
        finally:
            self.waiting = ""
            self._paused.release()


def play(actors: Mapping[str, Body], choose: Choose, *, deaths: int = 0) -> Played:
    """Run the actors to their ends in the order that ``choose`` makes; at most ``deaths`` of them die."""
    played = Played()
    running = [_Actor(name, body, played) for name, body in actors.items()]
    for actor in running:
        actor.start()
    while options := [Option(actor.name) for actor in running if actor.waiting]:
        if deaths:
            options += [Option(actor.name, dies=True) for actor in running if actor.waiting]
        chosen = choose(options)
        deaths -= chosen.dies
        next(actor for actor in running if actor.name == chosen.actor).go(dies=chosen.dies)
    return played


def _chooser(prefix: list[int], taken: list[tuple[int, int]]) -> Choose:
    """Choose as ``prefix`` says, then the first option each time; record in ``taken`` which one of how many."""

    def choose(options: Sequence[Option]) -> Option:
        choice = prefix[len(taken)] if len(taken) < len(prefix) else 0
        taken.append((choice, len(options)))
        return options[choice]

    return choose


def every_order[T](once: Callable[[Choose], T]) -> Iterator[T]:
    """Run ``once`` again and again, until every choice was made in every way. ``once`` must start from the same state
    each time.
    """
    prefix: list[int] = []
    while True:
        taken: list[tuple[int, int]] = []

        yield once(_chooser(prefix, taken))
        while taken and taken[-1][0] + 1 == taken[-1][1]:
            taken.pop()
        if not taken:
            return
        prefix = [choice for choice, _ in taken[:-1]] + [taken[-1][0] + 1]
