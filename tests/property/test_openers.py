"""In any order of bookings, uses, erasures and cancellations, one address is reminded, and only one that may be."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from hypothesis import given, settings
from hypothesis import strategies as st

from reengage.adapters.opener_links import OpenerLinks
from reengage.adapters.wording import FluentWording
from reengage.domain.commands import EraseContact
from reengage.domain.contact import Contact
from reengage.domain.message import State
from reengage.domain.openers import find_tokens
from reengage.domain.planning import planned_messages
from reengage.domain.routes import Routes
from reengage.domain.subject import SubjectRef
from tests.fakes import ANNA, NOON, World, business, inbound

DAY = timedelta(days=1)
REF = SubjectRef("acme-dental", "appointment", "A-1001")
SENDERS = (ANNA, Contact("acme-dental", "whatsapp", "+4915187654321"), Contact("acme-dental", "sms", "+4915100000003"))

Step = tuple[Literal["book", "move", "cancel", "use", "erase", "wait"], int, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["book", "book", "move", "cancel", "use", "use", "use", "erase", "wait"]),
        st.integers(0, 2),
        st.integers(0, 5),
    ),
    max_size=14,
)


@dataclass(slots=True)
class Clinic:
    """One appointment of ANNA, and every code that was published."""

    world: World = field(default_factory=lambda: World(invite=OpenerLinks(Routes(), FluentWording())))
    active: bool = False
    starts_in: int = 3
    codes: list[str] = field(default_factory=list)
    uses: dict[str, list[Contact]] = field(default_factory=dict)

    def do(self, step: Step) -> None:
        what, who, number = step
        world = self.world
        world.clock.forward(minutes=7)
        match what:
            case "book" | "move":
                self.starts_in = 20 + number
                name = "AppointmentBooked" if what == "book" else "AppointmentRescheduled"
                world.plan(business(name, world.clock.now, contact=ANNA, starts_at=NOON + self.starts_in * DAY))
                self.active = True
            case "cancel":
                world.plan(business("AppointmentCancelled", world.clock.now, contact=ANNA if number % 2 else None))
                self.active = False
            case "use" if self.codes:
                self._use(SENDERS[who], self.codes[number % len(self.codes)])
            case "erase":
                world.erase(EraseContact(SENDERS[who], world.clock.now))
                assert SENDERS[who].address not in repr(world.store._subjects)
                assert not world.store.read_holdings(SENDERS[who]).consents
                if SENDERS[who] == ANNA:
                    self.active = False
            case _:
                world.clock.forward(hours=number)
        self.codes += [
            code
            for detail in world.bus.details("MessagePlanned")
            for code in find_tokens(detail.get("opener_text", ""))
            if code not in self.codes
        ]

    def _use(self, sender: Contact, code: str) -> None:
        held = len(self.world.store.read_holdings(sender).consents)
        self.world.receive(inbound(self.world.clock.now, contact=sender, text=f"Hello {code}"))
        if len(self.world.store.read_holdings(sender).consents) > held:
            self.uses.setdefault(code, []).append(sender)

    def reminded(self) -> set[Contact]:
        """Return the contacts of reminders that are scheduled, and that the subject still wants."""
        wanted = {message.key for message in planned_messages(self.world.store.read_subject(REF))}
        rows = self.world.store.rows()
        return {row.contact for row in rows if row.state is State.SCHEDULED and row.key in wanted}


@given(STEPS)
@settings(deadline=None, max_examples=150)
def test_one_address_is_reminded_and_each_code_is_used_once(steps: Sequence[Step]) -> None:
    clinic = Clinic()
    for step in steps:
        clinic.do(step)
        reminded = clinic.reminded()
        assert len(reminded) <= 1
        assert all(len(senders) == 1 for senders in clinic.uses.values())
        if not clinic.active:
            assert reminded == set()
        allowed = {ANNA, *(sender for senders in clinic.uses.values() for sender in senders)}
        assert reminded <= allowed
        assert reminded <= {ANNA} | {each for each in SENDERS if clinic.world.store.read_holdings(each).consents}
