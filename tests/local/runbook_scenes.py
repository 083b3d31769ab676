"""The paragraphs of the documents whose commands run on the local stack, each with its situation and its answers."""

from collections.abc import Iterator
from typing import Final

from reengage.domain.instants import iso
from tests.docs.documents import commands_of, document
from tests.local.desk import BRAND, NUMBER, Case, Scene, Situation
from tests.local.runbook_situations import (
    EXAMPLE_INSTANT,
    FUNCTIONS,
    alarm,
    announced,
    booked_by_a_stranger,
    booked_by_both,
    came_at_the_wrong_time,
    concurrency,
    failed_event,
    failed_event_is_stored,
    files,
    first_events,
    got_it_after_stop,
    got_it_twice,
    got_nothing,
    has_qr_code,
    history,
    in_days,
    is_planned,
    listener,
    marketing_is_held,
    night_is_over,
    one_alarm_ends,
    opted_out_are_stored,
    pause,
    paused_and_resumed,
    purge,
    quiet,
    redriven_is_sent_once,
    refused,
    rejected,
    rejected_and_stopped,
    resumed,
    stop_arrived_late,
    stopped_at_night,
    throttled,
    undelivered,
    wrong_language,
)

README: Final = "README.md"
EXAMPLES: Final = "events/examples/README.md"
DOCUMENTS: Final = (README, FUNCTIONS, EXAMPLES)

ADA: Final = f"{BRAND}/sms/{NUMBER}"
EXPLAIN: Final = "make explain"
DOCTOR: Final = "make doctor"
SAMPLE: Final = "make preview EVENT=events/plan_messages/appointment_booked.json"
PHONE: Final = f'{EXPLAIN} PHONE="+1 202 555 0101"'
OF_ADA: Final = f"CONTACT={ADA}"

NOT_RUN: Final = {
    "sam build": "`make up` runs it with the emulator's options",
    "sam deploy": "`make up` runs it with the emulator's options",
    "make first-deployment": "it asks questions; tests/template/test_first_deployment.py answers them",
    "sam delete": "the emulator's stack ends with `make down`; the table that it keeps is tested in tests/template",
    "make setup": "a stamp: it ran before this program could",
    "make demo": "a step of its own in .ci/run",
    "make test": "a step of its own in .ci/run",
    "make benchmark": "it measures for minutes and needs no stack; tests/benchmarks/test_* check its parts",
    "make costs": "it measures for a minute and needs no stack; tests/contract/test_use.py runs what it measures",
}
"""Commands that are not run here, and why."""

BY_THE_PROGRAM: Final = {"make up", "make down", "make smoke"}
"""Run by ``runbook.py``: at its beginning, at its end, and beside the scenes."""


def explained(address: str, *shows: str, channel: str = "sms") -> Case:
    """``make explain`` of a contact, which the text only mentions."""
    return Case(EXPLAIN, shows, completed={EXPLAIN: f"{EXPLAIN} CONTACT={BRAND}/{channel}/{address}"})


def complaint(command: str, number: str, before: Situation, *shows: str) -> Case:
    """A person complains, and the operator has only the phone number."""
    return Case(command, shows, completed={"+1 202 555 0101": number}, before=before)


def finding(*shows: str) -> Case:
    """``make doctor`` on a stack with a fault."""
    return Case(DOCTOR, shows, code=1)


PLANNED: Final = ("planned appointment_reminder a-17 PT2H",)

# Scenes

PROGRAM: Final = "reengage explain"
SENT: Final = ["sent by eventbridge"]


def documented(path: str, heading: str, beginning: str) -> list[str]:
    """Return the commands of a paragraph that begin so, for those too long to repeat here."""
    found = [each.text for each in commands_of(document(path)) if each.heading == heading]
    return [text for text in found if text.startswith(beginning)]


def scenes() -> list[Scene]:
    """Return all scenes in the order in which they are played."""
    return [*of_a_newcomer(), *of_the_reader(), *runbook(), *of_the_program(), *of_complaints()]


def of_a_newcomer() -> Iterator[Scene]:
    """What the front page and the examples show, before anything else is in the table."""
    put_events = documented(README, "The first two events", "aws events put-events")
    cases = [Case(text, ['"FailedEntryCount": 0']) for text in put_events]
    yield Scene(README, "The first two events", cases, first_events, is_planned)
    yield Scene(
        README,
        "Why was it sent, or not?",
        [
            Case(f"{EXPLAIN} {OF_ADA}", PLANNED),
            Case(SAMPLE, ["appointment_reminder"]),
            Case(EXPLAIN, PLANNED, completed={EXPLAIN: f"{EXPLAIN} {OF_ADA}"}),
        ],
    )
    describe = documented(README, "Deploy", "aws cloudformation")
    yield Scene(README, "Deploy", [Case(text, ["DashboardUrl", "EventBusName"]) for text in describe])
    simulate = documented(README, "Reengage", "make simulate")
    yield Scene(README, "Reengage", [Case(text, ["sent +north-clinic", '"MessageSent": 2']) for text in simulate])
    days = {"python": 4, "node": 5}
    books = [
        Case(
            text,
            [r"^[0-9a-f-]{36}$"],
            completed={EXAMPLE_INSTANT: iso(in_days(days[text.split()[1]]))},
        )
        for text in documented(EXAMPLES, "Connect your systems", "BUS=")
    ]
    yield Scene(EXAMPLES, "Connect your systems", books, None, booked_by_both)
    yield Scene(
        EXAMPLES,
        "A provider's webhook on your laptop",
        [
            Case(
                "make explain STACK=local CONTACT=brand/sms/your-number",
                PLANNED,
                completed={"brand/sms/your-number": ADA},
            )
        ],
    )


def of_the_reader() -> Iterator[Scene]:
    """The paragraphs before the runbook."""
    progress = f"make progress BRAND={BRAND} ANNOUNCEMENT=winter-hours"
    yield Scene(
        FUNCTIONS,
        "Announcements",
        [Case(progress, ["planned [1-9]"]), explained("+12025550120", "holiday_hours")],
        announced,
    )
    yield Scene(
        FUNCTIONS,
        "Explain and preview",
        [
            Case(f"{EXPLAIN} {OF_ADA}", PLANNED),
            Case(SAMPLE, ["appointment_reminder"]),
            explained(NUMBER, *PLANNED),
            Case("make opener", ["sms:"], completed={"make opener": "make opener APPOINTMENT=a-18 QR=out.svg"}),
            Case(
                "make preview",
                ["appointment_reminder"],
                completed={
                    "make preview": "env -u STACK make preview EVENT=events/plan_messages/appointment_booked.json"
                },
            ),
        ],
        booked_by_a_stranger,
        has_qr_code,
    )
    yield Scene(
        FUNCTIONS,
        "The program reengage",
        [
            Case(f"{PROGRAM} {ADA} --json --stack reengage", ['"entries"', '"a-17"']),
            Case("reengage preview events/plan_messages/appointment_booked.json", ["appointment_reminder"]),
            Case("reengage --help", ["doctor", "redrive", "explain"]),
            Case(
                f"reengage send AppointmentBooked --contact {ADA} --in 2d --stack reengage",
                ["plans appointment_reminder", "planned appointment_reminder"],
                answer="y\n",
            ),
        ],
    )
    query = documented(FUNCTIONS, "The stored items", "aws dynamodb query")
    yield Scene(FUNCTIONS, "The stored items", [Case(text, ["SCHEDULED#", "appointment_reminder"]) for text in query])


def runbook() -> Iterator[Scene]:
    """The paragraphs that alarms link to, each with what its alarm means."""
    yield Scene(
        FUNCTIONS,
        "Pause and outages",
        [
            Case('make pause WHY="wrong text" SCOPE=marketing', ["Paused: the whole stack, marketing"]),
            Case(
                EXPLAIN,
                ["trial_follow_up t-21 .*paused.*why wrong text"],
                completed={EXPLAIN: f"{EXPLAIN} CONTACT={BRAND}/sms/+12025550121"},
                before=marketing_is_held,
            ),
            finding(r"sending is paused: the whole stack, marketing, since 20\S+: wrong text \(by \w+\)"),
            Case("make resume SCOPE=marketing", ["Resumed: the whole stack, marketing"]),
        ],
        None,
        resumed,
    )
    yield Scene(
        FUNCTIONS,
        "Messages are not being sent",
        [
            finding("RetryingAlarm\\S* is on", "→ .*Messages retried|→ "),
            Case("make pause", ["Paused: the whole stack"]),
        ],
        lambda desk: alarm(desk, "RetryingAlarm"),
        one_alarm_ends,
    )
    yield Scene(
        FUNCTIONS,
        "Not running",
        [finding("the schedule SendUpdatesFunctionEveryMinute is disabled")],
        lambda desk: desk.stage.schedules(enabled=False),
        lambda desk: desk.stage.schedules(enabled=True),
    )
    yield Scene(
        FUNCTIONS,
        "Messages retried",
        [explained("+12025550131", "o-31.*error ThrottlingException", channel="rcs")],
        throttled,
    )
    yield Scene(
        FUNCTIONS,
        "Messages overdue",
        [finding("OverdueAlarm\\S* is on", "RetryingAlarm\\S* is on")],
        lambda desk: alarm(desk, "OverdueAlarm", "RetryingAlarm"),
        lambda desk: quiet(desk, "OverdueAlarm", "RetryingAlarm"),
    )
    yield Scene(
        FUNCTIONS,
        "Paused",
        [
            finding(r"the whole stack, all, since 20\S+: a drill \(by \w+\)"),
            Case("make resume", ["Resumed: the whole stack, all"]),
        ],
        lambda desk: pause(desk, "a drill"),
        resumed,
    )
    yield Scene(
        FUNCTIONS,
        "No receipts",
        [finding("no rule takes MessageSendRequested")],
        lambda desk: listener(desk, enabled=False),
        lambda desk: listener(desk, enabled=True),
    )
    yield Scene(
        FUNCTIONS,
        "Messages failed",
        [
            explained("+12025550130", "failed order_shipped o-30.*error ValidationException", channel="rcs"),
            Case("make redrive QUEUE=messages", ["order_shipped, error ValidationException.*: 1", "A dry run"]),
            Case("make redrive QUEUE=messages APPLY=1", ["order_shipped, error ValidationException.*: 1"]),
        ],
        refused,
        redriven_is_sent_once,
    )
    yield Scene(
        FUNCTIONS,
        "Messages undelivered",
        [explained("+12025550132", "undelivered order_shipped o-32.*error 30003", channel="rcs")],
        undelivered,
    )
    yield Scene(
        FUNCTIONS,
        "Events rejected",
        [
            Case("make redrive QUEUE=rejected", ["still invalid.*AppointmentBooked: 1", "A dry run"], code=1),
        ],
        rejected,
        purge,
    )
    yield Scene(
        FUNCTIONS,
        "Events failed",
        [
            Case(
                "make redrive",
                ["put: MessageReceived: 1", "delivered: notification of AWS: 1"],
                completed={"make redrive": "make redrive APPLY=1"},
            ),
        ],
        failed_event,
        failed_event_is_stored,
    )
    yield Scene(FUNCTIONS, "Events not published", [explained(NUMBER, *PLANNED)])
    yield Scene(
        FUNCTIONS,
        "Webhook refused",
        [Case("make pause", ["Paused: the whole stack, all"])],
        None,
        paused_and_resumed,
    )
    yield Scene(
        FUNCTIONS,
        "Throttled",
        [finding("concurrency")],
        lambda desk: concurrency(desk, reserved=0),
        lambda desk: concurrency(desk, reserved=None),
    )


def of_complaints() -> Iterator[Scene]:
    yield Scene(
        FUNCTIONS,
        "Runbook",
        [explained(NUMBER, *PLANNED)],
    )
    yield Scene(
        FUNCTIONS,
        "Complaints",
        [
            Case(PHONE, PLANNED),
            Case(f"{EXPLAIN} APPOINTMENT=a-17", [*PLANNED, "appointment a-17: .*newest_event_at 20"]),
            complaint(PHONE, "+12025550161", got_nothing, r"skipped order_shipped o-61.*rule opted_out"),
            Case(f"{EXPLAIN} ORDER=o-61", ["skipped order_shipped o-61.*rule opted_out"]),
            complaint(
                PHONE,
                "+12025550162",
                got_it_twice,
                r"sent order_shipped o-62.*provider_message_id provider-\d+",
                r"sent order_shipped o-63.*provider_message_id provider-\d+",
            ),
            complaint(
                PHONE,
                "+12025550163",
                got_it_after_stop,
                r"opted out: scope every phone channel, word stop",
                r"sent order_shipped o-64.*decided_at 20",
            ),
            complaint(
                PHONE,
                "+12025550164",
                came_at_the_wrong_time,
                r"o-65.*quiet_hours 21:00-08:00.*zone \S+, zone_from contact, local_time 20\S+",
                r"o-65.*setting UtilityQuietHours, setting_from stack",
            ),
            complaint(
                PHONE,
                "+12025550166",
                stop_arrived_late,
                r"opted out: scope every phone channel, word stop",
                r"sent order_shipped o-66.*decided_at 20\S+, last_inbound_at 20",
            ),
            complaint(
                PHONE,
                "+12025550169",
                wrong_language,
                r"reported by the contact: time zone \S+, language -",
                r"sent order_shipped o-69.*text Acme Dental: .*locale en, template order_shipped",
            ),
            Case('make pause WHY="messages after STOP"', ["Paused: the whole stack, all"]),
            Case("make resume", ["Resumed"]),
            Case(
                "make progress",
                ["planned [1-9]"],
                completed={"make progress": f"make progress BRAND={BRAND} ANNOUNCEMENT=winter-hours"},
            ),
            Case(DOCTOR, ["queues"], code=1),
            complaint(PHONE, "+12025550167", night_is_over, r"skipped .*a-67 PT1M: held_by paused, rule too_late"),
            Case(
                PHONE,
                [r"skipped .*a-68 PT1M: rule too_late, decided_at 20.*useful_until 20"],
                completed={"+1 202 555 0101": "+12025550168"},
            ),
            explained("+12025550168", "skipped .*a-68"),
        ],
        stopped_at_night,
    )


def of_the_program() -> Iterator[Scene]:
    yield Scene(
        FUNCTIONS,
        "A local stack",
        [
            Case(f"make send STACK=local EVENT=AppointmentBooked CONTACT={ADA} IN=2d", ["plans appointment_reminder"]),
            Case(f"{EXPLAIN} STACK=local CONTACT={ADA}", PLANNED),
        ],
    )
    test = "reengage send-test --to +4915112345678 --brand acme-dental --reason appointment_reminder --locale de"
    yield Scene(
        FUNCTIONS,
        "Send a test message",
        [
            Case(test, SENT, completed={test: f"{test} --stack local"}, answer="y\n"),
            Case(PROGRAM, ["test-"], completed={PROGRAM: f"{PROGRAM} {BRAND}/sms/+4915112345678 --stack local"}),
        ],
    )
    yield Scene(
        FUNCTIONS,
        "Smoke check",
        [
            Case("make redrive QUEUE=rejected", ["still invalid.*AppointmentBooked: 1"], code=1),
            Case(f"{EXPLAIN} PHONE=…", ["opted out: yes"], completed={"…": '"+1 202 555 0142"'}),
        ],
        rejected_and_stopped,
        purge,
    )
    dry, applied = ("make import-opt-outs FILE=opt-outs.csv", "make import-opt-outs FILE=opt-outs.csv APPLY=1")
    endpoints = "reengage import-opt-outs endpoints.csv --brand acme-dental --stack reengage --apply"
    yield Scene(
        FUNCTIONS,
        "Import opt-outs",
        [
            Case(dry, ["would be stored"]),
            Case(applied, ["1 are stored|1 is stored|stored"]),
            Case(endpoints, ["stored"]),
        ],
        files,
        opted_out_are_stored,
    )
    yield Scene(FUNCTIONS, "Import history", [], history)
    yield Scene(FUNCTIONS, "Erase and export", [Case(f"make export {OF_ADA}", ['"conversation"', "a-17"])])
    rules = documented(FUNCTIONS, "Delete the stack", "aws events list-rules")
    yield Scene(FUNCTIONS, "Delete the stack", [Case(text, ["business-system"]) for text in rules])


def unplayed() -> Iterator[str]:
    """Yield each documented command that no scene runs, and each of a scene that its paragraph does not have."""
    played = {(scene.document, scene.heading, case.command) for scene in scenes() for case in scene.cases}
    found = {
        (path, command.heading, command.text)
        for path in DOCUMENTS
        for command in commands_of(document(path))
        if command.text not in NOT_RUN
    }
    of_alarms = {scene.heading for scene in runbook()}
    elsewhere = {case.command for scene in scenes() for case in scene.cases} | BY_THE_PROGRAM
    for path, heading, text in sorted(found - played):
        is_mentioned = any(other.startswith(text) for other in elsewhere)
        if not is_mentioned or heading in of_alarms:
            yield f"{path}, {heading}: {text} is not run"
    for path, heading, text in sorted(played - found):
        yield f"{path}, {heading}: the paragraph has no {text}"
