"""Conversations as providers report them: a builder of stories, and their outcome in short lines.

A talk has one appointment, ``a``, one day after its reminder. Minutes count from the reminder. Messages of the person
are calls of the provider's own shape, so that the parsing is tried too.
"""

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final, Literal, Self

from reengage.simulation import simulate
from tests.simulation.builders import Line

REMINDER: Final = datetime(2026, 11, 4, 14, tzinfo=UTC)
DAY: Final = 24 * 60
BRAND: Final = "acme"
ROUTES: Final = (
    "acme/whatsapp/meta/106540352242922|+12025550190, acme/sms/twilio/+12025550191, "
    "acme/rcs/webhook/https://acme.example/out|acme_agent@rbm.goog"
)
AWS_ROUTES: Final = (
    "acme/whatsapp/aws/phone-number-id-77|206540352242922, acme/sms/aws/+12025550192, acme/rcs/aws/rcs-acme"
)
TWILIO_ROUTES: Final = "acme/whatsapp/twilio/+12025550193, acme/sms/twilio/+12025550191"
NUMBERS: Final = {
    "en": "+447700900301",
    "de": "+4915112345301",
    "vi": "+84912345301",
    "es": "+34612345301",
    "fr": "+33612345301",
    "us": "+12025550301",
}
ANSWERS: Final = {1: "confirmed", 2: "cancel_requested", 3: "reschedule_requested"}

Via = Literal["meta", "twilio", "rcs", "aws", "bus"]


class Talk:
    """One person, by default on WhatsApp; each method adds what happens at a minute."""

    def __init__(
        self,
        locale: str,
        channel: str = "whatsapp",
        via: Via = "meta",
        *,
        hello: float = -60,
        routes: str = "",
        **settings: str,
    ) -> None:
        self.number = NUMBERS[locale]
        self.zone = "Asia/Ho_Chi_Minh" if locale == "vi" else "Etc/UTC"
        self.reminded_at = REMINDER - timedelta(hours=10 if locale == "vi" else 0)
        self.locale = "en" if locale == "us" else locale
        self.channel, self.via = channel, via
        default = {"aws": AWS_ROUTES, "twilio": TWILIO_ROUTES}.get(via, ROUTES)
        self.lines: list[Line | Callable[[], Line]] = [{"set": {"Routes": routes or default, **settings}}]
        self.count = 0
        self.brand(-3 * DAY)
        if hello is not None:
            self.bus(
                hello,
                "MessageReceived",
                contact=self.contact,
                message_id="hello",
                sent_at=self.at(hello),
                text="…",
                locale=self.locale,
            )
        self.books(min(hello, -30) + 1, "a", 24)

    def at(self, minute: float) -> str:
        return (self.reminded_at + timedelta(minutes=minute)).isoformat().replace("+00:00", "Z")

    @property
    def contact(self) -> dict[str, str]:
        return {"brand": BRAND, "channel": self.channel, "address": self.number}

    def bus(self, minute: float, detail_type: str, **detail: Any) -> Self:
        self.lines.append({"time": self.at(minute), "detail-type": detail_type, "source": "test.app", "detail": detail})
        return self

    def brand(self, minute: float, **fields: Any) -> Self:
        return self.bus(
            minute,
            "BrandConfigured",
            **{"brand": BRAND, "name": "Acme", "timezone": "Etc/UTC", "locale": "en"} | fields,
        )

    def books(self, minute: float, appointment: str, hours: float, **fields: Any) -> Self:
        """Book an appointment so many hours after the reminder of ``a``; it is reminded a day before."""
        return self._appointment("AppointmentBooked", minute, appointment, hours, **{"remind_before": ["P1D"]} | fields)

    def moves(self, minute: float, appointment: str, hours: float, **fields: Any) -> Self:
        return self._appointment("AppointmentRescheduled", minute, appointment, hours, **fields)

    def _appointment(self, detail_type: str, minute: float, appointment: str, hours: float, **fields: Any) -> Self:
        starts_at = self.at(hours * 60)
        return self.bus(
            minute,
            detail_type,
            **{"contact": self.contact, "appointment_id": appointment, "starts_at": starts_at, "timezone": self.zone}
            | fields,
        )

    def cancels(self, minute: float, appointment: str) -> Self:
        return self.bus(minute, "AppointmentCancelled", contact=self.contact, appointment_id=appointment)

    def confirms(self, minute: float, appointment: str) -> Self:
        return self.bus(minute, "AppointmentConfirmed", contact=self.contact, appointment_id=appointment)

    def agent(self, minute: float) -> Self:
        return self.bus(minute, "AgentReplied", contact=self.contact, occurred_at=self.at(minute))

    def cart(self, minute: float) -> Self:
        """Leave a cart: it is reminded four hours later."""
        return self.bus(
            minute,
            "CartAbandoned",
            contact=self.contact,
            cart_id="cart",
            items=["Lamp"],
            cart_url="https://acme.example/c",
        )

    def echo(self, minute: float) -> Self:
        """A person of the business writes from the WhatsApp Business app."""
        at = str(int(datetime.fromisoformat(self.at(minute)).timestamp()))
        echo = {
            "from": "12025550190",
            "to": self.number.removeprefix("+"),
            "id": "wamid.echo",
            "timestamp": at,
            "type": "text",
            "text": {"body": "…"},
        }
        metadata = {"display_phone_number": "12025550190", "phone_number_id": "106540352242922"}
        value = {"messaging_product": "whatsapp", "metadata": metadata, "message_echoes": [echo]}
        entry = {"id": "102290129340398", "changes": [{"value": value, "field": "smb_message_echoes"}]}
        self.lines.append(self._call(minute, "meta", {"object": "whatsapp_business_account", "entry": [entry]}))
        return self

    def on(self, channel: str, via: Via) -> Self:
        """Let the person write from this address from now on."""
        self.channel, self.via = channel, via
        return self

    # What the person does

    def writes(self, minute: float, text: str, *, quotes: str | None = None, **more: Any) -> Self:
        """Write a text; ``quotes`` names an appointment whose newest message is quoted, or a message's id."""
        return self._adds(minute, text, quotes, 0, more)

    def presses(self, minute: float, number: int, appointment: str = "a", label: str = "…", **more: Any) -> Self:
        """Press a button of the newest message about the appointment, which is quoted as providers do."""
        return self._adds(minute, label, appointment, number, more)

    def _adds(self, minute: float, text: str, quotes: str | None, button: int, more: Line) -> Self:
        """Add the call; ids of sent messages are known when the talk is played."""
        self.count += 1
        # The channel of now; it may change before the talk is played.
        report: Callable[..., Line] = getattr(copy(self), f"_{self.via}_call_at")
        number = self.count
        at = len(self.lines)

        def line() -> Line:
            quoted, payload = quotes, None
            if quotes and (sent := self._sent(at, minute, quotes)):
                quoted = sent["provider_message_id"]
                payload = f"reengage-answer {ANSWERS[button]} {sent['scheduled_message_id']}" if button else None
            assert payload or not button, "no message of which a button could be pressed"
            return report(minute, number, text, quoted, payload, **more)

        self.lines.append(line)
        return self

    def again(self) -> Self:
        """The provider delivers the last call once more, a minute later."""
        at = len(self.lines) - 1

        def line() -> Line:
            last = self._line(at)
            later = datetime.fromisoformat(last["time"]) + timedelta(minutes=1)
            return last | {"time": later.isoformat()}

        self.lines.append(line)
        return self

    def _line(self, at: int) -> Line:
        line = self.lines[at]
        if callable(line):
            line = self.lines[at] = line()
        return line

    def _sent(self, at: int, minute: float, appointment: str) -> Line | None:
        found = [
            line["detail"]
            for line in simulate([*map(self._line, range(at)), {"until": self.at(minute)}])
            if line.get("detail-type") == "MessageSent" and line["detail"].get("subject_id") == appointment
        ]
        return found[-1] if found else None

    # How each provider reports it

    def _call(self, minute: float, path: str, body: Any) -> Line:
        return {"call": {"path": path, "body": body}, "time": self.at(minute)}

    def _meta_entry(
        self, minute: float, number: int, text: str, quoted: str | None, payload: str | None, **more: Any
    ) -> Line:
        sender = self.number.removeprefix("+")
        at = str(int((self.reminded_at + timedelta(minutes=minute)).timestamp()))
        message: Line = {
            "from": sender,
            "id": f"wamid.{number}",
            "timestamp": at,
            "type": "text",
            "text": {"body": text},
        }
        if payload and more.pop("template", False):
            message |= {"type": "button", "button": {"payload": payload, "text": text}}
        elif payload:
            button = {"type": "button_reply", "button_reply": {"id": payload, "title": text}}
            message |= {"type": "interactive", "interactive": button}
        if quoted:
            message["context"] = {"from": "12025550190", "id": quoted}
        if "button" in message or "interactive" in message:
            del message["text"]
        value = {
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "12025550190", "phone_number_id": "106540352242922"},
            "contacts": [{"profile": {"name": "Kim"}, "wa_id": sender}],
            "messages": [message | more],
        }
        return {"id": "102290129340398", "changes": [{"value": value, "field": "messages"}]}

    def _meta_call_at(
        self, minute: float, number: int, text: str, quoted: str | None, payload: str | None, **more: Any
    ) -> Line:
        entry = self._meta_entry(minute, number, text, quoted, payload, **more)
        return self._call(minute, "meta", {"object": "whatsapp_business_account", "entry": [entry]})

    def _twilio_call_at(
        self, minute: float, number: int, text: str, quoted: str | None, payload: str | None, **more: Any
    ) -> Line:
        prefix, to = ("whatsapp:", "+12025550193") if self.channel == "whatsapp" else ("", "+12025550191")
        body = {
            "From": prefix + self.number,
            "To": prefix + to,
            "Body": text,
            "MessageSid": f"SM{number}",
            "NumMedia": "0",
        }
        if payload:
            body |= {"ButtonText": text, "ButtonPayload": payload, "MessageType": "button"}
        if quoted:
            body["OriginalRepliedMessageSid"] = quoted
        return self._call(minute, "twilio", body | more)

    def _rcs_call_at(
        self, minute: float, number: int, text: str, _: str | None, payload: str | None, **more: Any
    ) -> Line:
        content: Line = {
            "senderPhoneNumber": self.number,
            "messageId": f"Mx{number}",
            "sendTime": self.at(minute),
            "agentId": "acme_agent@rbm.goog",
        }
        content |= {"suggestionResponse": {"postbackData": payload, "text": text}} if payload else {"text": text}
        data = base64.b64encode(json.dumps(content | more).encode()).decode()
        return self._call(minute, "rcs", {"message": {"data": data}})

    def _aws_call_at(
        self, minute: float, number: int, text: str, quoted: str | None, payload: str | None, **more: Any
    ) -> Line:
        if self.channel == "whatsapp":
            entry = self._meta_entry(minute, number, text, quoted, payload, **more)
            entry["changes"][0]["value"]["metadata"]["phone_number_id"] = "206540352242922"
            message: Line = {"context": {"MetaPhoneNumberIds": []}, "whatsAppWebhookEntry": json.dumps(entry)}
        else:
            receiver = "+12025550192" if self.channel == "sms" else "rcs-acme"
            content = json.dumps({"type": "SUGGESTION", "text": text, "postbackData": payload}) if payload else text
            message = {
                "originationNumber": self.number,
                "destinationNumber": receiver,
                "messageBody": content,
                "inboundMessageId": f"in-{number}",
            }
            if quoted:
                message["previousPublishedMessageId"] = quoted
        sns = {"Message": json.dumps(message | more), "Timestamp": self.at(minute)}
        return {"Records": [{"EventSource": "aws:sns", "Sns": sns}], "time": self.at(minute)}

    def _bus_call_at(
        self, minute: float, number: int, text: str, quoted: str | None, payload: str | None, **more: Any
    ) -> Line:
        detail = {
            "contact": self.contact,
            "message_id": f"m{number}",
            "sent_at": self.at(minute),
            "text": text,
            "quoted_message_id": quoted,
            "payload": payload,
        }
        given = {name: value for name, value in (detail | more).items() if value is not None}
        return {"time": self.at(minute), "detail-type": "MessageReceived", "source": "test.app", "detail": given}

    # The outcome

    @cached_property
    def out(self) -> list[Line]:
        return list(simulate([*map(self._line, range(len(self.lines))), {"until": self.at(3 * DAY)}]))

    def comes_to(self, since: float = 0) -> list[str]:
        """What was published after the reminder, in short lines."""
        return [short for line in self.out if line.get("at", "") > self.at(since) for short in _short(line)]


def _short(line: Line) -> Iterator[str]:
    kind, detail = line["detail-type"], line["detail"]
    message = " ".join(str(detail[name]) for name in ("reason", "subject_id") if name in detail)
    match kind:
        case "AppointmentAnswered":
            opted_out = ", opted out" if detail["also_opted_out"] else ""
            yield f"{detail['answer']}: {_bound(detail)}{opted_out}"
        case "ContactOptedOut":
            yield "opted out" + (
                f" at {at}" if (at := detail["cause"].get("open_question", {}).get("subject_id")) else ""
            )
        case "ContactOptedIn" | "OptOutSuspected" | "EventRejected" | "MessageUnconfirmed" | "MessageFailed":
            yield kind
        case "MessageSent" if detail["reason"] in ("answer_reply", "help_reply"):
            yield "replies"
        case "MessageSent":
            yield f"sent {message}{_other_address(detail)}".replace("appointment_reminder", "reminder")
        case "MessageSkipped" if detail["reason"] in ("answer_reply", "welcome_back"):
            yield f"skipped reply: {detail['rule']}"
        case "MessageSkipped":
            yield f"skipped {message}: {detail['rule']}".replace("appointment_reminder", "reminder")
        case "MessageHeld":
            yield f"held {message}: {detail['rule']}"
        case _:
            return


def _other_address(detail: Line) -> str:
    return f" on {detail['contact']['channel']}" if detail.get("planned_for") else ""


def _bound(detail: Line) -> str:
    if detail["answer"] != "unclear":
        return f"{detail['subject_id']} by {detail['bound_by']}"
    names: Iterable[Any] = (each["subject_id"] for each in detail.get("candidates") or ())
    return f"{detail['why']} {' '.join(names) or detail.get('subject_id', '')}".strip()
