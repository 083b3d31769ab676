"""What a cold start costs: import and first call of each function, by the CPU of its process.

    PYTHONPATH=layers/reengage python -m tests.benchmarks.cold_start [--rounds 9] [--json FILE] [--layer FOLDER]

The layer is built as `sam build` builds it, for this machine's processor. The floor is a bare botocore client: import,
client, one GetItem; with valid bytecode and all of botocore's data. AWS is an HTTPS server of this machine, its
certificate in a bundle as long as botocore's own. The table is DynamoDB Local behind it, all other services answer at
once. All run in turns, in one run; of each the median.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

import botocore

from tests.benchmarks.broadcast import audience
from tests.benchmarks.fan_out import booked, put
from tests.built_layer import BASE_PYTHON, ROOT, build, zipped_size
from tests.contract.stores import TABLE, DynamoDB
from tests.integration.channels.wire import certified
from tests.local import dynamodb_local
from tests.template_resources import environment

FUNCTIONS: Final = {
    "ingest_message": ("IngestMessageFunction", "first_message"),
    "plan_messages": ("PlanMessagesFunction", "appointment_booked"),
    "record_delivery": ("RecordDeliveryFunction", "delivered"),
    "send_appointment_reminders": ("SendAppointmentRemindersFunction", "tick"),
    "send_trial_follow_ups": ("SendTrialFollowUpsFunction", "tick"),
    "send_updates": ("SendUpdatesFunction", "tick"),
    "webhook": ("WebhookFunction", "meta_message"),
    "explain": ("ExplainFunction", "contact"),
}
"""Each function's logical id, and the file of events/ that is its first call."""

SENDS: Final = "send_appointment_reminders"
WITH_ONE_DUE: Final = f"{SENDS}, which sends one"
"""Its first call sends a reminder through the bus, to a person whose time zone the phone number gives."""

RESOURCES: Final = {
    "Table": TABLE,
    "EventBus": "a-bus",
    "RejectedEventsQueue": "https://127.0.0.1/a-queue",
    "PreferencesKey": "preferences-key",
    "ProviderSecrets": "provider-secrets",
    "WebhookFunctionUrl": "https://127.0.0.1/",
}

FLOOR: Final = """
import sys, time
begun = time.process_time()
import botocore.session
imported = time.process_time()
client = botocore.session.get_session().create_client("dynamodb")
answer = client.get_item(TableName="reengage", Key={"pk": {"S": "a"}, "sk": {"S": "b"}})
ended = time.process_time()
answer = {}
"""

FUNCTION: Final = """
import json, sys, time, types
event = json.loads(sys.stdin.read())
context = types.SimpleNamespace(
    function_name="a-function", aws_request_id="a-request", memory_limit_in_mb=256,
    invoked_function_arn="arn:aws:lambda:eu-central-1:123456789012:function:a-function",
    get_remaining_time_in_millis=lambda: 55_000,
)
begun = time.process_time()
from app import handler
imported = time.process_time()
answer = handler(event, context)
ended = time.process_time()
"""

REPORT: Final = """
source = sorted(m.__name__ for m in list(sys.modules.values()) if (getattr(m, "__file__", None) or "").endswith(".py")
                and m.__file__.startswith(sys.argv[1]))
print(json.dumps({"import": imported - begun, "call": ended - imported, "answer": answer, "source": source}))
"""


class Aws(BaseHTTPRequestHandler):
    """AWS's services in JSON: the table, and others with nothing stored."""

    protocol_version = "HTTP/1.1"
    table = ""
    """The address of DynamoDB Local: host and port."""

    ANSWERS: Final = {
        "GetSecretValue": {"SecretString": json.dumps({"meta_app_secret": "a-meta-app-secret-for-tests"})}
    }

    def do_POST(self) -> None:
        given = self.rfile.read(int(self.headers["Content-Length"]))
        service, _, operation = self.headers.get("X-Amz-Target", "").rpartition(".")
        status = 200
        if service.startswith("DynamoDB"):
            connection = HTTPConnection(self.table)
            connection.request("POST", "/", given, dict(self.headers.items()))
            answered = connection.getresponse()
            status, body = answered.status, answered.read()
            connection.close()
        elif operation == "PutEvents":
            entries = [{"EventId": "1"} for _ in json.loads(given)["Entries"]]
            body = json.dumps({"FailedEntryCount": 0, "Entries": entries}).encode()
        else:
            body = json.dumps(self.ANSWERS.get(operation, {})).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def serving(folder: Path, table: str) -> Iterator[dict[str, str]]:
    """Start the server before the ``table``, and return the environment that points to it."""
    Aws.table = table.removeprefix("http://")
    tls, _ = certified(folder)
    bundle = folder / "bundle.pem"
    own = (folder / "certificate.pem").read_text()
    bundle.write_text((Path(botocore.__file__).parent / "cacert.pem").read_text() + own)
    with ThreadingHTTPServer(("127.0.0.1", 0), Aws) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        process = get_context("fork").Process(target=server.serve_forever, daemon=True)
        process.start()
        yield {
            "AWS_ENDPOINT_URL": f"https://127.0.0.1:{server.server_port}",
            "AWS_CA_BUNDLE": str(bundle),
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_REGION": "eu-central-1",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        process.terminate()
        process.join()


def first_call(folder: str, case: str) -> str:
    """The sample event, as if it happened now."""
    text = (ROOT / "events" / folder / f"{case}.json").read_text(encoding="utf-8")
    time = json.loads(text).get("time")
    if not time:
        return text
    shift = datetime.now(UTC) - datetime.fromisoformat(time)
    return re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:\d\d)", partial(_shifted, by=shift), text)


def _shifted(instant: re.Match[str], by: timedelta) -> str:
    return (datetime.fromisoformat(instant[0]) + by).isoformat()


def run(script: str, paths: list[Path], env: Mapping[str, str], given: str = "") -> dict[str, Any]:
    """Run the script in an interpreter of its own, and return the measured seconds of CPU."""
    setup = f"import json, sys\nsys.path[:0] = {[str(path) for path in paths]!r}\n"
    command = [str(BASE_PYTHON), "-I", "-S", "-B", "-c", setup + script + REPORT, str(paths[-1])]
    done = subprocess.run(command, env=dict(env), input=given, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode:
        raise RuntimeError(done.stderr)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def measure(layer: Path, rounds: int) -> dict[str, dict[str, Any]]:
    """Seconds of CPU of the floor and of each function."""
    whole = Path(botocore.__file__).parents[1]
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in ("floor", *FUNCTIONS, WITH_ONE_DUE)}
    with TemporaryDirectory() as scratch, dynamodb_local.running() as table, serving(Path(scratch), table) as aws:

        def first(folder: str, **variables: str) -> dict[str, Any]:
            function, case = FUNCTIONS[folder]
            env = aws | environment(function, RESOURCES) | variables
            env["PYTHONTZPATH"] = env["PYTHONTZPATH"].replace("/opt/python", str(layer))
            return run(FUNCTION, [ROOT / "functions" / folder, layer], env, first_call(folder, case))

        for _ in range(rounds + 1):
            local = DynamoDB.connect(table)
            local.create_table()
            found["floor"].append(run(FLOOR, [whole], aws))
            for folder in FUNCTIONS:
                found[folder].append(first(folder))
            put(local, booked(audience(1), now=datetime.now(UTC) - timedelta(days=1)))
            found[WITH_ONE_DUE].append(first(SENDS, UTILITY_QUIET_HOURS=""))
            local.delete_table()
            local.close()
    if found[WITH_ONE_DUE][-1]["answer"]["sent"] != 1:
        raise RuntimeError(f"the reminder was not sent: {found[WITH_ONE_DUE][-1]['answer']}")
    return {
        name: {
            "import": median(each["import"] for each in measured[1:]),
            "call": median(each["call"] for each in measured[1:]),
            "total": median(each["import"] + each["call"] for each in measured[1:]),
            "answer": measured[-1]["answer"],
            "source": measured[-1]["source"],
        }
        for name, measured in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the cold start of each function.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--layer", type=Path, help="the folder `python` of a layer that is built already")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    given = parser.parse_args()
    layer = given.layer or build()
    size = zipped_size(layer)
    found = measure(layer, given.rounds)
    floor = found["floor"]["total"]
    table = [f"layer: {size / 1e6:.2f} MB zipped"]
    table.append(f"{'CPU ms':28}{'import':>8}{'call':>8}{'total':>8}{'/ floor':>9}  answer")
    for name, each in found.items():
        times = "".join(f"{each[part] * 1000:8.1f}" for part in ("import", "call", "total"))
        table.append(f"{name:28}{times}{each['total'] / floor:9.2f}  {json.dumps(each['answer'])[:60]}")
    sys.stdout.write("\n".join(table) + "\n")
    if given.json:
        figures = {name: {"ratio": each["total"] / floor, **each} for name, each in found.items()}
        given.json.write_text(json.dumps({"layer_bytes": size, "cold_start": figures}, indent=2) + os.linesep)


if __name__ == "__main__":
    main()
