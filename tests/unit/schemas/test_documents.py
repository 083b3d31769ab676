"""The generated files are current, valid and complete."""

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest

from reengage.adapters.inbound.event_types import EVENTS_IN
from reengage.adapters.inbound.eventbridge import inbound_message, parse_business_event, receipt
from reengage.errors import InvalidEvent
from reengage.observability import METRICS
from reengage.schemas.documents import EVENTS, generated, with_tables
from reengage.schemas.events_out import EVENTS_OUT
from reengage.simulation import read_story, simulate
from tests.simulation import stories

ROOT: Final = Path(__file__).parents[3]
TEMPLATE_LIMIT: Final = 1_000_000
CONTENT_LIMIT: Final = 100_000
"""Characters; CloudFormation's quota of a template, and EventBridge's of a schema."""


def read(path: str) -> Any:
    return json.loads((ROOT / "events" / path).read_text(encoding="utf-8"))


def schemas() -> dict[str, Any]:
    folder = ROOT / "events" / "schemas"
    return {str(path.relative_to(folder)): json.loads(path.read_text()) for path in sorted(folder.rglob("*.json"))}


@pytest.mark.slow
def test_generated_files_are_current() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    files = generated(ROOT, version)
    outdated = [path for path, text in files.items() if (ROOT / path).read_text(encoding="utf-8") != text]
    assert outdated == [], "run make schemas"
    assert {path.relative_to(ROOT) for path in (ROOT / EVENTS / "schemas").rglob("*.json")} <= set(files)


def test_a_table_without_its_comment_is_an_error() -> None:
    with pytest.raises(ValueError, match="events in"):
        with_tables("# Events")


@pytest.mark.slow
def test_there_is_a_schema_for_each_event() -> None:
    expected = {f"in/{name}.json" for name in EVENTS_IN} | {f"out/{name}.json" for name in EVENTS_OUT}
    assert set(schemas()) == expected
    assert set(EVENTS_OUT) == {*METRICS, "MessageSendRequested"}


@pytest.mark.slow
@pytest.mark.parametrize("draft", ["Draft4Validator", "Draft7Validator", "Draft202012Validator"])
def test_schemas_are_valid_in_each_draft(draft: str) -> None:
    for schema in schemas().values():
        getattr(jsonschema, draft).check_schema({name: value for name, value in schema.items() if name != "$schema"})


def test_samples_of_events_in_have_the_same_verdict() -> None:
    """Each sample of a function that receives events in, also the invalid ones."""
    paths = [
        path
        for folder in ("plan_messages", "ingest_message", "record_delivery")
        for path in sorted((ROOT / "events" / folder).glob("*.json"))
    ]
    verdicts = {path.stem: _verdicts(json.loads(path.read_text(encoding="utf-8"))) for path in paths}
    assert {name for name, (by_schema, by_app) in verdicts.items() if by_schema != by_app} == set()
    assert {by_app for _, by_app in verdicts.values()} == {True, False}


def _verdicts(event: dict[str, Any]) -> tuple[bool, bool]:
    name = event["detail-type"]
    decode = {"MessageReceived": inbound_message, "DeliveryReported": receipt}.get(name, parse_business_event)
    try:
        decode(event)
        accepted = True
    except InvalidEvent:
        accepted = False
    return jsonschema.Draft7Validator(read(f"schemas/in/{name}.json")).is_valid(event), accepted


def closed(schema: Any) -> Any:
    """Return the schema of an event out without unknown fields."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(value) for name, value in schema.items()}
    return inner | {"additionalProperties": False} if "properties" in schema else inner


@pytest.mark.slow
@pytest.mark.parametrize("story", stories.names())
def test_events_out_of_a_story_have_their_schema(story: str) -> None:
    """Fields that no schema names count as errors: the types of the events out are complete."""
    for line in simulate(read_story(stories.FOLDER / f"{story}.jsonl")):
        if "summary" in line:
            continue
        name, detail = line["detail-type"], dict(line["detail"])
        if name == "MessageSent":
            detail.pop("text")  # which the simulation adds
        event = {"source": "reengage", "detail-type": name, "time": line["at"], "detail": detail}
        jsonschema.validate(event, closed(read(f"schemas/out/{name}.json")), jsonschema.Draft7Validator)


def test_registry_template_is_within_the_quotas() -> None:
    text = (ROOT / "events" / "registry.template.json").read_text(encoding="utf-8")
    assert len(text.encode()) < TEMPLATE_LIMIT
    resources = json.loads(text)["Resources"]
    contents = [each["Properties"]["Content"] for name, each in resources.items() if name != "Registry"]
    assert max(map(len, contents)) <= CONTENT_LIMIT
    for content in contents:
        jsonschema.Draft4Validator.check_schema(json.loads(content))
    assert len(contents) == len(EVENTS_IN) + len(EVENTS_OUT)


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_references_of_async_api_resolve() -> None:
    document = read("asyncapi.json")
    found = list(references(document))
    for reference in found:
        if reference.startswith("#/"):
            target = document
            for part in reference.removeprefix("#/").split("/"):
                target = target[part]
        else:
            assert (ROOT / "events" / reference).is_file(), reference
    assert sum(reference.startswith("schemas/") for reference in found) == len(EVENTS_IN) + len(EVENTS_OUT)
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", key) for key in document["components"]["messages"])


@pytest.mark.skipif(not shutil.which("node"), reason="Node is not installed")
def test_patterns_are_ecma_262() -> None:
    """JSON Schema's patterns are JavaScript's; validators compile them with the flag u."""
    script = """
      const walk = (value) => {
        if (Array.isArray(value)) value.forEach(walk);
        else if (value && typeof value === "object") {
          for (const [key, inner] of Object.entries(value)) {
            if (key === "pattern" && typeof inner === "string") new RegExp(inner, "u");
            if (key === "patternProperties") Object.keys(inner).forEach((each) => new RegExp(each, "u"));
            walk(inner);
          }
        }
      };
      walk(JSON.parse(require("fs").readFileSync(0)));
    """
    node = shutil.which("node") or ""
    given = json.dumps(schemas())
    done = subprocess.run([node, "-e", script], input=given, capture_output=True, text=True, check=False)  # noqa: S603 - a script of ours
    assert (done.returncode, done.stderr) == (0, "")
