"""The files that are generated: schemas, AsyncAPI, the template of the schema registry, and two tables."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, get_args

from msgspec import Meta, Struct

from reengage.adapters.inbound.decoding import fields_of
from reengage.adapters.inbound.event_types import EVENTS_IN

from .events_out import EVENTS_OUT
from .json_schema import Schema, event_schema, events_in

DRAFT_04: Final = "http://json-schema.org/draft-04/schema#"
"""The draft that an EventBridge schema registry accepts; the keywords in use are those of draft 07."""

SOURCE: Final = "reengage"
COMMON_OUT: Final = frozenset({"contact", "scheduled_message_id", "reason", "subject_id", "planned_for"})
"""Fields that the document's table leaves out, because most events have them."""

EVENTS: Final = Path("events")
NOTHING: Final = "\N{EN DASH}"
"""In an empty cell of a table."""


def generated(root: Path, version: str) -> dict[Path, str]:
    """Return each generated file by its path under ``root``; ``version`` is the app's."""
    schemas = {
        **{f"in/{name}": schema for name, schema in events_in()},
        **{f"out/{name}": event_schema(name, struct, source=SOURCE) for name, struct in EVENTS_OUT.items()},
    }
    readme = EVENTS / "README.md"
    return {
        **{EVENTS / "schemas" / f"{name}.json": _json(schema) for name, schema in schemas.items()},
        EVENTS / "asyncapi.json": _json(async_api(schemas, version)),
        EVENTS / "registry.template.json": _json(registry_template(schemas)),
        readme: with_tables((root / readme).read_text(encoding="utf-8")),
    }


def _json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=True) + "\n"


def async_api(schemas: Mapping[str, Schema], version: str) -> dict[str, Any]:
    """Return the AsyncAPI 3.0 description of the bus. The app receives the events in and sends the events out."""
    keys = {name: name.replace("/", ".") for name in schemas}
    messages = {
        key: {"name": schemas[name]["title"], "summary": _summary(name), "payload": {"$ref": f"schemas/{name}.json"}}
        for name, key in keys.items()
    }
    channel = {"$ref": "#/channels/bus"}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Reengage",
            "version": version,
            "description": "Events in and out of Reengage, on one EventBridge bus: the output EventBusName.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "eventbridge": {
                "host": "events.{region}.amazonaws.com",
                "protocol": "https",
                "description": "Amazon EventBridge, PutEvents.",
                "variables": {"region": {"default": "us-east-1", "description": "The stack's region."}},
            }
        },
        "channels": {
            "bus": {
                "address": "reengage",
                "description": "The bus has the stack's name.",
                "messages": {key: {"$ref": f"#/components/messages/{key}"} for key in messages},
            }
        },
        "operations": {
            "receive": {"action": "receive", "channel": channel, "messages": _of_channel(messages, "in.")},
            "send": {"action": "send", "channel": channel, "messages": _of_channel(messages, "out.")},
        },
        "components": {"messages": messages},
    }


def _summary(name: str) -> str:
    folder, _, event = name.partition("/")
    return f"An event in: {event}." if folder == "in" else f"Published when: {_when(EVENTS_OUT[event])}."


def _of_channel(messages: Mapping[str, Any], start: str) -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/bus/messages/{key}"} for key in messages if key.startswith(start)]


def registry_template(schemas: Mapping[str, Schema]) -> dict[str, Any]:
    """Return a CloudFormation template with an EventBridge schema registry. Events out are named by their source."""
    resources: dict[str, Any] = {
        "Registry": {
            "Type": "AWS::EventSchemas::Registry",
            "Properties": {"RegistryName": {"Ref": "Name"}, "Description": "Events in and out of Reengage."},
        }
    }
    for name, schema in schemas.items():
        folder, _, event = name.partition("/")
        resources[f"{event}{folder.title()}"] = {
            "Type": "AWS::EventSchemas::Schema",
            "Properties": {
                "RegistryName": {"Fn::GetAtt": ["Registry", "RegistryName"]},
                "SchemaName": event if folder == "in" else f"{SOURCE}@{event}",
                "Type": "JSONSchemaDraft4",
                "Content": json.dumps({**schema, "$schema": DRAFT_04}, separators=(",", ":")),
            },
        }
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "The schemas of Reengage's events, for the parameter SchemaRegistry of the app.",
        "Parameters": {"Name": {"Type": "String", "Description": "Name of the registry."}},
        "Resources": resources,
    }


def with_tables(text: str) -> str:
    """Return the document with its generated tables, each between two comments."""
    for name, rows in (("events in", table_in()), ("events out", table_out())):
        block = f"<!-- {name}: made by `make schemas` -->\n{'\n'.join(rows)}\n<!-- end -->"
        parts = re.split(rf"<!-- {name}: .*?<!-- end -->", text, flags=re.DOTALL)
        if len(parts) != 2:  # noqa: PLR2004 - what is before the table, and what is after it
            raise ValueError(f"events/README.md: expected one comment <!-- {name}: … --> with <!-- end --> after it")
        text = block.join(parts)
    return text


def table_in() -> Iterator[str]:
    """Yield the lines of the table of events in; neighbours with the same fields share a row."""
    yield "| detail-type | required | optional |"
    yield "|---|---|---|"
    rows: dict[type[Struct], list[str]] = {}
    for name, struct in EVENTS_IN.items():
        rows.setdefault(struct, []).append(name)
    for struct, names in rows.items():
        required = [field.name for field in fields_of(struct) if field.required]
        optional = [field.name for field in fields_of(struct) if not field.required]
        yield f"| {_names(names)} | {_names(required) or NOTHING} | {_names(optional) or NOTHING} |"


def table_out() -> Iterator[str]:
    """Yield the lines of the table of events out."""
    yield "| detail-type | published when | detail, beside the common fields |"
    yield "|---|---|---|"
    for name, struct in EVENTS_OUT.items():
        described = [_described(field.name, field.type) for field in fields_of(struct) if field.name not in COMMON_OUT]
        yield f"| `{name}` | {_when(struct)} | {', '.join(described) or NOTHING} |"


def _names(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _when(struct: type[Struct]) -> str:
    text = " ".join((struct.__doc__ or "").split()).removesuffix(".")
    return text[:1].lower() + text[1:]


def _described(name: str, of: Any) -> str:
    description = next((meta.description for meta in get_args(of) if isinstance(meta, Meta) and meta.description), "")
    return f"`{name}` ({description})" if description else f"`{name}`"
