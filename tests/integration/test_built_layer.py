"""The layer as it is deployed: small, all bytecode, and with all data that the app uses."""

import importlib.util
import json
import pickle
import re
from datetime import UTC, date, datetime
from itertools import product
from pathlib import Path
from typing import Any, Final

import botocore.session
import phonenumbers
import pytest
from babel import Locale, localedata
from babel.dates import format_date, format_time

from reengage.adapters.wording import FluentWording
from reengage.domain.contact import normalise_address
from reengage.domain.reasons import REASONS
from reengage.domain.zones import _names_by_number
from tests.built_layer import ROOT, SOURCE, build, run, zipped_size
from tests.docs.test_wording import LOCALES, samples

MOST_BYTES: Final = 8_000_000
"""Bytes of the layer, zipped."""

LAZY: Final = ("aws_xray_sdk", "babel", "boto3", "fluent", "phonenumbers", "pynamodb", "pytz", "urllib3", "wrapt")
"""Packages that take long to import, and that no function imports before it needs them."""

FUNCTIONS: Final = sorted(path.parent.name for path in (ROOT / "functions").glob("*/app.py"))
SERVICES: Final = (
    "dynamodb",
    "events",
    "lambda",
    "pinpoint-sms-voice-v2",
    "secretsmanager",
    "socialmessaging",
    "sqs",
    "xray",
)
REGIONS: Final = ("us-east-1", "eu-central-1", "ap-southeast-2", "cn-north-1", "us-gov-west-1", "xx-new-1")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def layer() -> Path:
    return build()


def test_zipped_layer_has_at_most_8_mb(layer: Path) -> None:
    assert zipped_size(layer) <= MOST_BYTES


def test_layer_has_only_bytecode_that_is_never_checked(layer: Path) -> None:
    assert list(layer.rglob("*.py")) == []
    header = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little")
    compiled = [*layer.rglob("*.pyc")]
    assert [path for path in compiled if path.read_bytes()[:8] != header] == []
    assert layer / "reengage" / "settings.pyc" in compiled


def test_layer_has_native_modules_for_both_processors(layer: Path) -> None:
    for package in ("msgspec", "wrapt"):
        machines = {re.split(r"[.-]", path.name)[3] for path in (layer / package).glob("*.so")}
        assert machines == {"aarch64", "x86_64"}, package


def test_layer_leaves_out_what_no_function_needs(layer: Path) -> None:
    present = {path.name.removesuffix(".pyc") for path in layer.iterdir()}
    assert not present & {"boto3", "s3transfer", "pip", "setuptools", "typer", "rich", "bin"}
    assert not (layer / "reengage" / "cli").exists()
    assert [path for path in layer.rglob("tests") if path.is_dir()] == []


def test_layer_has_the_versions_that_the_tests_run_with() -> None:
    pin = re.compile(r"^([a-z0-9.-]+)==([^ ;]+)", re.MULTILINE)
    locked = dict(pin.findall((SOURCE / "requirements-lock.txt").read_text()))
    tested = dict(pin.findall((ROOT / "requirements-dev.txt").read_text()))
    assert locked == {name: tested[name] for name in locked}
    assert "botocore" in locked


HANDLER: Final = """
import json, sys
import app
from importlib.machinery import SourceFileLoader
files = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
loaded = {name: sys.modules[name] for name, file in files.items() if file.startswith(sys.path[1])}
print(json.dumps({
    "packages": sorted({name.partition(".")[0] for name in sys.modules}),
    "compiled": [name for name, module in loaded.items() if isinstance(module.__loader__, SourceFileLoader)],
    "loaded": len(loaded),
}))
"""


@pytest.mark.parametrize("function", FUNCTIONS)
def test_handler_imports_no_package_before_its_use(layer: Path, function: str) -> None:
    found = json.loads(run(HANDLER, [ROOT / "functions" / function, layer]))
    assert set(found["packages"]) & set(LAZY) == set()
    assert found["compiled"] == []
    assert found["loaded"] > 50


COMPILES: Final = """
import json, pathlib, sys
texts = []
sys.addaudithook(lambda event, given: texts.append(given[0]) if event == "compile" else None)
import reengage
for path in sorted(pathlib.Path(reengage.__path__[0]).rglob("*.py*")):
    name = path.relative_to(sys.path[0]).with_suffix("").as_posix()
    if "__" not in name and not name.startswith(("reengage/cli", "reengage/report", "reengage/schemas")):
        __import__(name.replace("/", "."))
print(json.dumps(sum("__create_fn__" in str(text) for text in texts)))
"""
"""Count the texts that `dataclasses` compiles while all modules are imported."""


def test_layer_compiles_no_data_class(layer: Path) -> None:
    """A sixth of each cold start was spent on it."""
    assert json.loads(run(COMPILES, [layer])) == 0
    packages = Path(botocore.session.__file__).parents[1]
    assert json.loads(run(COMPILES, [SOURCE, packages])) > 100


def test_layer_compiles_a_data_class_that_it_does_not_know(layer: Path) -> None:
    program = "import reengage, dataclasses; print(dataclasses.make_dataclass('New', ['field_of_a_test'])(1))"
    assert run(program, [layer]) == b"New(field_of_a_test=1)\n"


def test_tracing_imports_the_x_ray_sdk_only_if_active(layer: Path) -> None:
    program = (
        "import sys, json; from reengage.observability import tracer; tracer(); print('aws_xray_sdk' in sys.modules)"
    )
    states = {
        name: run(program, [layer], env={"TRACING": name, "AWS_DEFAULT_REGION": "us-east-1"}).strip()
        for name in ("Off", "Active")
    }
    assert states == {"Off": b"False", "Active": b"True"}


RENDER: Final = """
import json, pickle, sys
from reengage.adapters.wording import FluentWording
cases = pickle.load(sys.stdin.buffer)
print(json.dumps([[list(w.parameters), w.text, w.template] for d, c in cases for w in [FluentWording(d)(c)]]))
"""


def test_every_text_renders_from_the_layer_alone(layer: Path) -> None:
    """Without pytz, the first text of a process failed at its import."""
    cases = [(locale, case) for reason, locale in product(REASONS, LOCALES) for case in samples(reason, locale)]
    wanted = [
        [list(wording.parameters), wording.text, wording.template]
        for wording in (FluentWording(default)(case) for default, case in cases)
    ]
    assert json.loads(run(RENDER, [layer], pickle.dumps(cases))) == wanted
    assert len(wanted) >= len(REASONS) * len(LOCALES)


NUMBERS: Final = """
import json, sys
from reengage.domain.contact import normalise_address
from reengage.domain.zones import _names_by_number
print(json.dumps([[normalise_address("sms", n), list(_names_by_number(n))] for n in json.load(sys.stdin)]))
"""


def test_numbers_of_every_region_are_parsed_and_have_zones(layer: Path) -> None:
    examples = filter(None, map(phonenumbers.example_number, sorted(phonenumbers.SUPPORTED_REGIONS)))
    numbers = [phonenumbers.format_number(each, phonenumbers.PhoneNumberFormat.E164) for each in examples]
    wanted = [[normalise_address("sms", number), list(_names_by_number(number))] for number in numbers]
    assert json.loads(run(NUMBERS, [layer], json.dumps(numbers).encode())) == wanted
    assert len(wanted) > 200


DATES: Final = """
import json, sys, datetime
from babel import Locale
from babel.dates import format_date, format_time
day, clock = datetime.date(2031, 3, 20), datetime.time(15, 5)
locales = {name: Locale.parse(name) for name in json.load(sys.stdin)}
print(json.dumps({name: [format_date(day, "full", locale=locale), format_time(clock, "short", locale=locale)]
                  for name, locale in locales.items()}))
"""


def test_dates_of_every_locale_are_those_of_babel(layer: Path) -> None:
    names = sorted(localedata.locale_identifiers())
    day, clock = date(2031, 3, 20), datetime(2031, 3, 20, 15, 5, tzinfo=UTC).time()
    wanted = {
        name: [format_date(day, "full", locale=parsed), format_time(clock, "short", locale=parsed)]
        for name in names
        for parsed in [Locale.parse(name)]
    }
    assert json.loads(run(DATES, [layer], json.dumps(names).encode())) == wanted
    assert len(wanted) > 1000


ZONES: Final = """
import json, zoneinfo
print(json.dumps(sorted(zoneinfo.ZoneInfo(name).key for name in zoneinfo.available_timezones())))
"""


@pytest.mark.parametrize("by_path", [True, False])
def test_every_time_zone_loads(layer: Path, by_path: bool) -> None:
    path = str(layer / "tzdata" / "zoneinfo") if by_path else ""
    zones = json.loads(run(ZONES, [layer], env={"PYTHONTZPATH": path}))
    import tzdata  # type: ignore[import-untyped]  # noqa: PLC0415 - it has no types

    listed = (Path(tzdata.__file__).parent / "zones").read_text().split()
    assert set(listed) <= set(zones)


CLIENTS: Final = """
import json, sys, botocore.session
session = botocore.session.get_session()
found = {}
for service, region in json.load(sys.stdin):
    client = session.create_client(service, region_name=region, aws_access_key_id="a", aws_secret_access_key="b")
    found[f"{service} {region}"] = [client.meta.endpoint_url, sorted(client.meta.service_model.operation_names)]
print(json.dumps(found))
"""


def test_clients_have_the_endpoints_and_operations_of_botocore(layer: Path) -> None:
    requested = [*product(SERVICES, REGIONS)]
    whole = Path(botocore.__file__).parents[1]
    wanted = json.loads(run(CLIENTS, [whole], json.dumps(requested).encode()))
    found = json.loads(run(CLIENTS, [layer], json.dumps(requested).encode()))
    assert found == wanted
    assert len(found) == len(requested)


SHAPES: Final = """
import json, sys, botocore.session
session, found = botocore.session.get_session(), {}
def tree(shape, above=()):
    if shape is None or shape.name in above: return shape and shape.name
    parts = dict(getattr(shape, "members", {})) or {"": getattr(shape, "member", None)}
    return [shape.type_name, sorted(shape.required_members) if shape.type_name == "structure" else [],
            {n: tree(p, (*above, shape.name)) for n, p in parts.items() if p is not None}]
for service, operation in json.load(sys.stdin):
    model = session.get_service_model(service).operation_model(operation)
    found[operation] = [tree(model.input_shape), tree(model.output_shape), model.http]
print(json.dumps(found))
"""

CALLED: Final = [
    ("dynamodb", "UpdateItem"),
    ("dynamodb", "Query"),
    ("dynamodb", "BatchGetItem"),
    ("events", "PutEvents"),
    ("lambda", "Invoke"),
    ("pinpoint-sms-voice-v2", "SendTextMessage"),
    ("pinpoint-sms-voice-v2", "SendRcsMessage"),
    ("secretsmanager", "GetSecretValue"),
    ("socialmessaging", "SendWhatsAppMessage"),
    ("sqs", "SendMessage"),
]


def test_requests_have_the_fields_of_botocore(layer: Path) -> None:
    given = json.dumps(CALLED).encode()
    found: dict[str, Any] = json.loads(run(SHAPES, [layer], given))
    assert found == json.loads(run(SHAPES, [Path(botocore.__file__).parents[1]], given))
    assert found.keys() == {operation for _, operation in CALLED}
