"""The webhook through its handler: a signed call is published as events that the other functions parse."""

import base64
import gzip
import hmac
import json
from datetime import timedelta
from time import monotonic
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError

from reengage.adapters.secrets import FRESH_FOR
from reengage.bootstrap import webhook
from reengage.domain.message import State
from reengage.errors import ConfigurationError, NotPublished
from tests.integration.faults import failing
from tests.integration.replays import SENT, TICK, answered, play, understood
from tests.integration.stack import PROVIDER_KEYS, Stack, case, cases

PATIENT: Final = {"brand": "acme-clinic", "channel": "whatsapp", "address": "+447700900161"}
OURS: Final = "f81d4fae-7dec-51d0-a765-00a0c91e6bf6"


def from_meta(payload: Any, key: str = PROVIDER_KEYS["meta_app_secret"]) -> Any:
    """A call as in events/webhook, with another body."""
    body = payload if isinstance(payload, str) else json.dumps(payload)
    event = case("webhook/meta_message")
    signature = hmac.digest(key.encode(), body.encode(), "sha256").hex()
    return event | {"body": body, "headers": event["headers"] | {"x-hub-signature-256": f"sha256={signature}"}}


def payload_of(name: str) -> Any:
    return json.loads(case(name)["body"])


def call(stack: Stack, event: Any, **how: Any) -> Any:
    return stack.invoke("webhook", event, at=TICK, **how)


def received(stack: Stack) -> list[dict[str, Any]]:
    """Return the events as a listener receives them; this bus uses the machine's clock, years before the calls."""
    return [event | {"time": "2031-03-19T15:00:09Z"} for event in stack.relayed()]


def published_events(stack: Stack) -> list[tuple[str, dict[str, Any]]]:
    return [(event["detail-type"], event["detail"]) for event in stack.relayed()]


# The effects of a call


def test_a_message_by_meta_is_on_the_bus(stack: Stack) -> None:
    assert play(stack, "webhook/meta_message") == answered()
    (event,) = stack.relayed()
    assert (event["source"], event["detail-type"]) == ("reengage.webhook", "MessageReceived")
    assert event["detail"] == {
        "contact": PATIENT,
        "message_id": "wamid.HBgMNDQ3NzAwOTAwMTYxFQIAEhgUM0EzQTY1OTlBRUUwMzgxMDE0NEYA",
        "sent_at": "2031-03-19T14:59:55Z",
        "text": "Còn lịch hẹn thứ Sáu không? 🦷",
        "kind": "text",
        "display_name": "Ngọc Anh",
    }
    assert (stack.published(), stack.rejected(), stack.items()) == ([], [], [])


def test_statuses_by_meta_are_on_the_bus_each_by_itself(stack: Stack) -> None:
    assert play(stack, "webhook/meta_statuses") == answered()
    sent, delivered, failed = published_events(stack)
    assert sent == (
        "DeliveryReported",
        {
            "contact": PATIENT,
            "scheduled_message_id": OURS,
            "status": "sent",
            "provider_message_id": "wamid.HBgMNDQ3NzAwOTAwMTYxFQIAERgSNzExOTI1QTkxNzA5OUFFRTNGAA==",
            "occurred_at": "2031-03-19T14:59:51Z",
        },
    )
    assert delivered == (
        "DeliveryReported",
        sent[1] | {"status": "delivered", "occurred_at": "2031-03-19T14:59:52Z"},
    )
    assert (failed[1]["status"], failed[1]["error"]) == ("undelivered", "131047 Re-engagement message")


MESSAGES: Final = {
    "meta_message": ("acme-clinic", "whatsapp", "+447700900161", "Còn lịch hẹn thứ Sáu không? 🦷"),
    "twilio_message": ("acme-clinic", "sms", "+447700900162", "Is Friday free? Löwe & Söhne + 1"),
    "rcs_message": ("acme-clinic", "rcs", "+447700900163", "Is Friday free?"),
    "aws_sms": ("acme-optics", "sms", "+447700900164", "Is Friday free?"),
    "aws_whatsapp": ("acme-optics", "whatsapp", "+447700900165", "Ja, bitte"),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_by_any_provider_opens_a_conversation(stack: Stack, name: str) -> None:
    brand, channel, address, text = MESSAGES[name]
    play(stack, f"webhook/{name}")
    (event,) = received(stack)
    assert event["detail"]["contact"] == {"brand": brand, "channel": channel, "address": address}
    assert event["detail"]["text"] == text
    assert stack.invoke("ingest_message", event, at=TICK) == {"result": "stored"}
    (started,) = stack.published("ConversationStarted")
    assert started["detail"]["contact"] == event["detail"]["contact"]
    # The same call once more: providers tell everything at least once.
    play(stack, f"webhook/{name}")
    stored = stack.items()
    (replan,) = received(stack)
    stack.invoke("ingest_message", replan, at=TICK)
    assert stack.items() == stored


def test_an_sms_receipt_by_aws_brings_its_message_to_an_end(stack: Stack) -> None:
    for name in SENT:
        play(stack, name)
    stack.published()
    assert play(stack, "webhook/aws_receipt") == understood(receipts=1)
    (event,) = received(stack)
    assert event["detail-type"] == "DeliveryReported"
    assert event["detail"] == {
        "contact": {"brand": "acme-dental", "channel": "sms", "address": "+447700900142"},
        "scheduled_message_id": case("record_delivery/delivered")["detail"]["scheduled_message_id"],
        "status": "delivered",
        "provider_message_id": "862a8790-60c0-4430-9b2b-658bd0000001",
        "occurred_at": "2031-03-19T15:00:07.900000Z",
    }
    assert stack.invoke("record_delivery", event, at=TICK + timedelta(seconds=10)) == {"result": "recorded"}
    (delivered,) = stack.published()
    assert (delivered["detail-type"], delivered["detail"]["at"]) == ("MessageDelivered", "2031-03-19T15:00:07.900000Z")
    assert stack.rows()[0].state is State.DELIVERED


def test_a_status_by_twilio_is_of_the_message_that_its_url_names(stack: Stack) -> None:
    play(stack, "webhook/twilio_status")
    ((detail_type, detail),) = published_events(stack)
    assert detail_type == "DeliveryReported"
    assert (detail["scheduled_message_id"], detail["status"], detail["error"]) == (OURS, "undelivered", "30005")
    assert detail["contact"] == {"brand": "acme-clinic", "channel": "sms", "address": "+447700900162"}


def test_several_records_of_snss_are_read_at_once(stack: Stack) -> None:
    records = [case(f"webhook/{name}")["Records"][0] for name in ("aws_sms", "aws_receipt", "aws_whatsapp")]
    assert call(stack, {"Records": records}) == understood(messages=2, receipts=1)
    assert [detail_type for detail_type, _ in published_events(stack)] == [
        "MessageReceived",
        "MessageReceived",
        "DeliveryReported",
    ]


@pytest.mark.parametrize("name", ["meta_handshake", "rcs_set_up"])
def test_setting_up_puts_nothing_on_the_bus(stack: Stack, name: str) -> None:
    assert play(stack, f"webhook/{name}")["statusCode"] == 200
    _nothing_came_of_it(stack)


def test_call_larger_than_one_batch_is_published_whole(stack: Stack) -> None:
    payload = payload_of("webhook/meta_message")
    (message,) = payload["entry"][0]["changes"][0]["value"]["messages"]
    many = [{**message, "id": f"wamid.{number}"} for number in range(23)]
    payload["entry"][0]["changes"][0]["value"]["messages"] = many
    assert call(stack, from_meta(payload)) == answered()
    assert {detail["message_id"] for _, detail in published_events(stack)} == {
        f"wamid.{number}" for number in range(23)
    }


# What cannot be understood


def test_one_bad_entry_is_kept_and_the_rest_goes_on(stack: Stack) -> None:
    payload = payload_of("webhook/meta_message")
    messages = payload["entry"][0]["changes"][0]["value"]["messages"]
    messages.insert(0, {**messages[0], "timestamp": "yesterday"})
    event = from_meta(payload)
    assert call(stack, event) == answered()
    ((detail_type, detail),) = published_events(stack)
    assert (detail_type, detail["contact"]) == ("MessageReceived", PATIENT)
    (kept,) = stack.rejected()
    (error,) = kept["errors"]
    assert error.startswith("$.entry[0].changes[0].value.messages[0]: ")
    safe = {"content-type", "content-length", "host", "user-agent", "x-amzn-trace-id"}
    headers = {name: value for name, value in event["headers"].items() if name in safe}
    assert kept["event"] == event | {"headers": headers}
    (rejected,) = stack.published()
    assert (rejected["detail-type"], rejected["detail"]["errors"]) == ("EventRejected", [error])


def test_one_bad_record_of_snss_is_kept_and_the_rest_goes_on(stack: Stack) -> None:
    event = case("webhook/aws_sms")
    bad = json.loads(json.dumps(event["Records"][0]))
    bad["Sns"]["Message"] = "{"
    event["Records"].insert(0, bad)
    assert call(stack, event) == understood(messages=1, rejected=1)
    assert [detail_type for detail_type, _ in published_events(stack)] == ["MessageReceived"]
    (kept,) = stack.rejected()
    assert kept == {"errors": ["$.Records[0].Sns: expected JSON"], "event": event}


def test_signed_body_without_json_is_kept_and_not_retried(stack: Stack) -> None:
    assert call(stack, from_meta("{")) == answered()
    (kept,) = stack.rejected()
    assert kept["errors"] == ["$: expected JSON"]
    assert published_events(stack) == []


# Who is not let in


def _nothing_came_of_it(stack: Stack) -> None:
    assert (stack.relayed(), stack.published(), stack.rejected(), stack.items()) == ([], [], [], [])


def test_nothing_of_an_unsigned_call_is_put_or_kept(stack: Stack) -> None:
    assert play(stack, "webhook/unsigned") == answered(403)
    _nothing_came_of_it(stack)
    refused = next(metric for metric in stack.metrics() if "WebhooksRefused" in metric)
    assert (refused["WebhooksRefused"], refused["status"], refused["service"]) == ([1], "403", "webhook")
    assert refused["door"] == case("webhook/unsigned")["rawPath"].strip("/")


@pytest.mark.parametrize("name", ["meta_message", "meta_statuses", "twilio_message", "twilio_status", "rcs_message"])
def test_without_its_signature_no_call_is_let_in(stack: Stack, name: str) -> None:
    event = case(f"webhook/{name}")
    signatures = [header for header in event["headers"] if header.endswith(("signature", "signature-256"))]
    assert len(signatures) == 1
    del event["headers"][signatures[0]]
    assert call(stack, event) == answered(403)
    _nothing_came_of_it(stack)


@pytest.mark.parametrize("name", ["meta_handshake", "rcs_set_up"])
def test_setup_without_the_token_is_refused(stack: Stack, name: str) -> None:
    _keep(stack, {})
    assert play(stack, f"webhook/{name}") == answered(403)


def test_initial_secret_lets_no_call_in(stack: Stack) -> None:
    _keep(stack, {})
    assert play(stack, "webhook/meta_message") == answered(403)
    _nothing_came_of_it(stack)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"rawPath": "/elsewhere"}, 404),
        ({"isBase64Encoded": True}, 400),
        ({"headers": {}}, 415),
        ({"body": "x" * 3_145_729}, 413),
    ],
)
def test_what_is_refused_is_counted_by_its_status(stack: Stack, change: Any, status: int) -> None:
    assert call(stack, case("webhook/meta_message") | change) == answered(status)
    refused = next(metric for metric in stack.metrics() if "WebhooksRefused" in metric)
    assert (refused["WebhooksRefused"], refused["status"]) == ([1], str(status))
    # What a caller chooses is no value to count by.
    assert refused["door"] == ("none" if status == 404 else "meta")
    (line,) = [line for line in stack.log_lines() if line["message"] == "refused"]
    assert (line["door"], line["status"]) == (refused["door"], status)
    _nothing_came_of_it(stack)


def test_a_signed_call_of_nine_days_ago_is_refused(stack: Stack) -> None:
    late = TICK + timedelta(days=9)
    assert stack.invoke("webhook", case("webhook/meta_message"), at=late) == answered(400)
    _nothing_came_of_it(stack)


# A failure of ours is one for the caller, who tries again


@pytest.mark.parametrize("name", ["meta_message", "meta_statuses", "twilio_message", "rcs_message", "aws_sms"])
def test_call_fails_if_the_bus_is_down_and_its_retry_is_whole(stack: Stack, name: str) -> None:
    with failing("PutEvents") as failed, pytest.raises(NotPublished):
        play(stack, f"webhook/{name}")
    entries = len(failed[0]["Entries"])
    (metric,) = [metric for metric in stack.metrics() if "EventsNotPublished" in metric]
    assert (metric["EventsNotPublished"], metric["service"]) == ([entries], "stack")
    _logs_nothing_personal(stack, name)
    assert stack.relayed() == []
    play(stack, f"webhook/{name}")
    assert len(stack.relayed()) == entries


def test_where_nothing_can_be_kept_the_call_fails(stack: Stack) -> None:
    with failing("SendMessage"), pytest.raises(ClientError, match="ThrottlingException"):
        call(stack, from_meta("{"))
    assert stack.rejected() == []


@pytest.mark.parametrize("content", ["[]", '{"meta_app_secret": a key', '"a key"'])
def test_a_secret_that_is_no_object_fails_without_a_word_of_it(stack: Stack, content: str) -> None:
    stack.secrets.put_secret_value(SecretId=stack.resources["ProviderSecrets"], SecretString=content)
    with pytest.raises(ConfigurationError, match="the providers' secret"):
        play(stack, "webhook/meta_message")
    assert "a key" not in stack.printed
    _nothing_came_of_it(stack)


def test_where_the_secret_cannot_be_read_the_call_fails(stack: Stack) -> None:
    with failing("GetSecretValue"), pytest.raises(ConfigurationError, match="ThrottlingException"):
        play(stack, "webhook/meta_message")
    _nothing_came_of_it(stack)


@pytest.mark.parametrize("variable", ["PROVIDER_SECRETS", "ROUTES", "EVENT_BUS_NAME"])
def test_a_missing_variable_is_named(stack: Stack, variable: str) -> None:
    with pytest.raises(ConfigurationError, match=f"\\b{variable}\\b"):
        call(stack, case("webhook/meta_message"), without={variable})
    _nothing_came_of_it(stack)


# Secrets are changed while the function runs


def _keep(stack: Stack, keys: Any) -> None:
    stack.secrets.put_secret_value(SecretId=stack.resources["ProviderSecrets"], SecretString=json.dumps(keys))


def test_a_secret_is_rotated_while_the_function_runs(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Meta signs with the new key at once, but still retries calls that it signed with the old one."""
    former, new = PROVIDER_KEYS["meta_app_secret"], "a-new-meta-app-secret"
    by_former, by_new = (
        from_meta(payload_of("webhook/meta_message")),
        from_meta(payload_of("webhook/meta_message"), new),
    )
    assert call(stack, by_former) == answered()
    assert call(stack, by_new, warm=True) == answered(403)

    _keep(stack, PROVIDER_KEYS | {"meta_app_secret": new, "meta_app_secret_previous": former})
    # It is read anew after five minutes, and not at each call.
    assert call(stack, by_new, warm=True) == answered(403)
    monkeypatch.setattr(webhook.app().provider_secrets, "monotonic", lambda: monotonic() + FRESH_FOR)
    assert call(stack, by_new, warm=True) == answered()
    assert call(stack, by_former, warm=True) == answered()
    assert len(stack.relayed()) == 3

    monkeypatch.undo()
    _keep(stack, PROVIDER_KEYS | {"meta_app_secret": new})
    assert call(stack, by_new) == answered()
    assert call(stack, by_former, warm=True) == answered(403)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("meta_message", "meta_app_secret"),
        ("meta_handshake", "meta_verify_token"),
        ("twilio_message", "twilio_auth_token"),
        ("rcs_message", "rcs_client_token"),
        ("rcs_set_up", "rcs_client_token"),
    ],
)
def test_former_secret_is_valid_while_it_is_stored(stack: Stack, name: str, key: str) -> None:
    changed = PROVIDER_KEYS | {key: "another"}
    _keep(stack, changed)
    assert play(stack, f"webhook/{name}") == answered(403)
    _keep(stack, changed | {f"{key}_previous": PROVIDER_KEYS[key]})
    assert play(stack, f"webhook/{name}")["statusCode"] == 200


# What is written


PERSONAL: Final = (
    *("447700900161", "447700900162", "447700900163", "447700900164", "447700900165", "447700900142"),
    *("7700 900161", "Ngọc Anh", "Ng\\u1ecdc Anh", "Johanna Beispiel", "Friday", "thứ Sáu", "S\\u00e1u", "Ja, bitte"),
    # A message's id by WhatsApp has the number inside.
    *("wamid.", "HBgMNDQ3NzAwOTAwMTYx", "MxPRnmI3l0RF2p46Z", "192.0.2.10"),
)


def _logs_nothing_personal(stack: Stack, name: str) -> None:
    """Nor anything that grants access: no key, no token, no signature."""
    event = case(f"webhook/{name}")
    headers = event.get("headers", {})
    signatures = [value for header, value in headers.items() if "signature" in header]
    for secret in (*PERSONAL, *PROVIDER_KEYS.values(), *signatures):
        assert secret not in stack.printed
        assert base64.b64encode(secret.encode()).decode() not in stack.printed


@pytest.mark.parametrize("name", [name.removeprefix("webhook/") for name in cases() if name.startswith("webhook/")])
def test_nothing_personal_is_written(stack: Stack, name: str) -> None:
    play(stack, f"webhook/{name}")
    assert stack.log_lines()
    _logs_nothing_personal(stack, name)


def test_logs_of_invalid_entries_have_no_personal_data(stack: Stack) -> None:
    payload = payload_of("webhook/meta_message")
    payload["entry"][0]["changes"][0]["value"]["messages"][0]["timestamp"] = "Friday"
    call(stack, from_meta(payload))
    assert len(stack.rejected()) == 1
    _logs_nothing_personal(stack, "meta_message")
    stack.published()
    stack.invoke("webhook", {"Records": [{"Sns": {"Message": "447700900164 Friday", "Timestamp": "Friday"}}]}, at=TICK)
    assert len(stack.rejected()) == 1
    _logs_nothing_personal(stack, "aws_sms")


def test_the_files_hold_what_is_looked_for() -> None:
    """Looking for a secret that no file names would find nothing."""
    written = json.dumps([case(name) for name in cases() if name.startswith("webhook/")], ensure_ascii=False)
    decoded = "".join(
        base64.b64decode(case(f"webhook/{name}")["body"]).decode() for name in ("twilio_message", "twilio_status")
    )
    for secret in ("447700900161", "447700900164", "447700900165", "Ja, bitte", "Johanna Beispiel", "wamid."):
        assert secret in written
    assert "447700900162" in decoded


def test_entry_that_cannot_be_kept_does_not_block_others(stack: Stack) -> None:
    """The queue refused the rejected part at each retry of the provider, and the valid events never came through."""
    event = case("webhook/meta_message")
    payload = json.loads(event["body"])
    payload["entry"][0]["changes"][0]["value"]["messages"].append({"id": "wamid.bad"})
    with failing("SendMessage"), pytest.raises(ClientError, match="ThrottlingException"):
        call(stack, from_meta(json.dumps(payload)))
    assert [event["detail-type"] for event in stack.relayed()] == ["MessageReceived"]


def test_call_too_large_for_one_queue_message_is_kept_whole(stack: Stack) -> None:
    body = '{"' + "x" * 2_900_000
    call(stack, from_meta(body))
    (kept,) = stack.rejected()
    assert kept["errors"] == ["$: expected JSON"]
    assert json.loads(gzip.decompress(base64.b64decode(kept["gzip"])))["body"] == body


def test_thousands_of_bad_entries_do_not_block_a_good_one(stack: Stack) -> None:
    """The errors exceeded one batch of the bus, so the provider was made to retry again and again."""
    event = case("webhook/meta_message")
    payload = json.loads(event["body"])
    messages = payload["entry"][0]["changes"][0]["value"]["messages"]
    messages += [{"id": "wamid.bad"}] * 20_000
    assert call(stack, from_meta(json.dumps(payload)))["statusCode"] == 200
    assert [event["detail-type"] for event in stack.relayed()] == ["MessageReceived"]
    (kept,) = stack.rejected()
    assert (len(kept["errors"]), kept["errors"][-1]) == (101, "and 19900 more")
