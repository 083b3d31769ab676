"""Each alarm of the template goes on and off by the metrics that the handlers emit."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import product
from typing import Any, Final
from unittest.mock import patch

import pytest

from reengage.adapters.channels.routed import RoutedChannel
from reengage.domain.message import State as MessageState
from reengage.errors import NotPublished
from reengage.ports import Outcome, Refused, Retryable, Unknown
from tests.integration.faults import failing, telling
from tests.integration.replays import ANNOUNCED, BOOKED, SENT, TICK, TRIED, play
from tests.integration.stack import FUNCTIONS, Stack, case
from tests.template import stack as templates
from tests.template.cloudwatch import CloudWatch, State, children, rule, text
from tests.template.stack import ALARM, COMPOSITE_ALARM, QUEUE, translate

MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
SENDERS: Final[Mapping[str, Sequence[str]]] = {
    "send_appointment_reminders": BOOKED,
    "send_trial_follow_ups": TRIED,
    "send_updates": ANNOUNCED,
}
"""By send function: the events after which it has a message to send at ``TICK``."""

NOT_SENT: Final = "MessagesNotSentAlarm"


@pytest.fixture(scope="module")
def template() -> templates.Stack:
    return translate()


@dataclass
class Watched:
    """The stack, its template, and CloudWatch's data; the three send functions run unless a test stops them."""

    stack: Stack
    template: templates.Stack
    cloudwatch: CloudWatch = field(default_factory=CloudWatch)
    looked_at: datetime | None = None

    def run(self, function: str, event: Any, at: datetime, **how: Any) -> Any:
        """Invoke a function, and put its metrics to CloudWatch, also if it fails."""
        try:
            return self.stack.invoke(function, event, at=at, **how)
        finally:
            self.take(at)

    def take(self, at: datetime, *, times: int = 1) -> None:
        """Put the last invocation's metrics to CloudWatch."""
        for line in self.stack.metrics() * times:
            self.cloudwatch.put_log_line(line, at)

    def put(self, metric: str, dimension: str, logical_id: str, at: datetime, value: float = 1) -> None:
        """Put a metric of AWS itself, of one of the stack's resources."""
        reference: Any = {"Ref": logical_id}
        if dimension == "QueueName":
            reference = {"Fn::GetAtt": [logical_id, "QueueName"]}
        namespace = "AWS/SQS" if dimension == "QueueName" else "AWS/Lambda"
        self.cloudwatch.put(namespace, metric, {dimension: text(reference)}, at, value)

    def on(self, at: datetime, *, running: Iterable[str] = SENDERS) -> set[str]:
        """Return the alarms that are on at an instant.

        The functions of ``running`` ran once a minute since the last call, the last time a minute ago.
        """
        begun = self.looked_at or at - MINUTE
        for function in running:
            for minute in range((at - begun) // MINUTE):
                self.put("Invocations", "FunctionName", FUNCTIONS[function], begun + minute * MINUTE)
        self.looked_at = at
        return {name for name, state in self.states(at).items() if state == "ALARM"}

    def states(self, at: datetime) -> Mapping[str, State]:
        return self.cloudwatch.states(self.template, at)


@pytest.fixture
def watched(stack: Stack, template: templates.Stack) -> Watched:
    watched = Watched(stack, template)
    assert watched.on(TICK - HOUR) == set(), "quiet by default"
    return watched


def alarm_of(function: str, what: str) -> str:
    return FUNCTIONS[function].removesuffix("Function") + what


def answering(outcome: Outcome) -> Any:
    return patch.object(RoutedChannel, "send", lambda *_: outcome)


def with_due(watched: Watched, function: str) -> Callable[..., Any]:
    """Make a message due; return a function that runs the send function."""
    for name in SENDERS[function]:
        play(watched.stack, name)
    return partial(watched.run, function, case(f"{function}/tick"))


@pytest.mark.parametrize("function", SENDERS)
def test_messages_retried(watched: Watched, function: str) -> None:
    run, alarm = with_due(watched, function), "RetryingAlarm"
    with answering(Retryable("ConnectTimeoutError")):
        run(at=TICK)
        assert alarm not in watched.on(TICK + 2 * MINUTE), "once is no alarm"
        run(at=TICK + 12 * MINUTE)
    assert watched.on(TICK + 13 * MINUTE) - {"OverdueAlarm"} == {alarm, NOT_SENT}
    run(at=TICK + 20 * MINUTE)
    assert watched.on(TICK + HOUR) == set()


@pytest.mark.parametrize("function", SENDERS)
@pytest.mark.parametrize(
    ("outcome", "alarm"), [(Refused("21211"), "FailedAlarm"), (Unknown("ReadTimeoutError"), "UnconfirmedAlarm")]
)
def test_failed_and_unconfirmed(watched: Watched, function: str, outcome: Outcome, alarm: str) -> None:
    run = with_due(watched, function)
    with answering(outcome):
        run(at=TICK)
    assert watched.on(TICK + MINUTE) == {alarm}
    assert watched.on(TICK + HOUR) == set(), "one event rings once"


@pytest.mark.parametrize(
    ("outcome", "alarm"), [(Refused("21211"), "FailedAlarm"), (Unknown("ReadTimeoutError"), "UnconfirmedAlarm")]
)
def test_several_failures_in_an_hour_ring_once(watched: Watched, outcome: Outcome, alarm: str) -> None:
    """A large stack has a wrong number every half hour: its alarm went on and off with each."""
    run = with_due(watched, "send_appointment_reminders")
    with answering(outcome):
        run(at=TICK)
    for half_hours in range(1, 5):
        assert watched.on(TICK + half_hours * 30 * MINUTE) == {alarm}
        for line in watched.stack.metrics():
            watched.cloudwatch.put_log_line(line, TICK + half_hours * 30 * MINUTE)
    assert watched.on(TICK + 4 * HOUR) == set()


@pytest.mark.parametrize("function", SENDERS)
def test_backlog(watched: Watched, function: str) -> None:
    run, alarm = with_due(watched, function), "BacklogAlarm"
    for minute in (1, 6):
        run(at=TICK + minute * MINUTE, seconds_left=10)
    assert alarm not in watched.on(TICK + 7 * MINUTE)
    run(at=TICK + 11 * MINUTE, seconds_left=10)
    assert watched.on(TICK + 12 * MINUTE) - {"OverdueAlarm", NOT_SENT} == {alarm}
    run(at=TICK + 14 * MINUTE)
    assert watched.on(TICK + 20 * MINUTE) == set()


def test_overdue(watched: Watched) -> None:
    run = with_due(watched, "send_appointment_reminders")
    run(at=TICK + 9 * MINUTE, seconds_left=10)
    assert watched.on(TICK + 9.5 * MINUTE) == set()
    run(at=TICK + 10 * MINUTE, seconds_left=10)
    assert watched.on(TICK + 10.5 * MINUTE) == {"OverdueAlarm", NOT_SENT}
    run(at=TICK + 11 * MINUTE)
    assert watched.on(TICK + 16 * MINUTE) == set()


def test_an_announcement_is_never_overdue(watched: Watched) -> None:
    run = with_due(watched, "send_updates")
    run(at=TICK + 2 * HOUR, seconds_left=10)
    assert watched.on(TICK + 2 * HOUR) == set()


def without_zone(watched: Watched) -> None:
    """Book an appointment for a contact without a phone number, whose zone is not known."""
    address = "5c2f3b9e-conversation"
    contact = {"brand": "acme-dental", "channel": "google_business_messages", "address": address}
    chat, booked = case("ingest_message/first_message"), case("plan_messages/appointment_booked")
    chat["detail"] |= {"contact": contact, "message_id": address}
    booked["detail"] |= {"contact": contact, "appointment_id": address}
    del booked["detail"]["timezone"]
    watched.stack.invoke("ingest_message", chat, at=TICK - 2 * HOUR)
    watched.stack.invoke("plan_messages", booked, at=TICK - 2 * HOUR)


def test_everyone_held_for_an_unknown_zone(watched: Watched) -> None:
    without_zone(watched)
    run = partial(watched.run, "send_appointment_reminders", case("send_appointment_reminders/tick"))
    run(at=TICK)
    assert watched.stack.rows()[0].hold_rules == "unknown_timezone"
    assert watched.on(TICK + MINUTE) == set(), "once is no alarm"
    run(at=TICK + 61 * MINUTE)
    assert watched.on(TICK + 62 * MINUTE) == {"UnknownTimezoneAlarm", NOT_SENT}
    assert watched.on(TICK + 5 * HOUR) == set()


def test_one_of_several_held_for_a_zone_is_no_alarm(watched: Watched) -> None:
    without_zone(watched)
    run = with_due(watched, "send_appointment_reminders")
    run(at=TICK)
    assert {row.state.value for row in watched.stack.rows()} == {"scheduled", "sent"}
    run(at=TICK + 61 * MINUTE)
    assert watched.on(TICK + 62 * MINUTE) == set()


def pause(**detail: Any) -> Any:
    return case("plan_messages/brand_configured") | {"detail-type": "SendingPaused", "detail": detail}


@pytest.mark.parametrize("brand", [{}, {"brand": "acme-clinic"}], ids=["stack", "brand"])
def test_paused_for_more_than_four_hours(watched: Watched, brand: dict[str, str]) -> None:
    """Also while no message is due: the run of updates reads the pauses every ten minutes."""
    began = TICK.replace(minute=0)
    event = pause(why="wrong text", **brand) | {"time": began.isoformat()}
    watched.stack.invoke("plan_messages", event, at=began)
    tick = case("send_updates/tick")
    watched.run("send_updates", tick, at=began + 230 * MINUTE)
    assert watched.on(began + 231 * MINUTE) == set()
    watched.run("send_updates", tick, at=began + 240 * MINUTE)
    assert watched.on(began + 241 * MINUTE) == {"PausedAlarm", NOT_SENT}
    later = (began + 242 * MINUTE).isoformat()
    resumed = event | {"detail-type": "SendingResumed", "detail": brand, "time": later}
    watched.stack.invoke("plan_messages", resumed, at=began + 242 * MINUTE)
    watched.run("send_updates", tick, at=began + 250 * MINUTE)
    assert watched.on(began + 280 * MINUTE) == set()


def test_a_brands_pause_is_measured_where_it_holds(watched: Watched) -> None:
    """A brand without a route is in no list: its pause is known from the messages that it holds."""
    run = with_due(watched, "send_appointment_reminders")
    began = TICK - 10 * MINUTE
    watched.stack.invoke("plan_messages", pause(brand="acme-dental") | {"time": began.isoformat()}, at=began)
    for minute in (0, 1, 2):
        run(at=TICK + minute * MINUTE)
    assert watched.stack.rows()[0].hold_rules == "paused"
    run(at=began + 4 * HOUR)
    assert watched.on(began + 4 * HOUR) >= {"PausedAlarm", NOT_SENT}


def test_no_receipt_of_what_was_handed_over(watched: Watched) -> None:
    """The bus accepted the messages, no rule matched them, and they stayed "sent" for ever."""
    for number in range(3):
        chat, booked = case("ingest_message/first_message"), case("plan_messages/appointment_booked")
        contact = chat["detail"]["contact"] | {"address": f"+44770090014{number}"}
        chat["detail"] |= {"contact": contact, "message_id": f"SM{number}"}
        booked["detail"] |= {"contact": contact, "appointment_id": f"A-{number}"}
        watched.stack.invoke("ingest_message", chat, at=TICK - 2 * HOUR)
        watched.stack.invoke("plan_messages", booked, at=TICK - 2 * HOUR)
    watched.run("send_appointment_reminders", case("send_appointment_reminders/tick"), at=TICK)
    rows = [row for row in watched.stack.rows() if row.state is MessageState.SENT]
    sent = {row.contact.address: row.scheduled_message_id for row in rows}
    assert len(sent) == 3
    tick = case("send_updates/tick")
    watched.run("send_updates", tick, at=TICK + 50 * MINUTE)
    assert watched.on(TICK + 51 * MINUTE) == set()
    watched.run("send_updates", tick, at=TICK + 60 * MINUTE)
    assert watched.on(TICK + 61 * MINUTE) == {"NoReceiptsAlarm", NOT_SENT}
    receipt = case("record_delivery/delivered")
    reached = {**case("ingest_message/first_message")["detail"]["contact"], "address": "+447700900142"}
    receipt["detail"] |= {"contact": reached, "scheduled_message_id": sent["+447700900142"]}
    assert watched.stack.invoke("record_delivery", receipt, at=TICK + 62 * MINUTE) == {"result": "recorded"}
    watched.run("send_updates", tick, at=TICK + 70 * MINUTE)
    assert watched.on(TICK + 91 * MINUTE) == set()


UNPUBLISHED: Final = {
    "ingest_message": ("ingest_message/first_message", ()),
    "plan_messages": ("plan_messages/appointment_booked", BOOKED[:1]),
    "record_delivery": ("record_delivery/delivered", SENT),
    "webhook": ("webhook/meta_message", ()),
}


@pytest.mark.parametrize("function", UNPUBLISHED)
def test_events_not_published(watched: Watched, function: str) -> None:
    name, before = UNPUBLISHED[function]
    for earlier in before:
        play(watched.stack, earlier)
    for minute in (0, 1, 3):  # Lambda tries an event three times
        with failing("PutEvents"), pytest.raises(NotPublished):
            play(watched.stack, name)
        watched.take(TICK + minute * MINUTE)
        for seconds in (10, 50):
            at = TICK + minute * MINUTE + timedelta(seconds=seconds)
            assert watched.on(at) == {"NotPublishedAlarm"}, "one event rings once"
    assert watched.on(TICK + 17 * MINUTE) == {"NotPublishedAlarm"}
    assert watched.on(TICK + 19 * MINUTE) == set()


@pytest.mark.parametrize("function", SENDERS)
def test_a_run_whose_events_are_not_published(watched: Watched, function: str) -> None:
    run = with_due(watched, function)
    with failing("PutEvents", only=telling("MessageSent")):
        run(at=TICK)
    assert watched.on(TICK + MINUTE / 2) == {"NotPublishedAlarm"}
    assert watched.on(TICK + 16 * MINUTE) == set()


def receipts(watched: Watched, count: int, at: datetime) -> None:
    """Put the runs of the function that records receipts, as Lambda counts them."""
    watched.put("Invocations", "FunctionName", "RecordDeliveryFunction", at, count)


def undelivered(watched: Watched) -> None:
    for name in SENT:
        play(watched.stack, name)
    play(watched.stack, "record_delivery/undelivered")


def test_undelivered(watched: Watched) -> None:
    undelivered(watched)
    watched.take(TICK, times=20)
    receipts(watched, 200, TICK)
    assert watched.on(TICK + MINUTE) == {"UndeliveredAlarm"}
    assert watched.on(TICK + 20 * MINUTE) == set()


@pytest.mark.parametrize(
    ("failed", "all_receipts", "why"),
    [(19, 19, "of a few messages, some never arrive"), (20, 201, "a wrong number in ten is a usual list")],
)
def test_some_undelivered_are_no_alarm(watched: Watched, failed: int, all_receipts: int, why: str) -> None:
    undelivered(watched)
    watched.take(TICK, times=failed)
    receipts(watched, all_receipts, TICK)
    assert watched.on(TICK + MINUTE) == set(), why


def test_messages_of_people_do_not_dilute_the_rate(watched: Watched) -> None:
    """The function that records receipts runs for what people write to AWS, too."""
    undelivered(watched)
    watched.take(TICK, times=20)
    play(watched.stack, "webhook/aws_sms")
    watched.stack.invoke("record_delivery", case("webhook/aws_sms"), at=TICK)
    watched.take(TICK, times=150)
    receipts(watched, 200 + 150, TICK)
    assert watched.on(TICK + MINUTE) == {"UndeliveredAlarm"}


def test_refused_signatures(watched: Watched) -> None:
    """After a rotation of the secret at the provider, every STOP was refused."""
    event = case("webhook/meta_message")
    event["headers"]["x-hub-signature-256"] = f"sha256={'0' * 64}"
    for minute in (0, 6):
        assert watched.stack.invoke("webhook", event, at=TICK)["statusCode"] == 403
        watched.take(TICK + minute * MINUTE, times=5)
        assert ("WebhookRefusedAlarm" in watched.on(TICK + (minute + 1) * MINUTE)) == (minute == 6)
    assert watched.on(TICK + 8 * MINUTE) == {"WebhookRefusedAlarm"}
    assert watched.on(TICK + 30 * MINUTE) == set()


@pytest.fixture(params=[0, 2, 30])
def retrieved(request: pytest.FixtureRequest, watched: Watched) -> int:
    """The periods that CloudWatch retrieves beyond those that it evaluates: its guide leaves the number open."""
    watched.cloudwatch.periods_more = request.param
    return watched.cloudwatch.periods_more


@pytest.mark.usefixtures("retrieved")
@pytest.mark.parametrize("function", SENDERS)
def test_not_running(watched: Watched, function: str) -> None:
    """It stays on for as long as the function is stopped, and goes off with the next run."""
    others, expected = SENDERS.keys() - {function}, {alarm_of(function, "NotRunningAlarm"), NOT_SENT}
    assert watched.on(TICK, running=SENDERS) == set()
    assert watched.on(TICK + 3 * MINUTE, running=others) == set()
    assert watched.on(TICK + 6 * MINUTE, running=others) == expected
    assert watched.on(TICK + 12 * HOUR, running=others) == expected
    assert watched.on(TICK + 12 * HOUR + 10 * MINUTE, running=SENDERS) == set()


@pytest.mark.usefixtures("retrieved")
def test_all_functions_stop(watched: Watched) -> None:
    assert watched.on(TICK) == set()
    silent = {alarm_of(function, "NotRunningAlarm") for function in SENDERS} | {NOT_SENT}
    assert watched.on(TICK + 6 * MINUTE, running=()) == silent
    assert watched.on(TICK + 12 * HOUR, running=()) == silent


def test_a_new_stack_has_no_alarm(stack: Stack, template: templates.Stack) -> None:
    """CloudWatch knows no run yet; then it knows the first ones up to two minutes late."""
    for more, late in product((0, 2, 30), (0, 1, 2)):
        cloudwatch = CloudWatch(periods_more=more)
        watched = Watched(stack, template, cloudwatch)
        for minute in range(30):
            at = TICK + minute * MINUTE
            if minute >= 5 + late:
                for function in SENDERS:
                    watched.put("Invocations", "FunctionName", FUNCTIONS[function], at - late * MINUTE)
            states = watched.states(at)
            assert "ALARM" not in states.values(), (more, late, minute)
            not_running = {states[alarm_of(function, "NotRunningAlarm")] for function in SENDERS}
            assert not_running == {"OK" if minute >= 5 + late else "INSUFFICIENT_DATA"}


def test_a_stack_that_never_ran_keeps_its_first_state(watched: Watched) -> None:
    """CloudWatch cannot tell it from a new one: the document names `make doctor` for it."""
    silent = {alarm_of(function, "NotRunningAlarm") for function in SENDERS}
    states = Watched(watched.stack, watched.template).states(TICK + 12 * HOUR)
    assert {states[name] for name in silent} == {"INSUFFICIENT_DATA"}


AWS_METRICS: Final = {
    "RejectedEventsAlarm": ("ApproximateNumberOfMessagesVisible", "QueueName", "RejectedEventsQueue"),
    "FailedEventsAlarm": ("ApproximateNumberOfMessagesVisible", "QueueName", "FailedEventsQueue"),
    "FailedSchedulesAlarm": ("ApproximateNumberOfMessagesVisible", "QueueName", "FailedSchedulesQueue"),
    **{
        alarm_of(folder, "ThrottledAlarm"): ("Throttles", "FunctionName", logical_id)
        for folder, logical_id in FUNCTIONS.items()
        if folder != "explain"
    },
}
"""By alarm: a metric that AWS emits, its dimension, and the resource."""


@pytest.mark.parametrize("alarm", AWS_METRICS)
def test_metrics_of_aws(watched: Watched, alarm: str) -> None:
    metric, dimension, resource = AWS_METRICS[alarm]
    watched.put(metric, dimension, resource, TICK, 0)
    assert watched.on(TICK) == set()
    watched.put(metric, dimension, resource, TICK + MINUTE, 1)
    assert watched.on(TICK + MINUTE) == {alarm}
    watched.put(metric, dimension, resource, TICK + 10 * MINUTE, 0)
    assert watched.on(TICK + 10 * MINUTE) == set()


def test_one_failing_call_of_a_provider_rings_once(watched: Watched) -> None:
    """A provider repeats a call that got 500: each time, the alarm went on and off."""
    for minute in (0, 5, 20, 50):
        watched.put("Errors", "FunctionName", "WebhookFunction", TICK + minute * MINUTE, 1)
        for later in (1, 4):
            assert watched.on(TICK + (minute + later) * MINUTE) == {"WebhookFailingAlarm"}
    assert watched.on(TICK + 111 * MINUTE) == set()


def test_every_alarm_is_driven_by_a_test_of_this_file(template: templates.Stack) -> None:
    driven = {alarm_of(function, "NotRunningAlarm") for function in SENDERS} | AWS_METRICS.keys()
    driven |= {
        "RetryingAlarm",
        "FailedAlarm",
        "UnconfirmedAlarm",
        "BacklogAlarm",
        "NotPublishedAlarm",
        "OverdueAlarm",
        "UnknownTimezoneAlarm",
        "PausedAlarm",
        "NoReceiptsAlarm",
        "UndeliveredAlarm",
        "WebhookRefusedAlarm",
        "WebhookFailingAlarm",
    }
    assert set(template.of(ALARM)) == driven
    assert set(template.of(COMPOSITE_ALARM)) == {NOT_SENT}
    assert len(template.of(QUEUE)) == 3


def test_the_composite_alarm_names_alarms_of_the_stack(template: templates.Stack) -> None:
    (composite,) = template.of(COMPOSITE_ALARM).values()
    named = children(composite)
    assert set(named) == {alarm_of(function, "NotRunningAlarm") for function in SENDERS} | {
        "RetryingAlarm",
        "OverdueAlarm",
        "UnknownTimezoneAlarm",
        "PausedAlarm",
        "NoReceiptsAlarm",
    }
    assert set(named) <= set(template.of(ALARM))


def test_the_composite_alarm_is_on_if_one_of_its_alarms_is(template: templates.Stack) -> None:
    (composite,) = template.of(COMPOSITE_ALARM).values()
    quiet: dict[str, State] = dict.fromkeys(template.of(ALARM), "OK")
    new: dict[str, State] = dict.fromkeys(template.of(ALARM), "INSUFFICIENT_DATA")
    assert rule(composite, quiet) == rule(composite, new) == "OK"
    for name in template.of(ALARM):
        expected = "ALARM" if name in children(composite) else "OK"
        assert rule(composite, quiet | {name: "ALARM"}) == rule(composite, new | {name: "ALARM"}) == expected
    assert rule(composite, dict.fromkeys(template.of(ALARM), "ALARM")) == "ALARM"
