"""The situations that the scenes of the runbook begin with and end with, on the local stack."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from reengage.domain.instants import iso
from tests.docs.documents import document
from tests.local.demo import zone_where_it_is
from tests.local.desk import BRAND, NUMBER, Desk
from tests.local.message_provider import REFUSES, TAKES, THROTTLES
from tests.local.stage import Person

REFUSED: Final = Person(BRAND, "+12025550130", None, "rcs")
"""The provider refuses a message to this person."""

SENDER: Final = "+12025550100"
"""The brand's own number, in ``Routes`` of ``make up``."""

FUNCTIONS: Final = "functions/README.md"
EXAMPLE_INSTANT: Final = "2026-12-11T10:00:00-05:00"


def first_events(desk: Desk) -> None:
    """Change the instants of the example, as its text asks for."""
    now = desk.stage.now()
    desk.placeholders |= {
        "2026-11-28T09:30:00-05:00": iso(now - timedelta(hours=1)),
        EXAMPLE_INSTANT: iso(now + timedelta(days=3)),
        '"EventBusName": "reengage"': f'"EventBusName": "{desk.outputs["EventBusName"]}"',
    }


def is_planned(desk: Desk) -> None:
    ada = Person(BRAND, NUMBER, None)
    desk.until(lambda: [each for each in desk.entries(ada) if each["what"] == "planned"], "Ada's reminders")


def announced(desk: Desk) -> None:
    desk.writes("+12025550120")
    desk.happens("HolidayHoursAnnounced", BRAND, **announcement(desk, "winter-hours"))
    desk.tick()


def announcement(desk: Desk, name: str) -> dict[str, Any]:
    day = (desk.stage.now() + timedelta(days=9)).date().isoformat()
    now = iso(desk.stage.now())
    hours = {"opens": "09:00", "closes": "13:00", "timezone": "Europe/London"}
    return {"announcement_id": name, "date": day, "send_at": now, **hours}


def paused(desk: Desk) -> None:
    desk.until(desk.pauses, "the pause")


def resumed(desk: Desk) -> None:
    desk.until(lambda: not desk.pauses(), "the end of the pause")


def paused_and_resumed(desk: Desk) -> None:
    paused(desk)
    resume(desk)


def one_alarm_ends(desk: Desk) -> None:
    quiet(desk, "RetryingAlarm")
    paused_and_resumed(desk)


def rejected_and_stopped(desk: Desk) -> None:
    rejected(desk)
    desk.writes("+12025550142", "STOP")


def pause(desk: Desk, why: str) -> None:
    done(desk, f'make pause WHY="{why}"')
    paused(desk)


def resume(desk: Desk) -> None:
    done(desk, "make resume")
    resumed(desk)


def done(desk: Desk, command: str) -> None:
    code, printed = desk.run(command)
    assert code == 0, printed


def marketing_is_held(desk: Desk) -> None:
    """The pause of this paragraph, and a marketing message that it holds."""
    paused(desk)
    ben = desk.writes("+12025550121")
    due_at = desk.stage.now() + timedelta(seconds=3)
    desk.happens("TrialStarted", ben, trial_id="t-21", product={"en": "Aligners"}, ends_at=due_at + timedelta(days=3))
    desk.until(lambda: desk.stage.now() > due_at, "the instant at which the message is due")
    desk.tick("SendTrialFollowUpsFunctionArn")


def alarm(desk: Desk, *logical_ids: str, state: str = "ALARM") -> None:
    for logical_id in logical_ids:
        desk.client("cloudwatch").set_alarm_state(
            AlarmName=desk.resource(logical_id), StateValue=state, StateReason="the runbook's test"
        )


def quiet(desk: Desk, *logical_ids: str) -> None:
    alarm(desk, *logical_ids, state="OK")


def listener(desk: Desk, *, enabled: bool) -> None:
    rule = {"Name": "business-system", "EventBusName": desk.outputs["EventBusName"]}
    events = desk.client("events")
    (events.enable_rule if enabled else events.disable_rule)(**rule)


def shipped(desk: Desk, address: str, order: str, answer: str, *, channel: str = "rcs") -> Person:
    """Let a message become due while the provider gives this answer, and run the send function."""
    desk.provider.answer = answer
    person = desk.writes(address, channel=channel)
    desk.happens("OrderShipped", person, order_id=order)
    desk.tick()
    return person


def refused(desk: Desk) -> None:
    shipped(desk, REFUSED.address, "o-30", REFUSES)
    desk.provider.answer = TAKES


def redriven_is_sent_once(desk: Desk) -> None:
    desk.tick()
    desk.tick()
    (message,) = {each["scheduled_message_id"] for each in desk.entries(REFUSED) if "scheduled_message_id" in each}
    count = sum(taken == message for _, taken in desk.provider.taken)
    if count != 1:
        desk.wrong.append(f"a redriven message was handed over {count} times")


def throttled(desk: Desk) -> None:
    shipped(desk, "+12025550131", "o-31", THROTTLES)
    desk.provider.answer = TAKES


def undelivered(desk: Desk) -> None:
    person = shipped(desk, "+12025550132", "o-32", TAKES)
    (sent,) = [entry for entry in desk.entries(person) if entry["what"] == "sent"]
    receipt = {"scheduled_message_id": sent["scheduled_message_id"], "status": "undelivered", "error": "30003"}
    desk.stage.put("DeliveryReported", {"contact": person.contact, **receipt})
    desk.until(lambda: "undelivered" in {each["what"] for each in desk.entries(person)}, "the receipt")


def got_nothing(desk: Desk) -> None:
    """A person booked, wrote STOP, and the message became due."""
    person = desk.writes("+12025550161")
    desk.writes("+12025550161", "STOP")
    desk.happens("OrderShipped", person, order_id="o-61")
    desk.tick()


def got_it_twice(desk: Desk) -> None:
    """Two orders are two messages, each with the provider's id."""
    for order in ("o-62", "o-63"):
        shipped(desk, "+12025550162", order, TAKES)


def got_it_after_stop(desk: Desk) -> None:
    shipped(desk, "+12025550163", "o-64", TAKES)
    desk.writes("+12025550163", "STOP", channel="rcs", ago=timedelta())


def stop_arrived_late(desk: Desk) -> None:
    """The person wrote STOP before the message was sent, and the provider delivered it after."""
    person = shipped(desk, "+12025550166", "o-66", TAKES)
    desk.writes(person.address, "STOP", channel="rcs", ago=timedelta(seconds=30))


def stopped_at_night(desk: Desk) -> None:
    """A pause holds one person's reminder; the schedules are off when that of another is due."""
    desk.stage.schedules(enabled=False)
    held, missed = desk.writes("+12025550167"), desk.writes("+12025550168")
    done(desk, 'make pause WHY="the wrong text" SCOPE=appointment_reminder')
    paused(desk)
    wait_until(desk, due_soon(desk, held, "a-67"))
    desk.tick("SendAppointmentRemindersFunctionArn")
    done(desk, "make resume SCOPE=appointment_reminder")
    resumed(desk)
    desk.placeholders["a-68 begins"] = iso(due_soon(desk, missed, "a-68") + timedelta(minutes=1))


def night_is_over(desk: Desk) -> None:
    """Both appointments have begun before the next run."""
    wait_until(desk, datetime.fromisoformat(desk.placeholders.pop("a-68 begins")))
    desk.stage.schedules(enabled=True)
    desk.tick("SendAppointmentRemindersFunctionArn")


def due_soon(desk: Desk, person: Person, appointment_id: str) -> datetime:
    """Book an appointment whose reminder is due in three seconds and valid for a minute; return when it is due."""
    due_at = desk.stage.now() + timedelta(seconds=3)
    booked = {"appointment_id": appointment_id, "starts_at": due_at + timedelta(minutes=1), "remind_before": ["PT1M"]}
    desk.happens("AppointmentBooked", person, **booked)
    return due_at


def wait_until(desk: Desk, instant: datetime) -> None:
    while (seconds := (instant - desk.stage.now()).total_seconds()) > 0:
        time.sleep(seconds)  # its clock is the real one


def wrong_language(desk: Desk) -> None:
    """The chat system reports no language, so the text is in that of the brand or the stack."""
    contact = {"brand": BRAND, "channel": "sms", "address": "+12025550169"}
    at = iso(desk.stage.now() - timedelta(minutes=1))
    written = {
        "contact": contact,
        "message_id": "m-69",
        "sent_at": at,
        "text": "Hola",
        "timezone": zone_where_it_is(12),
    }
    desk.stage.publish("MessageReceived", written | {"timezone": zone_where_it_is(12)})
    desk.happens("OrderShipped", Person(BRAND, contact["address"], None), order_id="o-69")
    desk.tick()


def came_at_the_wrong_time(desk: Desk) -> None:
    """It is the middle of the person's night when the message is due."""
    contact = {"brand": BRAND, "channel": "sms", "address": "+12025550164"}
    at = iso(desk.stage.now() - timedelta(minutes=1))
    written = {"contact": contact, "message_id": "m-64", "sent_at": at, "text": "Hi", "timezone": zone_where_it_is(2)}
    desk.stage.publish("MessageReceived", written)
    desk.happens("OrderShipped", Person(BRAND, contact["address"], None), order_id="o-65")
    desk.tick()


def messages_in(desk: Desk, output: str) -> int:
    name = "ApproximateNumberOfMessages"
    answer = desk.client("sqs").get_queue_attributes(QueueUrl=desk.outputs[output], AttributeNames=[name])
    return int(answer["Attributes"][name])


def rejected(desk: Desk) -> None:
    desk.stage.put("AppointmentBooked", {"contact": {"brand": BRAND, "channel": "sms", "address": "+1202"}})
    desk.until(lambda: messages_in(desk, "RejectedEventsQueueUrl"), "the rejected event")


def failed_event(desk: Desk) -> None:
    """The message that a rule leaves if it cannot deliver an event: the event itself."""
    contact = {"brand": BRAND, "channel": "sms", "address": "+12025550133"}
    event = {
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": "MessageReceived",
        "source": "acme.chat",
        "account": "000000000000",
        "region": "us-east-1",
        "resources": [],
        "time": iso(desk.stage.now()),
        "detail": {"contact": contact, "message_id": "m-33", "sent_at": iso(desk.stage.now()), "text": "Hi"},
    }
    for kept in (event, notification(desk)):
        desk.client("sqs").send_message(QueueUrl=desk.outputs["FailedEventsQueueUrl"], MessageBody=json.dumps(kept))


def notification(desk: Desk) -> dict[str, Any]:
    """Return what SNS keeps of a STOP by AWS SMS if it could not invoke its function."""
    stop = {
        "originationNumber": "+12025550134",
        "destinationNumber": SENDER,
        "messageKeyword": "STOP",
        "messageBody": "STOP",
        "inboundMessageId": "in-34",
    }
    return {"Type": "Notification", "Message": json.dumps(stop), "Timestamp": iso(desk.stage.now())}


def failed_event_is_stored(desk: Desk) -> None:
    person = Person(BRAND, "+12025550133", None)
    desk.until(lambda: desk.entries(person), "the event that was redriven")
    stopped = Person(BRAND, "+12025550134", None)
    desk.until(lambda: desk.entries(stopped), "the STOP in the notification that was delivered again")


def purge(desk: Desk) -> None:
    for output in ("RejectedEventsQueueUrl", "FailedEventsQueueUrl"):
        desk.client("sqs").purge_queue(QueueUrl=desk.outputs[output])


def concurrency(desk: Desk, *, reserved: int | None) -> None:
    """Reserve executions of a function that nothing invokes meanwhile: a refused one keeps alarms on for minutes."""
    name = {"FunctionName": desk.resource("RecordDeliveryFunction")}
    functions = desk.client("lambda")
    if reserved is None:
        functions.delete_function_concurrency(**name)
    else:
        functions.put_function_concurrency(**name, ReservedConcurrentExecutions=reserved)


def files(desk: Desk) -> None:
    (desk.folder / "opt-outs.csv").write_text(f"brand,channel,address\n{BRAND},sms,+12025550140\n", encoding="utf-8")
    endpoints = "ChannelType,Address,OptOut\nSMS,+12025550141,ALL\n"
    (desk.folder / "endpoints.csv").write_text(endpoints, encoding="utf-8")


def opted_out_are_stored(desk: Desk) -> None:
    for number in ("+12025550140", "+12025550141"):
        code, printed = desk.run(f"make explain CONTACT={BRAND}/sms/{number}")
        if "opted out: yes" not in printed:
            desk.wrong.append(f"{number} was imported, and is not opted out ({code}):\n{printed}")


def has_qr_code(desk: Desk) -> None:
    if "<svg" not in (desk.folder / "out.svg").read_text(encoding="utf-8"):
        desk.wrong.append("make opener wrote no QR code")


def in_days(days: int) -> datetime:
    return datetime.now(UTC).replace(hour=16, minute=0, second=0, microsecond=0) + timedelta(days=days)


def booked_by_both(desk: Desk) -> None:
    """The second example moves what the first has booked: reminders of both times were planned."""
    ada = Person(BRAND, NUMBER, None)
    wanted = {iso(in_days(days) - timedelta(hours=2)) for days in (4, 5)}
    desk.until(lambda: wanted <= {each.get("due_at") for each in desk.entries(ada)}, "the reminders of both examples")


def booked_by_a_stranger(desk: Desk) -> None:
    """A person who never wrote."""
    stranger = Person(BRAND, "+12025550122", None)
    starts_at = desk.stage.now() + timedelta(days=2)
    desk.happens("AppointmentBooked", stranger, appointment_id="a-18", starts_at=starts_at)


def history(desk: Desk) -> None:
    """Run the program of the paragraph on a file of one chat."""
    (program,) = [block for block in document(FUNCTIONS).blocks("python") if "chats.jsonl" in block]
    contact = {"brand": BRAND, "channel": "sms", "address": "+12025550150"}
    sent_at = iso(desk.stage.now() - timedelta(days=20))
    chat = {"contact": contact, "message_id": "old-1", "sent_at": sent_at, "text": "Hello"}
    (desk.folder / "chats.jsonl").write_text(f"{json.dumps(chat)}\n", encoding="utf-8")
    program = program.replace('"reengage"', f'"{desk.outputs["EventBusName"]}"')
    (desk.folder / "history.py").write_text(program, encoding="utf-8")
    code, printed = desk.run(f"cd {desk.folder} && python history.py")
    if code or printed:
        desk.wrong.append(f"the import of history ended with {code}:\n{printed}")
    desk.until(lambda: desk.entries(Person(BRAND, "+12025550150", None)), "the imported message")
