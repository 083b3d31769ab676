"""The routes by which a message may go to its recipient, ready to be used."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from reengage.domain.contact import Contact
from reengage.domain.message import ScheduledMessage
from reengage.ports import Channel, Retryable
from reengage.usecases.route_health import Health


@dataclass(slots=True)
class RecipientRoutes:
    """The routes of a message's recipient, each made ready once.

    Those of its own contact are made ready before the snapshot is read: that may take longer than a snapshot is valid.
    ``given``: those that the message may use; without them, all of its contact.
    """

    channel: Channel
    health: Health
    message: ScheduledMessage
    given: Sequence[str] | None
    _ready: dict[Contact, tuple[Sequence[str], Retryable | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.of(self.message.contact)

    def of(self, contact: Contact) -> tuple[Sequence[str], Retryable | None]:
        """Return the routes that are ready; if no route is ready, also why."""
        if contact not in self._ready:
            self._ready[contact] = self._prepared(contact)
        return self._ready[contact]

    def is_blocked(self, contact: Contact) -> bool:
        """Return whether the breakers of all routes to the contact are open.

        A message that failed before is no probe, if it can go elsewhere.
        """
        if contact == self.message.contact and self.given is not None and not self.given:
            return True
        routes = self.channel.routes(contact)
        is_shut = self.health.opened_at if self.message.attempts else self.health.is_blocked
        return bool(routes) and all(map(is_shut, routes))

    def _prepared(self, contact: Contact) -> tuple[Sequence[str], Retryable | None]:
        ready: list[str] = []
        blocked_by: Retryable | None = None
        for route in self._usable(contact):
            if error := self.channel.prepare(contact, route):
                self.health.record(route, error, attempts=self.message.attempts)
                blocked_by = blocked_by or error
            else:
                ready.append(route)
        return ready, None if ready else blocked_by

    def _usable(self, contact: Contact) -> Sequence[str]:
        if contact == self.message.contact and self.given is not None:
            return self.given
        return self.health.usable(self.channel.routes(contact))
