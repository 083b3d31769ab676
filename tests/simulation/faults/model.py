"""A small model of what is promised, which uses nothing of the product's policy, planning or subjects.

A view is the result of some of a story's events. It has the messages that are wanted, and what would be wrong with one.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from tests.simulation.faults.events import (
    IN_SEVERAL,
    address_of,
    at_of,
    chosen_at,
    instant,
    is_chat,
    made_at,
    number_of,
    subject_of,
    wall,
    zone_of,
)
from tests.simulation.faults.reasons import (
    CATEGORIES,
    EARLIEST,
    ENDS,
    FREE_TEXT,
    NEVER,
    OFFSETS,
    PULLED,
    RANKS,
    RECEIVED,
    REPLY_LASTS,
    SHIPPED,
    WINDOW,
)
from tests.simulation.faults.settings import DAY, HOUR, Line, Settings


class Wanted(NamedTuple):
    """A message that its subject wants: due at one instant, valid until another."""

    due_at: datetime
    valid_until: datetime
    anchor_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class View:
    """What ``lines`` come to for one contact. ``erased_at`` is the instant until which the contact was erased.

    ``people`` are all addresses of the person, the contact's own among them; ``channels`` those of the contact's own
    number, without any link.
    """

    lines: Sequence[Line]
    address: str
    settings: Settings
    people: frozenset[str]
    erased_at: datetime = NEVER
    channels: frozenset[str] = frozenset()

    def _kept(self, *types: str) -> Iterator[Line]:
        """The person's events of these types that no erasure took, at any address."""
        for line in self.lines:
            if line["detail-type"] in types and address_of(line) in self.people and made_at(line) > self.erased_at:
                yield line

    def _own(self, *types: str) -> Iterator[Line]:
        return (line for line in self._kept(*types) if address_of(line) == self.address)

    def _newest(self, subject_id: str, *types: str) -> Line | None:
        """The subject's newest event; ``None`` if an erasure took the one that named the contact."""
        of_subject = list(self.of(subject_id, *types))
        if not self._is_named(of_subject):
            return None
        newest = max(of_subject, key=_rank)
        # Of a number's channels, the one that was named last has the message.
        return None if address_of(newest) in self.channels - {self.address} else newest

    def _is_named(self, lines: Sequence[Line]) -> bool:
        return any(address_of(line) == self.address and at_of(line) > self.erased_at for line in lines)

    def last_inbound_at(self, address: str | None = None) -> datetime:
        own = (line for line in self._kept("MessageReceived") if address_of(line) == (address or self.address))
        return max(map(made_at, own), default=NEVER)

    def window_is_open(self, at: datetime, address: str | None = None) -> bool:
        last = self.last_inbound_at(address)
        return last > NEVER and at < last + WINDOW

    def closes_at(self, reason: str, at: datetime, only: str | None = None) -> datetime:
        """When the last of the person's windows closes, of those whose channel takes the message at ``at``, if any.

        ``only``: when that address's window does.
        """
        usable = [
            address
            for address in self.people
            if self.channel_allows(reason, at, address) and not self.has_left(address)
        ]
        last = max(map(self.last_inbound_at, [only] if only else usable or [self.address]))
        return last + WINDOW if last > NEVER else NEVER

    def has_left(self, address: str) -> bool:
        """Whether the person left the address, and no one has written from there since."""
        moves = (line for line in self.lines if line["detail-type"] == "ContactMoved" and address_of(line) == address)
        left_at = max(map(at_of, moves), default=NEVER)
        return left_at > NEVER and self.last_inbound_at(address) <= left_at

    def channel_allows(self, reason: str, at: datetime, address: str) -> bool:
        """Whether the channel takes this message then; after a day WhatsApp takes only what has a template."""
        if not is_chat(address) or at < self.last_inbound_at(address) + FREE_TEXT:
            return True
        return reason in self.settings.templates and not (CATEGORIES[reason] == "marketing" and address[:2] == "+1")

    def reaches(self, reason: str, at: datetime, but: Collection[str] = ()) -> bool:
        """Whether an address of the person can be written to then, ``but`` those that were tried."""
        addresses = self.people - self.channels if self._refuses(reason) else self.people
        return any(
            self.takes(reason, at, address) and self.agrees(reason, address)
            for address in {self.address, *addresses}
            if address not in but
        )

    def _refuses(self, reason: str) -> bool:
        """Whether the person refused such messages on the named channel: then they go to no other one either."""
        return CATEGORIES[reason] == "marketing" and self.consents(self.address) == {False}

    def takes(self, reason: str, at: datetime, address: str) -> bool:
        """Whether the address can be written to then."""
        return (
            self.window_is_open(at, address) and self.channel_allows(reason, at, address) and not self.has_left(address)
        )

    def is_in_conversation(self, at: datetime, but: Collection[str] = ()) -> bool:
        """Whether the person talks, at any address ``but`` these."""
        lasts, talk = self.settings.conversation, self._kept("MessageReceived", "AgentReplied")
        return any(at < made_at(line) + lasts for line in talk if address_of(line) not in but)

    @property
    def is_linked(self) -> bool:
        """Whether the person has addresses beside the contact's own number."""
        return not self.people <= {self.address, *self.channels}

    def opted_out(self) -> bool:
        """The latest choice counts; at one instant, the opt-out. An opt-out outlives an erasure."""
        return max(self._choices(), default=(None, False))[1]

    def has_ever_opted_out(self) -> bool:
        """Whether there was an opt-out: what undoes it for one address may not do so for another one."""
        return any(no for _, no in self._choices())

    def _choices(self) -> Iterator[tuple[datetime, bool]]:
        return ((made_at(line), no) for line in self.lines if (no := self._choice(line)) is not None)

    def _choice(self, line: Line) -> bool | None:
        if address_of(line) not in self.people:
            return None
        if line["detail-type"] == "ContactOptedOut":
            return True
        return {"STOP": True, "START": False}.get(line["detail"].get("text", ""))

    def consents(self, address: str | None = None) -> set[bool | None]:
        """Whether the contact agrees to marketing; ``None``: no choice is known.

        The latest choice counts; at one instant, the "no". An erasure may leave a "yes" that excepts the contact from
        a "no", so there may be two answers. A "yes" is for one address, and a "no" for all: of a number's channels,
        ``address`` has the answer. Unless the latest choice is a "no", any answer is possible for two linked addresses.
        """
        own = address if address in self.channels else self.address
        choices = [
            line
            for line in self.lines
            if line["detail-type"] == "ConsentChanged"
            and address_of(line) in self.people
            and not (line["detail"]["marketing"] and address_of(line) in self.channels - {own})
        ]
        since = [line for line in choices if made_at(line) > self.erased_at]
        found = {
            _latest([(chosen_at(line), not line["detail"]["marketing"]) for line in some]) for some in (choices, since)
        }
        is_certain = not self.is_linked or found in ({None}, {False})
        return found if is_certain else {True, False, None}

    def agrees(self, reason: str, address: str) -> bool:
        """Whether the person may have agreed to messages of the reason there."""
        if CATEGORIES[reason] != "marketing":
            return True
        consents = self.consents(address)
        is_needed = reason == "product_preview" or self.settings.needs_consent
        return consents != {False} and (not is_needed or True in consents)

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

    def zones(self, subject_id: str, address: str | None = None) -> list[ZoneInfo]:
        """The zones in which it must not be quiet: that of the number, the event or the brand, or all of the number.

        The zone of an announcement is that of a place: the brand's goes before it.
        """
        number = address or self.address
        if number[:3] not in IN_SEVERAL:
            return [zone_of(number)]
        of_brand = [self.settings.timezone] if self.settings.timezone else []
        given = [line["detail"]["timezone"] for line in self.of(subject_id) if "timezone" in line["detail"]]
        is_place = any("announcement_id" in line["detail"] for line in self.of(subject_id))
        known = [*of_brand, *given] if is_place else [*given, *of_brand]
        return [ZoneInfo(name) for name in known[:1] or IN_SEVERAL[number[:3]]]

    def earliest(self, reason: str, subject_id: str, offset: str, wanted: Wanted) -> datetime:
        """From when it may be sent: when it is due, or before a night or the window's end that would cost it."""
        category, zones = CATEGORIES[reason], self.zones(subject_id)
        if wanted.anchor_at and self.settings.allowed_from(category, wanted.due_at, *zones) >= wanted.valid_until:
            return wanted.anchor_at - EARLIEST
        if self.settings.closing != "pull_forward" or reason not in PULLED:
            return wanted.due_at
        others = [self.wanted(reason, subject_id, each) for each in OFFSETS.get(reason, ()) if each != offset]
        closes = {self.closes_at(reason, wanted.due_at)}
        if len(self.channels) > 1:  # each channel has a window, and one of them may not count
            closes |= {self.closes_at(reason, wanted.due_at, each) for each in self.channels}
        for closes_at in closes:
            is_first = not any(other and closes_at <= other.due_at < wanted.due_at for other in others)
            if closes_at <= wanted.due_at and is_first:  # only the first one is sent before
                by_anchor = wanted.anchor_at - EARLIEST if wanted.anchor_at and reason in OFFSETS else None
                return by_anchor or wanted.due_at - PULLED[reason]
        return wanted.due_at

    def appointment(self, subject_id: str) -> tuple[Line | None, datetime | None, bool]:
        """The newest event that changed it for the person, when it starts, and whether the person takes part.

        Who sent its code takes the place of the person that it was made for.
        """
        lines = sorted(self.of(subject_id, *RANKS), key=_rank)
        use = next((line for line in self.lines if line.get("binds", {}).get("subject_id") == subject_id), None)
        if use is None:
            return self._shared(lines, "starts_at")
        owner, sender = use["binds"]["owner"], address_of(use)
        if self.address == sender:
            return self._seen_by(owner.address)._for_all(lines)
        return (None, None, False) if number_of(self.address) == owner.address else self._shared(lines, "starts_at")

    def _seen_by(self, number: str) -> "View":
        """The view of a number, at whichever of its channels."""
        named = {address for line in self.lines if (address := address_of(line))}
        channels = frozenset(address for address in named if number_of(address) == number)
        own = (line for line in self.lines if address_of(line) in channels)
        erased = (line for line in own if line["detail-type"] == "ContactErased")
        return replace(self, people=channels, channels=channels, erased_at=max(map(at_of, erased), default=NEVER))

    def _for_all(self, lines: Sequence[Line]) -> tuple[Line | None, datetime | None, bool]:
        return replace(self, address=self._first_named(lines) or self.address)._shared(lines, "starts_at")

    def _shared(self, lines: Sequence[Line], field: str) -> tuple[Line | None, datetime | None, bool]:
        """The same by the events of a subject that may have several people; ``field`` has its instant."""
        if not self._is_named(lines) or self._first_named(lines) != self.address:
            return None, None, False
        dated = [line for line in lines if field in line["detail"]]
        concerns = [line for line in lines if address_of(line) in (None, *self.people) or line in dated]
        at = instant(dated[-1]["detail"][field]) if dated else None
        return concerns[-1], at, self._takes_part(lines)

    def _first_named(self, lines: Sequence[Line], track: Sequence[Line] = ()) -> str | None:
        """The address of the person for which the messages are: of those that were added, the one named first.

        Of a number's channels, the one that was named last, in the ``track`` if it names one.
        """
        added = {address_of(line) for line in lines if line["detail-type"] not in ENDS} & self.people
        numbers = {number_of(address) for address in added if address}
        named_first = [address for line in lines if (address := address_of(line)) and number_of(address) in numbers]
        if not named_first:
            return None
        in_track = [address for line in track if (address := address_of(line))]
        of_number = [each for each in (*named_first, *in_track) if number_of(each) == number_of(named_first[0])]
        return of_number[-1]

    def _takes_part(self, lines: Sequence[Line]) -> bool:
        """Who leaves alone comes back alone, unless there is no one else."""
        takes_part = has_left = has_others = False
        for line in lines:
            ends = line["detail-type"] in ENDS
            match address_of(line):
                case address if address in self.people:
                    takes_part, has_left = not ends, ends
                case None if ends:
                    takes_part = False
                case None:
                    takes_part = takes_part or not has_left or not has_others
                case _:
                    has_others = True
        return takes_part

    def _reminder(self, subject_id: str, offset: str) -> Wanted | None:
        _, starts_at, takes_part = self.appointment(subject_id)
        if starts_at is None or not takes_part:
            return None
        day_before = wall(starts_at, -DAY, zone_of(self.address))
        last = starts_at - 2 * HOUR
        return {
            "P1D": Wanted(day_before, last, starts_at),
            "PT2H": Wanted(last, starts_at, starts_at),
        }.get(offset)

    def _correction(self, subject_id: str, *, cancelled: bool) -> Wanted | None:
        newest, starts_at, takes_part = self.appointment(subject_id)
        if newest is None or starts_at is None or takes_part is cancelled:
            return None
        return Wanted(at_of(newest), starts_at, starts_at)

    def _trial(self, subject_id: str, offset: str) -> Wanted | None:
        lines = sorted(self.of(subject_id, "TrialStarted", "TrialExtended", "TrialConverted"), key=_rank)
        _, ends_at, takes_part = self._shared(lines, "ends_at")
        if ends_at is None or not takes_part or self._is_converted(lines):
            return None
        zone = zone_of(self.address)
        last = wall(ends_at, DAY, zone)
        return {
            "-P3D": Wanted(wall(ends_at, -3 * DAY, zone), last, ends_at),
            "P1D": Wanted(last, last + 3 * DAY, ends_at),
        }.get(offset)

    def _is_converted(self, lines: Sequence[Line]) -> bool:
        """A conversion ends a trial for good: no extension, but a newer start, begins it again."""
        own = (line for line in lines if address_of(line) in (None, *self.people))
        types = [line["detail-type"] for line in own if line["detail-type"] != "TrialExtended"]
        return types[-1:] == ["TrialConverted"]

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
        return any(at_of(line) >= at for line in self._kept("PurchaseMade"))

    def _order(self, subject_id: str, _: str) -> Wanted | None:
        shipped = self._part_of_order(subject_id, SHIPPED)
        received = self._concerning(self.of(subject_id, *RECEIVED))
        if shipped is None or any(at_of(line) >= at_of(self._concerning(shipped)[-1]) for line in received):
            return None
        return Wanted(at_of(shipped[-1]), at_of(shipped[-1]) + 3 * DAY)

    def _review(self, subject_id: str, _: str) -> Wanted | None:
        received = self._part_of_order(subject_id, RECEIVED)
        delivered = [line for line in received or () if line["detail-type"] == "OrderDelivered"]
        if not delivered or "ReviewReceived" in {line["detail-type"] for line in self._concerning(received or ())}:
            return None
        due = wall(at_of(delivered[-1]), 3 * DAY, ZoneInfo(self.settings.timezone or "UTC"))  # days of the brand
        return Wanted(due, due + 14 * DAY)

    def _part_of_order(self, subject_id: str, types: Collection[str]) -> list[Line] | None:
        """The events of these types, if they are about the person, and the contact has the messages; in order."""
        lines = sorted(self.of(subject_id, *SHIPPED, *RECEIVED), key=_rank)
        part = [line for line in lines if line["detail-type"] in types]
        if not self._is_named(lines) or self._first_named(lines, part) != self.address:
            return None
        return part if self._concerning(part) and self._takes_part(part) else None

    def _concerning(self, lines: Iterable[Line]) -> list[Line]:
        """The events that name the person, or no one."""
        return [line for line in lines if address_of(line) in (None, *self.people)]

    def of(self, subject_id: str, *types: str) -> Iterator[Line]:
        wanted = (line for line in self.lines if not types or line["detail-type"] in types)
        return (line for line in wanted if subject_of(line) == subject_id)

    def _restock(self, subject_id: str, _: str) -> Wanted | None:
        own = {self.address, *self.channels}
        kept = self._kept("InterestShown", "InterestWithdrawn")
        interests = [line for line in kept if address_of(line) in own and subject_of(line) == subject_id]
        stocks = list(self.of(subject_id, "ItemBackInStock", "ItemSoldOut"))
        interest, stock = max(interests, key=at_of, default=None), max(stocks, key=at_of, default=None)
        if interest is None or stock is None:
            return None
        if interest["detail-type"] != "InterestShown" or stock["detail-type"] != "ItemBackInStock":
            return None
        return Wanted(at_of(stock), at_of(stock) + DAY)

    def _preview(self, subject_id: str, _: str) -> Wanted | None:
        announced = max(
            self.of(subject_id, "ProductPreviewAnnounced", "AnnouncementWithdrawn"), key=at_of, default=None
        )
        if announced is None or "send_at" not in announced["detail"]:
            return None
        send_at = instant(announced["detail"]["send_at"])
        return Wanted(send_at, send_at + 2 * DAY)

    def _holiday(self, subject_id: str, _: str) -> Wanted | None:
        events = self.of(subject_id, "HolidayHoursAnnounced", "AnnouncementWithdrawn")
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


def _latest(refusals: Collection[tuple[datetime, bool]]) -> bool | None:
    """Whether the latest choice allows; at one instant, a refusal counts. ``None``: there is no choice."""
    return not max(refusals)[1] if refusals else None


def _rank(line: Line) -> tuple[datetime, int]:
    return at_of(line), RANKS.get(line["detail-type"], 0)


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
