"""A small model of what is promised, which uses nothing of the product's policy, planning or subjects.

A view is what some of a story's events come to. It tells which messages are wanted, and what would be wrong with one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from tests.simulation.faults.stories import DAY, HOUR, ZONES, Line

WINDOW: Final = 30 * DAY
CONVERSATION: Final = timedelta(minutes=30)
REPLY_LASTS: Final = timedelta(minutes=10)
NEVER: Final = datetime.min.replace(tzinfo=UTC)
QUIET: Final = {"utility": (time(21), time(8)), "marketing": (time(20), time(9))}
EARLIEST: Final = 8 * DAY
"""A reminder that the night would cost may go out so long before its appointment, or its trial's end."""

CATEGORIES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("appointment_reminder", "appointment_moved", "appointment_cancelled", "order_shipped"), "utility"),
    **dict.fromkeys(("trial_follow_up", "product_reminder", "cart_reminder", "review_request"), "marketing"),
    **dict.fromkeys(("back_in_stock", "product_preview", "holiday_hours"), "marketing"),
    **dict.fromkeys(("welcome_back", "help_reply", "answer_reply"), "reply"),
}
RANKS: Final = {"AppointmentBooked": 0, "AppointmentRescheduled": 1, "AppointmentCancelled": 2}
SUBJECTS: Final = ("appointment_id", "trial_id", "cart_id", "product_id", "order_id", "item_id", "announcement_id")


class Wanted(NamedTuple):
    """A message that its subject wants: due at one instant, valid until another."""

    due_at: datetime
    valid_until: datetime
    anchor_at: datetime | None = None


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def at_of(line: Line) -> datetime:
    return instant(line["time"])


def made_at(line: Line) -> datetime:
    """When the contact wrote a message, or else when the event came."""
    return instant(line["detail"].get("sent_at", line["time"]))


def zone_of(address: str) -> ZoneInfo:
    return ZoneInfo(next(name for name, form in ZONES if address.startswith(form[:3])))


def subject_of(line: Line) -> str | None:
    return next((line["detail"][name] for name in SUBJECTS if name in line["detail"]), None)


def address_of(line: Line) -> str | None:
    contact = line["detail"].get("contact")
    return contact["address"] if contact else None


def wall(at: datetime, delta: timedelta, zone: ZoneInfo) -> datetime:
    """Some days before or after, at the same time of day."""
    return (at.astimezone(zone) + delta).astimezone(UTC)


def is_quiet(category: str, at: datetime, zone: ZoneInfo) -> bool:
    if category not in QUIET:
        return False
    begins, ends = QUIET[category]
    local = at.astimezone(zone).time()
    return local >= begins or local < ends


def allowed_from(category: str, at: datetime, zone: ZoneInfo) -> datetime:
    """The first instant from ``at`` on that is not quiet."""
    if not is_quiet(category, at, zone):
        return at
    local, ends = at.astimezone(zone), QUIET[category][1]
    day = local.date() if local.time() < ends else local.date() + timedelta(days=1)
    return datetime.combine(day, ends, zone).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class View:
    """What ``lines`` come to for one contact. ``erased_at`` is the instant until which the contact was erased."""

    lines: Sequence[Line]
    address: str
    erased_at: datetime = NEVER

    def _own(self, *types: str) -> Iterator[Line]:
        """The contact's events of these types that no erasure took."""
        for line in self.lines:
            if line["detail-type"] in types and address_of(line) == self.address and made_at(line) > self.erased_at:
                yield line

    def _newest(self, subject_id: str, *types: str) -> Line | None:
        """The subject's newest event; ``None`` if an erasure took the one that named the contact."""
        of_subject = [line for line in self.lines if line["detail-type"] in types and subject_of(line) == subject_id]
        if not any(address_of(line) == self.address and at_of(line) > self.erased_at for line in of_subject):
            return None
        return max(of_subject, key=lambda line: (at_of(line), RANKS.get(line["detail-type"], 0)))

    @property
    def last_inbound_at(self) -> datetime:
        return max(map(made_at, self._own("MessageReceived")), default=NEVER)

    def window_is_open(self, at: datetime) -> bool:
        return self.last_inbound_at > NEVER and at < self.last_inbound_at + WINDOW

    def is_in_conversation(self, at: datetime) -> bool:
        return any(at < made_at(line) + CONVERSATION for line in self._own("MessageReceived", "AgentReplied"))

    def opted_out(self) -> bool:
        """The latest choice counts; at one instant, the opt-out. An opt-out outlives an erasure."""
        choices = [(made_at(line), no) for line in self.lines if (no := self._choice(line)) is not None]
        return max(choices, default=(None, False))[1]

    def _choice(self, line: Line) -> bool | None:
        if address_of(line) != self.address:
            return None
        if line["detail-type"] == "ContactOptedOut":
            return True
        return {"STOP": True, "START": False}.get(line["detail"].get("text", ""))

    def consents(self) -> set[bool | None]:
        """Whether the contact agrees to marketing; ``None``: no choice is known.

        An erasure may leave a "yes" that excepts the contact from a "no", so there may be two answers.
        """
        choices = [line for line in self.lines if line["detail-type"] == "ConsentChanged" and self._is_own(line)]
        since = [line for line in choices if made_at(line) > self.erased_at]
        return {
            max(((made_at(line), line["detail"]["marketing"]) for line in some), default=(None, None))[1]
            for some in (choices, since)
        }

    def _is_own(self, line: Line) -> bool:
        return address_of(line) == self.address

    def is_paused(self, reason: str, at: datetime) -> bool:
        newest: dict[tuple[Any, Any], tuple[datetime, bool]] = {}
        for line in self.lines:
            if line["detail-type"] in ("SendingPaused", "SendingResumed"):
                key = (line["detail"].get("brand"), line["detail"].get("scope", "all"))
                entry = (at_of(line), line["detail-type"] == "SendingPaused")
                newest[key] = max(newest.get(key, entry), entry)
        scopes = {"all", reason, *(["marketing"] if CATEGORIES[reason] == "marketing" else [])}
        return any(lasts and begins <= at for (_, scope), (begins, lasts) in newest.items() if scope in scopes)

    def wanted(self, reason: str, subject_id: str, offset: str) -> Wanted | None:
        """The message as its subject wants it now; ``None`` if it does not."""
        return _WANTED[reason](self, subject_id, offset.partition("@")[0])

    def appointment(self, subject_id: str) -> tuple[datetime | None, bool]:
        """When the appointment starts, and whether it is cancelled."""
        newest = self._newest(subject_id, *RANKS)
        if newest is None:
            return None, True
        given = [line for line in self.lines if subject_of(line) == subject_id and "starts_at" in line["detail"]]
        last = max(given, key=at_of, default=None)
        starts_at = instant(last["detail"]["starts_at"]) if last else None
        return starts_at, newest["detail-type"] == "AppointmentCancelled"

    def _reminder(self, subject_id: str, offset: str) -> Wanted | None:
        starts_at, is_cancelled = self.appointment(subject_id)
        if starts_at is None or is_cancelled:
            return None
        day_before = wall(starts_at, -DAY, zone_of(self.address))
        last = starts_at - 2 * HOUR
        return {
            "P1D": Wanted(day_before, last, starts_at),
            "PT2H": Wanted(last, starts_at, starts_at),
        }.get(offset)

    def _correction(self, subject_id: str, *, cancelled: bool) -> Wanted | None:
        starts_at, is_cancelled = self.appointment(subject_id)
        if starts_at is None or is_cancelled is not cancelled:
            return None
        newest = self._newest(subject_id, *RANKS)
        assert newest
        return Wanted(at_of(newest), starts_at, starts_at)

    def _trial(self, subject_id: str, offset: str) -> Wanted | None:
        newest = self._newest(subject_id, "TrialStarted", "TrialExtended", "TrialConverted")
        if newest is None or "ends_at" not in newest["detail"]:
            return None
        ends_at, zone = instant(newest["detail"]["ends_at"]), zone_of(self.address)
        last = wall(ends_at, DAY, zone)
        return {
            "-P3D": Wanted(wall(ends_at, -3 * DAY, zone), last, ends_at),
            "P1D": Wanted(last, last + 3 * DAY, ends_at),
        }.get(offset)

    def _cart(self, subject_id: str, _: str) -> Wanted | None:
        newest = self._newest(subject_id, "CartAbandoned", "CartCheckedOut")
        if newest is None or not newest["detail"].get("items") or self._bought_since(at_of(newest)):
            return None
        return Wanted(at_of(newest) + 4 * HOUR, at_of(newest) + 48 * HOUR)

    def _product(self, subject_id: str, _: str) -> Wanted | None:
        newest = self._newest(subject_id, "ProductViewed", "ProductAddedToCart")
        if newest is None or newest["detail-type"] != "ProductViewed" or self._bought_since(at_of(newest)):
            return None
        at = at_of(newest)
        return Wanted(at + 4 * HOUR, at + 48 * HOUR, at)

    def _bought_since(self, at: datetime) -> bool:
        return any(at_of(line) > at for line in self._own("PurchaseMade"))

    def _order(self, subject_id: str, _: str) -> Wanted | None:
        shipped = self._newest(subject_id, "OrderShipped")
        ended = ("OrderDelivered", "OrderReturned", "ReviewReceived")
        if shipped is None or any(self._of(subject_id, *ended)):
            return None
        return Wanted(at_of(shipped), at_of(shipped) + 3 * DAY)

    def _review(self, subject_id: str, _: str) -> Wanted | None:
        delivered = self._newest(subject_id, "OrderDelivered")
        if delivered is None or any(self._of(subject_id, "OrderReturned", "ReviewReceived")):
            return None
        return Wanted(at_of(delivered) + 3 * DAY, at_of(delivered) + 17 * DAY)

    def _of(self, subject_id: str, *types: str) -> Iterator[Line]:
        return (line for line in self.lines if line["detail-type"] in types and subject_of(line) == subject_id)

    def _restock(self, subject_id: str, _: str) -> Wanted | None:
        interests = [line for line in self._own("InterestShown", "InterestWithdrawn") if subject_of(line) == subject_id]
        stocks = list(self._of(subject_id, "ItemBackInStock", "ItemSoldOut"))
        interest, stock = max(interests, key=at_of, default=None), max(stocks, key=at_of, default=None)
        if interest is None or stock is None:
            return None
        if interest["detail-type"] != "InterestShown" or stock["detail-type"] != "ItemBackInStock":
            return None
        return Wanted(at_of(stock), at_of(stock) + DAY)

    def _preview(self, subject_id: str, _: str) -> Wanted | None:
        announced = max(
            self._of(subject_id, "ProductPreviewAnnounced", "AnnouncementWithdrawn"), key=at_of, default=None
        )
        if announced is None or "send_at" not in announced["detail"]:
            return None
        send_at = instant(announced["detail"]["send_at"])
        return Wanted(send_at, send_at + 2 * DAY)

    def _holiday(self, subject_id: str, _: str) -> Wanted | None:
        events = self._of(subject_id, "HolidayHoursAnnounced", "AnnouncementWithdrawn")
        announced = max(events, key=at_of, default=None)
        if announced is None or "send_at" not in announced["detail"]:
            return None
        detail = announced["detail"]
        day = date.fromisoformat(detail["date"]) + timedelta(days=1)
        ends = datetime.combine(day, time(), ZoneInfo(detail["timezone"])).astimezone(UTC)
        return Wanted(instant(detail["send_at"]), ends)

    def _reply(self, subject_id: str, _: str) -> Wanted | None:
        """To the contact's message of that id."""
        for line in self._own("MessageReceived"):
            if line["detail"]["message_id"] == subject_id:
                return Wanted(made_at(line), made_at(line) + REPLY_LASTS)
        return None


_WANTED: Final[Mapping[str, Callable[[View, str, str], Wanted | None]]] = {
    "appointment_reminder": View._reminder,
    "appointment_moved": lambda view, subject, _: view._correction(subject, cancelled=False),
    "appointment_cancelled": lambda view, subject, _: view._correction(subject, cancelled=True),
    "trial_follow_up": View._trial,
    "cart_reminder": View._cart,
    "product_reminder": View._product,
    "order_shipped": View._order,
    "review_request": View._review,
    "back_in_stock": View._restock,
    "product_preview": View._preview,
    "holiday_hours": View._holiday,
    **dict.fromkeys(("welcome_back", "help_reply", "answer_reply"), View._reply),
}
