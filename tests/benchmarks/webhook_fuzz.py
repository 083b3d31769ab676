"""Whoever calls the door, and with whatever: 100,000 mutated and random events of a function URL.

    PYTHONPATH=layers/reengage python -m tests.benchmarks.webhook_fuzz

Each begins as a file of events/webhook, or as nothing at all. Some are changed and then signed, as by a provider that
has gone mad; some are signed and then changed, as by somebody who has seen a call. The seed is fixed, so that a run can
be run again.

It fails where anything is raised, where a status is none of the documented ones, where a signed call is refused as
unsigned, where anything is read of a call whose signature, reckoned here by other code, is wrong, and where what was
read is not understood behind the bus.
"""

import argparse
import base64
import binascii
import hashlib
import hmac
import json
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from reengage.adapters.inbound.eventbridge import inbound_message, receipt, said
from reengage.adapters.inbound.relay import events_in
from reengage.adapters.inbound.webhook import Answer, answer
from reengage.domain.routes import parse_routes
from tests.integration.stack import PROVIDER_KEYS, ROUTES, case
from tests.unit.adapters.inbound.payloads import BUSINESS_MESSAGE

NOW: Final = datetime(2031, 3, 19, 15, tzinfo=UTC)
EVENTS: Final = 100_000
SEED: Final = 20_310_319
SHOWN: Final = 5
"""Violations that are written out."""

JSON_CALLS: Final = tuple(case(f"webhook/{name}") for name in ("meta_message", "meta_statuses"))
RCS_CALL: Final = case("webhook/rcs_message")
FORM_CALLS: Final = tuple(case(f"webhook/{name}") for name in ("twilio_message", "twilio_status"))
SET_UP: Final = tuple(case(f"webhook/{name}") for name in ("meta_handshake", "rcs_set_up"))
SIGNED: Final = (*JSON_CALLS, RCS_CALL, *FORM_CALLS, *SET_UP)

STATUSES: Final = frozenset({200, 400, 403, 404, 405, 413, 415, 421})
PATHS: Final = ("/meta", "/twilio", "/twilio/status", "/rcs", "/google-business-messages", "/rcs/", "/", "", "/nowhere")
TOO_MANY_DIGITS: Final = "9" * 5000
"""Python refuses to read such a number."""

ODD: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1.5, 10**30, 10**400, float("nan"), float("inf")),
    *("", " ", "0", "-1", "1e999", "\x00", "\ud800", "\udfff\ud800", "ü" * 600, "🦷" * 6000, "[" * 20_000),
    *("STOP", "text", "statuses", "UNSUBSCRIBE", "+447700900161", "447700900161", "whatsapp:+1", "+", "wamid."),
    *(
        "2031-03-19T14:59:59Z",
        "2031-03-19",
        "1749416383",
        "2014-10-02T15:01:23Z",
        "9999-12-31T23:59:59+23:59",
        "1931698799",
        "1931698799000",
        "253402300800",
    ),
    *([], {}, [None], [[]], {"": None}, {"a": {"b": {"c": []}}}, [{}] * 50),
)


def say(text: str = "") -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


# Mutation


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place within: each is a path of names and numbers."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield from places(item, (*path, name))


def mutated(value: Any, by: random.Random) -> Any:
    """A copy with up to four of its places changed, left out or doubled."""
    whole: Any = {"": json.loads(json.dumps(value))}
    for _ in range(by.randint(1, 4)):
        *path, name = by.choice([place for place in places(whole) if place])
        holder = whole
        for step in path:
            holder = holder[step]
        match by.randrange(8):
            case 0 if path and isinstance(holder, dict):
                del holder[name]
            case 1 if isinstance(holder, list):
                holder.append(holder[name])
            case 2 if isinstance(holder[name], str):
                holder[name] = noise(holder[name], by)
            case 3:
                holder[name] = [holder[name]]
            case _:
                holder[name] = odd(by)
    return whole[""]


def odd(by: random.Random) -> Any:
    """A copy, for what is put in is changed in its turn."""
    return deepcopy(by.choice(ODD))


def noise(text: str, by: random.Random) -> str:
    """With some characters changed, left out or added."""
    letters = list(text)
    for _ in range(by.randint(1, 5)):
        at = by.randint(0, len(letters))
        letters[at : at + by.randint(0, 2)] = [chr(by.choice((by.randrange(128), by.randrange(0x11_0000))))]
    return "".join(letters)


def damaged(raw: bytes, by: random.Random) -> bytes:
    """With some bytes changed, left out or added."""
    whole = bytearray(raw)
    for _ in range(by.randint(1, 6)):
        at = by.randint(0, len(whole))
        whole[at : at + by.randint(0, 3)] = by.randbytes(by.randint(0, 3))
    return bytes(whole)


# Signatures: written from the providers' pages, and apart from the code that is under test


def _hmac(key: str, signed: bytes, algorithm: str) -> bytes:
    return hmac.new(PROVIDER_KEYS[key].encode(), signed, getattr(hashlib, algorithm)).digest()


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def by_meta(body: bytes) -> str:
    return f"sha256={_hmac('meta_app_secret', body, 'sha256').hex()}"


def by_twilio(url: str, form: list[tuple[str, str]]) -> str:
    signed = url + "".join(name + value for name, value in sorted(set(form)))
    return _base64(_hmac("twilio_auth_token", signed.encode("utf-8", "surrogatepass"), "sha1"))


def by_google(key: str, signed: bytes) -> str:
    return _base64(_hmac(key, signed, "sha512"))


def is_signed(event: Mapping[str, Any]) -> bool:
    """Whether a provider can have made this very call; one that is of no form at all was made by nobody."""
    headers = {str(name).lower(): value for name, value in event["headers"].items()}
    raw = event.get("body") or ""
    body = base64.b64decode(raw) if event.get("isBase64Encoded") else raw.encode()
    path = str(event["rawPath"]).strip("/")
    match path:
        case "meta":
            return bool(headers.get("x-hub-signature-256") == by_meta(body))
        case "rcs":
            data = base64.b64decode(json.loads(body)["message"]["data"])
            return bool(headers.get("x-goog-signature") == by_google("rcs_client_token", data))
        case "google-business-messages":
            return bool(headers.get("x-goog-signature") == by_google("google_business_messages_key", body))
        case "twilio" | "twilio/status":
            query = f"?{event['rawQueryString']}" if event.get("rawQueryString") else ""
            fields = parse_qsl(body.decode(errors="replace"), keep_blank_values=True)
            host = event["requestContext"]["domainName"]
            urls = [f"https://{host}{port}{event['rawPath']}{query}" for port in ("", ":443")]
            return headers.get("x-twilio-signature") in [by_twilio(url, fields) for url in urls]
        case _:
            return False


def knows_a_token(event: Mapping[str, Any]) -> bool:
    """What sets a webhook up has no signature, and a token instead: Meta's in its query, Google's in its body."""
    query = dict(parse_qsl(str(event.get("rawQueryString", "")), keep_blank_values=True))
    if event["requestContext"]["http"]["method"] == "GET":
        return query.get("hub.verify_token") == PROVIDER_KEYS["meta_verify_token"]
    raw = event["body"]
    token = json.loads(base64.b64decode(raw) if event.get("isBase64Encoded") else raw)["clientToken"]
    key = "rcs_client_token" if event["rawPath"].strip("/") == "rcs" else "google_business_messages_key"
    return bool(token == PROVIDER_KEYS[key])


# Where the events come from


def mad_meta(by: random.Random) -> Any:
    """Changed, and then signed."""
    call = by.choice(JSON_CALLS)
    body = _text(mutated(json.loads(call["body"]), by), by)
    return _sent(call, body, "x-hub-signature-256", by_meta(body))


def mad_rcs(by: random.Random) -> Any:
    payload = json.loads(RCS_CALL["body"])
    told = json.loads(base64.b64decode(payload["message"]["data"]))
    if by.random() < 0.3:
        told |= {"eventType": by.choice(("UNSUBSCRIBE", "SUBSCRIBE", "DELIVERED", "IS_TYPING")), "eventId": "MsHmdWmm"}
    data = _text(mutated(told, by), by)
    payload["message"]["data"] = _base64(data)
    return _sent(RCS_CALL, json.dumps(payload).encode(), "x-goog-signature", by_google("rcs_client_token", data))


def mad_business_messages(by: random.Random) -> Any:
    body = _text(mutated(dict(BUSINESS_MESSAGE), by), by)
    call = RCS_CALL | {"rawPath": "/google-business-messages"}
    return _sent(call, body, "x-goog-signature", by_google("google_business_messages_key", body))


def mad_twilio(by: random.Random) -> Any:
    call = by.choice(FORM_CALLS)
    fields = dict(parse_qsl(base64.b64decode(call["body"]).decode(), keep_blank_values=True))
    if by.random() < 0.3:
        fields |= {"OptOutType": by.choice(("STOP", "START", "HELP")), "NumMedia": "1"}
    changed = mutated(fields, by)
    changed = changed if isinstance(changed, dict) else {"Body": changed}
    form = {name: value if isinstance(value, str) else json.dumps(value) for name, value in changed.items()}
    body = urlencode(form, errors="replace").encode()
    query = by.choice((call["rawQueryString"], "", "scheduled_message_id=x", "a=%ff&a=b&=", "%%%"))
    url = f"https://{call['requestContext']['domainName']}{call['rawPath']}" + (f"?{query}" if query else "")
    # As it arrives: half of a surrogate pair cannot be sent.
    signature = by_twilio(url, parse_qsl(body.decode(), keep_blank_values=True))
    return _sent(call | {"rawQueryString": query}, body, "x-twilio-signature", signature)


def _text(value: Any, by: random.Random) -> bytes:
    """As JSON, at times with a number that cannot be read, or a byte that is none of it."""
    text = json.dumps(value, ensure_ascii=by.random() < 0.5).encode("utf-8", "surrogatepass")
    match by.randrange(20):
        case 0:
            return damaged(text, by)
        case 1:
            return text.replace(b"1", TOO_MANY_DIGITS.encode(), 1)
        case 2:
            return text + b" " * by.choice((1, 200_000, 300_000))
        case _:
            return text


def _sent(call: Mapping[str, Any], body: bytes, header: str, signature: str) -> Any:
    headers = {**call["headers"], header: signature}
    return {**call, "headers": headers, "body": _base64(body), "isBase64Encoded": True}


def changed_call(by: random.Random) -> Any:
    """Signed, and then changed somewhere in the event."""
    return mutated(by.choice(SIGNED), by)


def changed_body(by: random.Random) -> Any:
    """Signed, and then other bytes."""
    call = by.choice(SIGNED)
    raw = call.get("body") or ""
    body = base64.b64decode(raw) if call["isBase64Encoded"] else raw.encode()
    return {**call, "body": _base64(damaged(body, by)), "isBase64Encoded": True}


def replayed_elsewhere(by: random.Random) -> Any:
    """A call to one provider's path, with what was signed for another."""
    one, other = by.choice(SIGNED), by.choice(SIGNED)
    mixed = {**one, "rawPath": by.choice(PATHS), "headers": {**one["headers"], **other["headers"]}}
    mixed["requestContext"] = {**one["requestContext"], "http": {"method": by.choice(("GET", "POST", "PUT", ""))}}
    return mixed


def from_nowhere(by: random.Random) -> Any:
    """Nobody's call: each of its parts is there or not, and anything."""
    parts: dict[str, Callable[[], Any]] = {
        "rawPath": lambda: by.choice((*PATHS, *ODD)),
        "rawQueryString": lambda: by.choice(("", "hub.mode=subscribe&hub.verify_token=&hub.challenge=1", *ODD)),
        "headers": lambda: by.choice(({}, {"Content-Type": "application/json"}, *ODD)),
        "requestContext": lambda: by.choice(({"http": {"method": "POST"}}, {"http": {"method": "GET"}}, *ODD)),
        "body": lambda: by.choice(("{}", noise("{}", by), _base64(by.randbytes(40)), *ODD)),
        "isBase64Encoded": lambda: by.choice((True, False, *ODD)),
    }
    event = {name: part() for name, part in parts.items() if by.random() < 0.9}
    return event if by.random() < 0.95 else odd(by)


IS_SIGNED: Final = (mad_meta, mad_rcs, mad_business_messages, mad_twilio)
MAYBE: Final = (changed_call, changed_call, changed_body, replayed_elsewhere, from_nowhere)


# What must hold


class Violation(AssertionError):
    """What must hold does not."""


def check(event: Any, answered: Answer, *, signed: bool) -> None:
    """Raises ``Violation``."""
    json.dumps(answered.response)
    if answered.status not in STATUSES:
        raise Violation(f"status {answered.status}")
    if signed and answered.status not in (200, 400, 413):
        raise Violation(f"a signed call was answered with {answered.status}")
    if signed and answered.status == 200 and answered.read is None:
        raise Violation("nothing was read of a signed call")
    if answered.status != 200 and (answered.read is not None or answered.body):
        raise Violation("a call that was refused was read, or told something")
    if answered.read is not None and not _can_be(is_signed, event):
        raise Violation("an unsigned call was read")
    if answered.status == 200 and answered.read is None and not _can_be(knows_a_token, event):
        raise Violation("somebody without a token was answered")
    if answered.read is not None:
        _understood(answered)


def _can_be(holds: Callable[[Any], bool], event: Any) -> bool:
    try:
        return holds(event)
    except (AttributeError, KeyError, TypeError, ValueError, binascii.Error):
        return False


READERS: Final[Mapping[str, Callable[[Any], Any]]] = {"MessageReceived": inbound_message, "DeliveryReported": receipt}


def _understood(answered: Answer) -> None:
    """Behind the bus; raises ``InvalidEvent`` where it is not."""
    if answered.read is None:
        return
    for told in events_in(answered.read):
        detail = json.loads(json.dumps(told.detail, ensure_ascii=False).encode())
        envelope = {"id": "1", "detail-type": told.type, "time": "2031-03-19T15:00:00Z"} | {"detail": detail}
        read: Callable[[Any], Any] = READERS.get(told.type, said)
        read(envelope)


@dataclass(slots=True)
class Tally:
    by_status: Counter[tuple[str, int]] = field(default_factory=Counter)
    read: Counter[str] = field(default_factory=Counter)
    violations: int = 0

    def take(self, source: str, answered: Answer) -> None:
        self.by_status[source, int(answered.status)] += 1
        if answered.read is not None:
            read = answered.read
            self.read["calls"] += 1
            self.read["messages"] += len(read.messages)
            self.read["receipts"] += len(read.receipts)
            self.read["choices"] += len(read.choices)
            self.read["errors"] += len(read.errors)

    def violated(self, source: str, event: Any) -> None:
        self.violations += 1
        if self.violations <= SHOWN:
            say(f"{source}: {traceback.format_exc()}\n{json.dumps(event)[:4000]}\n")


def fuzz(count: int, seed: int) -> Tally:
    by, tally, routes = random.Random(seed), Tally(), parse_routes(ROUTES)
    for _ in range(count):
        signed = by.random() < 0.45
        source = by.choice(IS_SIGNED if signed else MAYBE)
        event = source(by)
        try:
            answered = answer(event, secrets=PROVIDER_KEYS, routes=routes, arrived_at=NOW)
            tally.take(source.__name__, answered)
            check(event, answered, signed=signed)
        except Exception:  # noqa: BLE001 - whatever is raised is what is looked for
            tally.violated(source.__name__, event)
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description="Calls the door with anything.")
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--seed", type=int, default=SEED)
    asked = parser.parse_args()
    began = time.monotonic()
    tally = fuzz(asked.events, asked.seed)
    statuses = sorted({status for _, status in tally.by_status})
    say(f"{'':24}" + "".join(f"{status:>9}" for status in statuses))
    for source in dict.fromkeys(each.__name__ for each in (*IS_SIGNED, *MAYBE)):
        say(f"{source:24}" + "".join(f"{tally.by_status[source, status]:>9,}" for status in statuses))
    totals = (sum(n for (_, each), n in tally.by_status.items() if each == status) for status in statuses)
    say(f"{'together':24}" + "".join(f"{total:>9,}" for total in totals))
    say("read: " + ", ".join(f"{number:,} {what}" for what, number in tally.read.items()))
    say(
        f"{asked.events:,} events, seed {asked.seed}: {tally.violations:,} violations, {time.monotonic() - began:.0f} s"
    )
    return 1 if tally.violations else 0


if __name__ == "__main__":
    sys.exit(main())
