"""Hypothesis strategies of JSON values that a schema of ``events/schemas`` accepts."""

from collections.abc import Mapping
from typing import Any, Final

from hypothesis import strategies as st

Schema = Mapping[str, Any]

ANY: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
SIMPLE: Final[Mapping[str | None, st.SearchStrategy[Any]]] = {
    "boolean": st.booleans(),
    "integer": st.integers(0, 100),
    "null": st.none(),
    None: ANY,
}
MOST: Final = 3
"""Items of a list and of a map: enough to see each rule."""


def values(schema: Schema, root: Schema) -> st.SearchStrategy[Any]:
    """Return values of ``schema``; its references are those of ``root``. Rules in ``allOf`` are left to the caller."""
    if "$ref" in schema:
        return values(root["definitions"][schema["$ref"].rpartition("/")[2]], root)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema and "properties" in schema:  # an address: a form for each kind of channel
        forms = [{**schema, "properties": {**schema["properties"], **form["properties"]}} for form in schema["anyOf"]]
        return st.one_of([_object(form, root) for form in forms])
    if "anyOf" in schema:
        return st.one_of([values(option, root) for option in schema["anyOf"]])
    return _of_type(schema, root)


def _of_type(schema: Schema, root: Schema) -> st.SearchStrategy[Any]:
    match schema.get("type"):
        case "string":
            return _text(schema)
        case "array":
            most = min(schema.get("maxItems", MOST), MOST)
            return st.lists(values(schema["items"], root), min_size=schema.get("minItems", 0), max_size=most)
        case "object":
            return _object(schema, root)
        case other:
            return SIMPLE[other]


def _text(schema: Schema) -> st.SearchStrategy[str]:
    most = schema.get("maxLength", 600)
    if "pattern" in schema:
        texts = st.from_regex(str(schema["pattern"]))
        return texts.filter(lambda text: len(text) <= most and (text.isprintable() or not text.strip()))
    return st.text(st.characters(codec="utf-8"), min_size=schema.get("minLength", 0), max_size=min(most, 20))


def _object(schema: Schema, root: Schema) -> st.SearchStrategy[dict[str, Any]]:
    if "patternProperties" in schema:
        ((pattern, of),) = schema["patternProperties"].items()
        keys: st.SearchStrategy[str] = st.from_regex(pattern)
        return st.dictionaries(keys, values(of, root), min_size=schema.get("minProperties", 0), max_size=MOST)
    if "properties" not in schema:
        of = schema.get("additionalProperties", {})
        return st.dictionaries(st.text(min_size=1, max_size=8), values(of, root), max_size=MOST)
    each = {name: values(of, root) for name, of in schema["properties"].items()}
    required = set(schema.get("required", ()))
    return st.fixed_dictionaries(
        {name: each[name] for name in required},
        optional={name: strategy for name, strategy in each.items() if name not in required},
    )
