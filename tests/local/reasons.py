"""Every reason for which a message may be sent, end to end: planned, sent and undone, on the deployed template.

    make e2e-reasons

Each function below plays one row of the reasons' table in three acts: the events, their undoing, and repeats after all
was sent. Between the acts the deployed system is checked. Every row of its table and every published event must belong
to a case.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Generator
from datetime import datetime, timedelta
from typing import Any, Final

from tests.local import emulator
from tests.local.stage import BRAND, NAME, SEND_FUNCTIONS, WINDOW, Json, Message, Person, Seen, Stage

STACK: Final = "reengage-reasons"
PARAMETERS: Final = {"HelpReply": "app", "WhenWindowWillClose": "warn,trial_follow_up=pull_forward"}

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)

CANCELLED: Final = {"ends": "skipped", "rule": "cancelled"}
SUPERSEDED: Final = {"ends": "skipped", "rule": "superseded"}
LATER: Final = {"ends": "scheduled"}

UNWANTED: Final = ("EventRejected", "MessageHeld", "MessageFailed", "MessageUnconfirmed", "OptOutSuspected")

Acts = Generator[None]


def appointment_reminder(stage: Stage) -> Acts:
    default, moved, cancelled = (stage.person() for _ in range(3))
    due_at = stage.soon()
    starts_at = due_at + 2 * HOUR
    stage.happens("AppointmentBooked", default, appointment_id="visit-1", starts_at=starts_at)
    one = {"starts_at": starts_at, "remind_before": ["PT2H"]}
    stage.happens("AppointmentBooked", moved, appointment_id="visit-2", **one)
    stage.happens("AppointmentBooked", cancelled, appointment_id="visit-3", **one)

    wants = _about(stage, "appointment_reminder", "PT2H")
    wants("by default two hours before", default, "visit-1", due_at, must_contain=("a reminder of your appointment",))
    past = {"step": "P1D", "first": "skipped", "ends": "skipped", "rule": "too_late"}
    wants("by default a day before, which is past", default, "visit-1", starts_at - DAY, **past)
    wants("rescheduled", moved, "visit-2", due_at, **SUPERSEDED)
    wants("rescheduled, the new time", moved, "visit-2", due_at + DAY, **LATER | {"first": None})
    wants("AppointmentCancelled", cancelled, "visit-3", due_at, **CANCELLED)
    yield
    stage.happens("AppointmentRescheduled", moved, appointment_id="visit-2", starts_at=starts_at + DAY)
    stage.happens("AppointmentCancelled", BRAND, appointment_id="visit-3")
    yield


def online_check_in(stage: Stage) -> Acts:
    link = "https://acme.example/check-in"
    invitation = ("check in online for your appointment", link)
    apart, done, cancelled, moved = (stage.person() for _ in range(4))
    due_at = stage.soon()
    starts_at = due_at + DAY
    booked = {"starts_at": starts_at, "remind_before": ["PT2H"], "check_in_url": link}
    for number, person in enumerate((apart, done, cancelled, moved), start=1):
        stage.happens("AppointmentBooked", person, appointment_id=f"flight-{number}", **booked)
    wants = _about(stage, "online_check_in", "PT24H")
    reminds = _about(stage, "appointment_reminder", "PT2H")
    reminder_at = starts_at - 2 * HOUR
    wants("beside a reminder", apart, "flight-1", due_at, must_contain=invitation)
    reminds("beside a reminder", apart, "flight-1", reminder_at, **LATER)
    wants("CheckInCompleted", done, "flight-2", due_at, **CANCELLED)
    reminds("CheckInCompleted, the reminder stays", done, "flight-2", reminder_at, **LATER)
    wants("AppointmentCancelled", cancelled, "flight-3", due_at, **CANCELLED)
    reminds("AppointmentCancelled", cancelled, "flight-3", reminder_at, **CANCELLED)
    wants("rescheduled", moved, "flight-4", due_at, **SUPERSEDED)
    reminds("rescheduled", moved, "flight-4", reminder_at, **SUPERSEDED)
    wants("rescheduled, the new time", moved, "flight-4", due_at + DAY, **LATER | {"first": None})
    reminds("rescheduled, the new time", moved, "flight-4", reminder_at + DAY, **LATER | {"first": None})

    within, within_done = (stage.person() for _ in range(2))
    soon = stage.soon()
    booked |= {"starts_at": soon + 2 * HOUR, "check_in_before": "PT1H30M"}
    stage.happens("AppointmentBooked", within, appointment_id="flight-5", **booked)
    stage.happens("AppointmentBooked", within_done, appointment_id="flight-6", **booked)
    reminds("carried by a reminder within the hour", within, "flight-5", soon, must_contain=(link,))
    reminds("carried, but CheckInCompleted", within_done, "flight-6", soon, must_not_contain=link)
    yield
    stage.happens("CheckInCompleted", BRAND, appointment_id="flight-2")
    stage.happens("AppointmentCancelled", BRAND, appointment_id="flight-3")
    stage.happens("AppointmentRescheduled", moved, appointment_id="flight-4", starts_at=starts_at + DAY)
    stage.happens("CheckInCompleted", BRAND, appointment_id="flight-6")
    yield


def trial_follow_up(stage: Stage) -> Acts:
    ignored, converted, cancelled, extended = (stage.person() for _ in range(4))
    due_at = stage.soon()
    ends_at = due_at + 3 * DAY
    started = {"product": {"en": "Acme Plus", "de": "Acme Extra"}, "ends_at": ends_at}
    started |= {"upgrade_url": "https://acme.example/plus"}
    for number, person in enumerate((ignored, converted, cancelled, extended), start=1):
        stage.happens("TrialStarted", person, trial_id=f"trial-{number}", **started)
    before, after = _about(stage, "trial_follow_up", "-P3D"), _about(stage, "trial_follow_up", "P1D")
    before(
        "three days before it ends",
        ignored,
        "trial-1",
        due_at,
        must_contain=("Acme Plus ends", "https://acme.example/plus"),
    )
    after("a day after", ignored, "trial-1", ends_at + DAY, **LATER)
    for wants, due in ((before, due_at), (after, ends_at + DAY)):
        wants("TrialConverted", converted, "trial-2", due, **CANCELLED)
        wants("TrialCancelled", cancelled, "trial-3", due, **CANCELLED)
        wants("TrialExtended", extended, "trial-4", due, **SUPERSEDED)
        wants("TrialExtended, the new end", extended, "trial-4", due + 7 * DAY, **LATER | {"first": None})
    yield
    stage.happens("TrialConverted", BRAND, trial_id="trial-2")
    stage.happens("TrialCancelled", BRAND, trial_id="trial-3")
    stage.happens("TrialExtended", extended, trial_id="trial-4", product="Acme Plus", ends_at=ends_at + 7 * DAY)
    yield


def product_reminder(stage: Stage) -> Acts:
    looked, added = (stage.person() for _ in range(2))
    due_at = stage.soon()
    viewed = {"product_id": "lamp", "name": "Desk lamp", "url": "https://acme.example/lamp"}
    for person in (looked, added):
        stage.happens("ProductViewed", person, **viewed, occurred_at=due_at - 4 * HOUR)
    wants = _about(stage, "product_reminder", "PT4H")
    wants("viewed", looked, "lamp", due_at, must_contain=("Desk lamp", "https://acme.example/lamp"))
    wants("ProductAddedToCart, of two who viewed it", added, "lamp", due_at, **CANCELLED)
    yield
    stage.happens("ProductAddedToCart", added, product_id="lamp")
    yield


def cart_reminder(stage: Stage) -> Acts:
    left, bought = (stage.person() for _ in range(2))
    due_at = stage.soon()
    cart = {"items": [{"name": "Desk lamp"}, "Chair"], "cart_url": "https://acme.example/cart"}
    stage.happens("CartAbandoned", left, cart_id="cart-1", **cart, occurred_at=due_at - 4 * HOUR)
    stage.happens("CartAbandoned", bought, cart_id="cart-2", **cart, occurred_at=due_at - 4 * HOUR)
    due_again = stage.soon()
    stage.happens("CartAbandoned", left, cart_id="cart-1", **cart, occurred_at=due_again - 4 * HOUR)
    wants = _about(stage, "cart_reminder", "PT4H")
    wants(
        "left twice, once a cart",
        left,
        "cart-1",
        due_again,
        must_contain=("Desk lamp, Chair", "https://acme.example/cart"),
    )
    wants("CartCheckedOut", bought, "cart-2", due_at, **CANCELLED)
    yield
    stage.happens("CartCheckedOut", BRAND, cart_id="cart-2")
    yield
    stage.happens("CartAbandoned", left, cart_id="cart-1", **cart, occurred_at=stage.now())


def order_shipped(stage: Stage) -> Acts:
    person = stage.person()
    shipped_at = stage.now()
    parcel = {"order_id": "order-1", "carrier": "Acme Post", "tracking_url": "https://acme.example/track"}
    event = stage.happens("OrderShipped", person, **parcel, occurred_at=shipped_at)
    contained = ("shipped with Acme Post", "https://acme.example/track")
    _about(stage, "order_shipped", "PT0S")("at once, and once", person, "order-1", shipped_at, must_contain=contained)
    yield
    answer = stage.replan("PlanMessagesFunctionArn", "OrderShipped", event)
    stage.check("the same event again, before it is sent", answer.get("planned"), 1)
    yield
    answer = stage.replan("PlanMessagesFunctionArn", "OrderShipped", event)
    # MessagePlanned is published at least once, so again; the checks of the rows see that nothing is sent twice.
    stage.check("the same event again, after it was sent", answer.get("planned"), 1)
    stage.happens("OrderShipped", person, **parcel, occurred_at=stage.now())


def review_request(stage: Stage) -> Acts:
    pleased, reviewed, returned = (stage.person() for _ in range(3))
    due_at = stage.soon()
    delivered = {"review_url": "https://acme.example/review", "occurred_at": due_at - 3 * DAY}
    for number, person in enumerate((pleased, reviewed, returned), start=2):
        stage.happens("OrderDelivered", person, order_id=f"order-{number}", **delivered)
    wants = _about(stage, "review_request", "P3D")
    wants("three days after delivery", pleased, "order-2", due_at, must_contain=("https://acme.example/review",))
    wants("ReviewReceived", reviewed, "order-3", due_at, **CANCELLED)
    wants("OrderReturned", returned, "order-4", due_at, **CANCELLED)
    yield
    stage.happens("ReviewReceived", BRAND, order_id="order-3")
    stage.happens("OrderReturned", BRAND, order_id="order-4")
    yield


def back_in_stock(stage: Stage) -> Acts:
    brand = "acme-stock"
    waiting, withdrew, sofa = (stage.person(brand=brand) for _ in range(3))
    stage.person(brand=brand)  # without interest
    silent = stage.person(brand=brand, wrote=None)
    for person in (waiting, withdrew, silent):
        stage.happens("InterestShown", person, item_id="lamp")
    stage.happens("InterestShown", sofa, item_id="sofa")
    back_at = stage.now()
    stage.happens("ItemBackInStock", brand, item_id="lamp", name="Desk lamp", occurred_at=back_at)
    stage.happens("ItemBackInStock", brand, item_id="sofa", name="Sofa", occurred_at=back_at)
    wants = _about(stage, "back_in_stock", "PT0S", first=None)
    wants("who showed interest", waiting, "lamp", back_at, must_contain=("Desk lamp is back",))
    wants("who showed interest, and never wrote", silent, "lamp", back_at, ends="skipped", rule="no_conversation")
    ended = {"planned": 2, "sent": 1, "skipped": {"no_conversation": 1}}
    stage.wants_broadcast({"brand": brand, "item_id": "lamp"}, back_at, **ended)
    stage.wants_broadcast({"brand": brand, "item_id": "sofa"}, back_at, state="withdrawn")
    yield
    stage.happens("InterestWithdrawn", withdrew, item_id="lamp")
    stage.happens("ItemSoldOut", brand, item_id="sofa")
    yield


def product_preview(stage: Stage) -> Acts:
    brand, stopped = "acme-preview", "acme-preview-2"
    agreed, silent, other = stage.person(brand=brand), stage.person(brand=brand), stage.person(brand=stopped)
    stage.person(brand=brand, wrote=WINDOW + DAY)  # whose conversation is not open
    wording = {"where": "order form", "when": (stage.now() - DAY).isoformat(), "wording": "Show me what is new."}
    for person in (agreed, other):
        stage.happens("ConsentChanged", person, marketing=True, evidence=wording)
    send_at = stage.soon()
    announced = {"announcement_id": "preview-1", "title": {"en": "The new lamps"}, "send_at": send_at}
    for whose in (brand, stopped):
        stage.happens("ProductPreviewAnnounced", whose, **announced)
    wants = _about(stage, "product_preview", "PT0S", first=None)
    wants("with a recorded consent", agreed, "preview-1", send_at, must_contain=("The new lamps",))
    wants("without one", silent, "preview-1", send_at, ends="skipped", rule="no_consent")
    ended = {"planned": 2, "sent": 1, "skipped": {"no_consent": 1}}
    stage.wants_broadcast({"brand": brand, "announcement_id": "preview-1"}, send_at, **ended)
    stage.wants_broadcast({"brand": stopped, "announcement_id": "preview-1"}, send_at, state="withdrawn")
    yield
    stage.happens("AnnouncementWithdrawn", stopped, announcement_id="preview-1")
    yield


def holiday_hours(stage: Stage) -> Acts:
    hours = {"opens": "10:30", "closes": "14:00"}
    cases: dict[str, Json] = {"acme-open": hours, "acme-closed": {"closed": True}, "acme-undone": hours}
    open_, closed, _ = (stage.person(brand=brand) for brand in cases)
    stage.person(brand="acme-open", wrote=WINDOW + DAY)  # whose conversation is not open
    send_at = stage.soon()
    date = f"{send_at + 3 * DAY:%Y-%m-%d}"
    for brand, hours in cases.items():
        stage.happens("HolidayHoursAnnounced", brand, announcement_id="holiday-1", date=date, send_at=send_at, **hours)
    wants = _about(stage, "holiday_hours", "PT0S", first=None)
    wants("opens and closes", open_, "holiday-1", send_at, must_contain=("10:30", "2:00"))
    wants("closed", closed, "holiday-1", send_at, must_contain=("we are closed",))
    for brand in ("acme-open", "acme-closed"):
        stage.wants_broadcast({"brand": brand, "announcement_id": "holiday-1"}, send_at, planned=1, sent=1)
    stage.wants_broadcast({"brand": "acme-undone", "announcement_id": "holiday-1"}, send_at, state="withdrawn")
    yield
    stage.happens("AnnouncementWithdrawn", "acme-undone", announcement_id="holiday-1")
    yield


def welcome_back(stage: Stage) -> Acts:
    person = stage.person(wrote=10 * DAY)
    event = stage.writes(person, stage.now())
    wants = _about(stage, "welcome_back", "PT0S", first="sent")
    wants("after ten days, once", person, event["message_id"], None, must_contain=("welcome back",))
    yield
    answer = stage.replan("IngestMessageFunctionArn", "MessageReceived", event)
    stage.check("the same message again", answer, {"result": "duplicate"})
    stage.writes(person, stage.now(), "And how are you?")
    yield


def help_reply(stage: Stage) -> Acts:
    person = stage.person()
    event = stage.writes(person, stage.now(), "HELP")
    wants = _about(stage, "help_reply", "PT0S", first="sent")
    wants("at once, once", person, event["message_id"], None, must_contain=("just write to us here",))
    yield
    answer = stage.replan("IngestMessageFunctionArn", "MessageReceived", event)
    stage.check("the same message again", answer, {"result": "duplicate"})
    yield


def window_pull_forward(stage: Stage) -> Acts:
    """A trial's follow-up that is due after the window closes is sent before, in the last hours or at once."""
    hours, minutes = stage.person(wrote=WINDOW - 6 * HOUR), stage.person(wrote=WINDOW - HOUR / 2)
    ends_at = stage.now() + 5 * DAY
    stage.happens("TrialStarted", hours, trial_id="trial-5", product="Acme Plus", ends_at=ends_at)
    stage.happens("TrialStarted", minutes, trial_id="trial-6", product="Acme Plus", ends_at=ends_at, follow_up=["-P3D"])
    wants = _about(stage, "trial_follow_up", "-P3D")
    due_at = ends_at - 3 * DAY
    wants("the window closes in hours", hours, "trial-5", due_at, ends="scheduled", sent_before=hours.closes_at)
    wants("the window closes in minutes", minutes, "trial-6", due_at, sent_before=minutes.closes_at)
    # Only the first of two can be pulled forward: of the other a business is warned.
    _about(stage, "trial_follow_up", "P1D")("the second", hours, "trial-5", ends_at + DAY, **LATER)
    stage.wants_closing(hours, "trial-5")
    yield
    yield


def window_warn(stage: Stage) -> Acts:
    """``ConversationClosing`` is published once within ``WindowClosingNotice``, with what is due after the window."""
    warned, far, wrote = (stage.person(wrote=WINDOW - left) for left in (6 * HOUR, 3 * DAY, 6 * HOUR))
    starts_at = stage.now() + 5 * DAY
    wants = _about(stage, "appointment_reminder", "PT2H")
    due_at = starts_at - 2 * HOUR
    for person, number, story in (
        (warned, 7, "closes in hours"),
        (far, 8, "not within the notice"),
        (wrote, 9, "wrote"),
    ):
        booked = {"appointment_id": f"visit-{number}", "starts_at": starts_at, "remind_before": ["PT2H"]}
        stage.happens("AppointmentBooked", person, **booked)
        wants(story, person, f"visit-{number}", due_at, **LATER)
    booked = {"starts_at": starts_at + DAY, "remind_before": ["PT2H"]}
    stage.happens("AppointmentBooked", warned, appointment_id="visit-10", **booked)
    wants("closes in hours, and another", warned, "visit-10", due_at + DAY, **LATER)
    stage.wants_closing(warned, "visit-7", "visit-10")
    yield
    event = stage.writes(wrote, stage.now())
    greeted = _about(stage, "welcome_back", "PT0S", first=None)
    greeted("wrote again in time", wrote, event["message_id"], None, must_contain=("welcome back",))
    yield


CASES: Final[tuple[Callable[[Stage], Acts], ...]] = (
    appointment_reminder,
    online_check_in,
    trial_follow_up,
    product_reminder,
    cart_reminder,
    order_shipped,
    review_request,
    back_in_stock,
    product_preview,
    holiday_hours,
    welcome_back,
    help_reply,
    window_pull_forward,
    window_warn,
)


def _about(stage: Stage, reason: str, step: str, **always: Any) -> Callable[..., None]:
    """The expected messages and broadcasts of one row of the table, case by case."""

    def wants(story: str, person: Person, subject: str, due_at: datetime | None, **more: Any) -> None:
        terms = {"step": step, **always, **more}
        stage.wants(story, person, reason, subject=subject, due_at=due_at, **terms)

    return wants


def main() -> int:
    started = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - started:4.0f} s] {line}", flush=True)

    say("Starting a local AWS")
    with emulator.running() as aws:
        stage = Stage(aws, emulator.deploy(aws, STACK, PARAMETERS, say=say))
        wrong = play(stage, say)
        seen = stage.look()
        say("Stopping all that was started")
    report(stage, seen)
    wrong = list(dict.fromkeys(stage.wrong + wrong))
    if wrong:
        print(f"{len(wrong)} deviations:", *wrong, sep="\n  ", file=sys.stderr)
        return 1
    say(f"{len(stage.messages)} messages of {len(CASES)} cases, each as it must be")
    return 0


def play(stage: Stage, say: emulator.Say) -> list[str]:
    """Play every case, act by act; return what is not as expected."""
    stage.schedules(enabled=False)
    stage.happens("BrandConfigured", BRAND, name={"en": NAME})
    cases = [(case.__name__, case(stage)) for case in CASES]
    wrong = []
    for act, what in enumerate(("what happens", "what undoes it", "what comes again")):
        say(f"Telling {what}")
        for name, acts in cases:
            stage.row = name
            next(acts, None)
        if act == 0:
            say("Planned?")
            wrong += stage.until_all_is_well(planned, say)
        elif act == 1:
            say("Sent, or undone? The schedules fire every minute")
            stage.schedules(enabled=True)
            wrong += stage.until_all_is_well(ended, say)
    stage.row = "a last tick"
    for function in SEND_FUNCTIONS:
        stage.check(f"what is still due at {function}", stage.ask(function, {}).get("due"), 0)
    wrong = wrong or stage.until_all_is_well(ended, say)
    return wrong + stage.failures()


# What must hold.


def planned(stage: Stage, seen: Seen) -> list[str]:
    """Check before anything is undone or sent: each message is stored, has its due time, and was published."""
    found = _strays([message for message in stage.messages if message.first], seen)
    for message in stage.messages:
        if message.first:
            found += _row(message, seen, message.first)
            found += _published(message, seen) if message.first == "scheduled" else []
    for broadcast, answer in zip(stage.broadcasts, seen.progress, strict=True):
        now = _progress(answer)
        # What is at once is under way from the beginning.
        wanted = {"planned": 0, "sent": 0, "skipped": {}, "shards": {"done": 0, "all": 16}}
        is_waiting = now.get("state") in {"scheduled", "running"} and _instant(now["due_at"]) == broadcast.due_at
        if not is_waiting or {name: now.get(name) for name in wanted} != wanted:
            found.append(f"{broadcast}: {now}, not waiting for {broadcast.due_at}")
    return found


def ended(stage: Stage, seen: Seen) -> list[str]:
    """Check at the end: each message has its outcome, was handed over at most once, and there is no other."""
    found = _strays(stage.messages, seen)
    for message in stage.messages:
        found += _row(message, seen, message.ends, message.rule)
        found += _published(message, seen) if message.due_at and message.rule != "too_late" else []
        found += _published_why(message, seen) if message.ends == "skipped" else []
        found += _handed_over(message, seen)
    for broadcast, answer in zip(stage.broadcasts, seen.progress, strict=True):
        names = ("state", "planned", "sent", "skipped")
        now = {name: _progress(answer).get(name) for name in names}
        wanted = {name: getattr(broadcast, name) for name in names}
        found += [f"{broadcast}: {now}, not {wanted}"] if now != wanted else []
    found += _closings(stage, seen)
    sent = sum(message.ends == "sent" for message in stage.messages)
    if (requested := len(seen.published("MessageSendRequested"))) != sent:
        found.append(f"{requested} texts were handed over, not {sent}")
    return found + [f"{kind}: {detail}" for kind in UNWANTED for detail in seen.published(kind)]


def _rows(message: Message, seen: Seen) -> list[Json]:
    """Return the message that was due then, also if it was rechecked early or put off."""
    start = f"SCHEDULED#{message.reason}#{message.subject}#{message.step}#"
    rows = [row for row in seen.rows if row["pk"] == message.person.pk and row["sk"].startswith(start)]
    return [row for row in rows if message.due_at is None or _first_due(row) == message.due_at]


def _row(message: Message, seen: Seen, state: str, rule: str | None = None) -> list[str]:
    rows = _rows(message, seen)
    if len(rows) != 1:
        return [f"{message}: {len(rows)} rows, due {message.due_at}, not one"]
    [row] = rows
    found = []
    if row["state"] != state or (rule is not None and row.get("rule", "") != rule):
        found.append(f"{message}: {row['state']} {row.get('rule', '')}, not {state} {rule or ''}")
    if message.sent_before and _instant(row["due_at"]) >= message.sent_before:
        found.append(f"{message}: due {row['due_at']}, not before {message.sent_before}")
    return found


def _strays(messages: list[Message], seen: Seen) -> list[str]:
    known = {(row["pk"], row["sk"]) for message in messages for row in _rows(message, seen)}
    strays = [row for row in seen.rows if (row["pk"], row["sk"]) not in known]
    return [f"no event planned {row['pk']} {row['sk']}, {row['state']}, due {row['due_at']}" for row in strays]


def _of(message: Message, seen: Seen, detail_type: str) -> list[Json]:
    """Return the events that the app published of a message."""
    about = (message.person.contact, message.reason, message.subject)
    published = seen.published(detail_type)
    return [detail for detail in published if (detail["contact"], detail["reason"], detail["subject_id"]) == about]


def _published(message: Message, seen: Seen) -> list[str]:
    """Check ``MessagePlanned``: the due time, or an earlier one before the window closes."""
    dues = {_instant(detail["due_at"]) for detail in _of(message, seen, "MessagePlanned")}
    if any(due < message.sent_before for due in dues) if message.sent_before else message.due_at in dues:
        return []
    wanted = f"before {message.sent_before}" if message.sent_before else f"for {message.due_at}"
    return [f"{message}: planned, so the bus heard, for {sorted(map(str, dues))}, not {wanted}"]


def _published_why(message: Message, seen: Seen) -> list[str]:
    rules = {detail["rule"] for detail in _of(message, seen, "MessageSkipped")}
    return [] if message.rule in rules else [f"{message}: MessageSkipped by {rules or 'nothing'}, not {message.rule}"]


def _handed_over(message: Message, seen: Seen) -> list[str]:
    """Check that a sent message was published exactly once, with its text, and another one never."""
    ids = {row["scheduled_message_id"] for row in _rows(message, seen)}
    times = Counter(
        kind
        for kind in ("MessageSendRequested", "MessageSent")
        for detail in seen.published(kind)
        if detail["scheduled_message_id"] in ids
    )
    if message.ends != "sent":
        return [f"{message}: {dict(times)}, though it ended as {message.ends}"] if times else []
    found = [
        f"{message}: sent at {detail['sent_at']}, before it was due"
        for detail in seen.published("MessageSent")
        if detail["scheduled_message_id"] in ids and message.due_at and not message.sent_before
        if _instant(detail["sent_at"]) < message.due_at
    ]
    if times["MessageSendRequested"] != 1 or not times["MessageSent"]:
        found.append(f"{message}: {dict(times)}, not handed over once")
    for text in _texts(message, seen):
        contained = (NAME if message.person.brand == BRAND else message.person.brand, *message.must_contain)
        found += [f"{message}: “{text}” does not say “{words}”" for words in contained if words not in text]
        if message.must_not_contain and message.must_not_contain in text:
            found.append(f"{message}: “{text}” says “{message.must_not_contain}”")
    return found


def _texts(message: Message, seen: Seen) -> list[str]:
    ids = {row["scheduled_message_id"] for row in _rows(message, seen)}
    requested = seen.published("MessageSendRequested")
    return [detail["text"] for detail in requested if detail["scheduled_message_id"] in ids]


def _closings(stage: Stage, seen: Seen) -> list[str]:
    """Check that each was warned once, of its own messages only."""
    warned = [
        (
            detail["contact"]["address"],
            _instant(detail["expires_at"]),
            sorted(m["subject_id"] for m in detail["scheduled_messages"]),
        )
        for detail in seen.published("ConversationClosing")
    ]
    wanted = [
        (closing.person.address, closing.person.closes_at, sorted(closing.subjects)) for closing in stage.closings
    ]
    return [] if sorted(warned) == sorted(wanted) else [f"ConversationClosing: {sorted(warned)}, not {sorted(wanted)}"]


def _progress(answer: Json) -> Json:
    """Return a broadcast's one reason, from the app's answer."""
    found = answer.get("broadcasts") or [{"state": f"unknown: {answer}"}]
    progress: Json = found[0]
    return progress


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _first_due(row: Json) -> datetime:
    return _instant(row.get("first_due_at") or row["due_at"])


# What is shown.


def report(stage: Stage, seen: Seen) -> None:
    lines: list[tuple[str, ...]] = [("case", "subject", "reason", "due (UTC)", "state", "why")]
    for message in stage.messages:
        for row in _rows(message, seen) or [{"state": "not there", "due_at": ""}]:
            due_at = row["due_at"][:19].replace("T", " ")
            why = row.get("rule", "") or "-"
            lines.append((message.row, message.story, message.reason, due_at, row["state"], why))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, tuple("-" * width for width in widths))
    print()
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    print("\nSent:")
    for message in stage.messages:
        for text in _texts(message, seen):
            print(f"  {message.reason}: “{text}”")
    print("\nBroadcasts:")
    for broadcast, answer in zip(stage.broadcasts, seen.progress, strict=True):
        now = _progress(answer)
        outcome = ", ".join(f"{name} {now.get(name)}" for name in ("state", "planned", "sent", "skipped"))
        print(f"  {broadcast.row} {' '.join(broadcast.named.values())}: {outcome}")
    print("\nConversations that close before something is due:")
    for detail in seen.published("ConversationClosing"):
        about = ", ".join(f"{message['reason']} {message['subject_id']}" for message in detail["scheduled_messages"])
        print(f"  {detail['contact']['address']} at {detail['expires_at']}: {about}")
    print()


if __name__ == "__main__":
    sys.exit(main())
