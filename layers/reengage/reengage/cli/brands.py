"""The brands that a stack knows: a brand that is spelled otherwise is another brand, and probably a mistake."""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from reengage.cli import stack as stacks
from reengage.domain.routes import parse_valid_routes

PAGES = 200
"""Pages of 1 MB that are looked through for brands; a larger table has its brands in the first pages too."""


@dataclass(slots=True)
class TableBrands:
    """The brands of a table. A pause alone makes no brand known: its name may be misspelt."""

    known: set[str] = field(default_factory=set)
    only_paused: set[str] = field(default_factory=set)


def known_brands(stack: stacks.Stack, wanted: Iterable[str]) -> set[str]:
    """Return the brands of Routes, and those with a configuration, a contact or a subject in the table.

    The table is only read if one of ``wanted`` is not in Routes: first the configurations of these, then page by page.
    """
    text = stack.parameters.get("Routes", "")
    known = set(parse_valid_routes(text).brands) if text else set()
    if not set(wanted) - known:
        return known
    import boto3  # noqa: PLC0415 - commands without a stack do not need it

    client, table = boto3.client("dynamodb"), stack.output("TableName")
    known |= {brand for brand in set(wanted) - known if _is_configured(client, table, brand)}
    if not set(wanted) - known:
        return known
    return known | brands_in_table(client, table).known


def nearest(brand: str, known: Collection[str]) -> str | None:
    """Return the known brand whose spelling is close: by case, by punctuation, or by a letter or two."""
    by_letters = {_letters(name): name for name in sorted(known)}
    if same := by_letters.get(_letters(brand)):
        return same
    close = get_close_matches(_letters(brand), by_letters, n=1, cutoff=0.75)
    return by_letters[close[0]] if close else None


def unknown_brand(brand: str, known: Collection[str]) -> str:
    """Return that no such brand is known, and which one may be meant."""
    meant = nearest(brand, known)
    hint = f"did you mean {meant}?" if meant else f"known brands: {', '.join(sorted(known)) or 'none'}"
    return f"no brand {brand} is known; {hint}"


def brand_hint(stack: str, brand: str) -> str:
    """Return a line if no such brand is known; empty if it is, or if these credentials cannot check it."""
    known = stacks.if_readable(lambda: known_brands(stacks.describe(stack), [brand])) if brand else None
    return "" if known is None or brand in known else unknown_brand(brand, known)


def _letters(brand: str) -> str:
    return re.sub(r"[^a-z0-9]", "", brand.casefold())


def _is_configured(client: Any, table: str, brand: str) -> bool:
    key = {"pk": {"S": f"BRAND#{brand}"}, "sk": {"S": "BRAND"}}
    item = client.get_item(TableName=table, Key=key, ProjectionExpression="pk, versions").get("Item")
    return item is not None and not _is_only_paused(item)


def brands_in_table(client: Any, table: str) -> TableBrands:
    """Return the brands that have a configuration, a contact or a subject in the table, and those with only a pause."""
    kinds = {":brand": {"S": "BRAND#"}, ":contact": {"S": "CONTACT#"}, ":subject": {"S": "SUBJECT#"}}
    pages = client.get_paginator("scan").paginate(
        TableName=table,
        ProjectionExpression="pk, versions",
        FilterExpression="begins_with(pk, :brand) OR begins_with(pk, :contact) OR begins_with(pk, :subject)",
        ExpressionAttributeValues=kinds,
    )
    found = TableBrands()
    for page, _ in zip(pages, range(PAGES), strict=False):
        for item in page["Items"]:
            if brand := item["pk"]["S"].split("#")[1]:
                (found.only_paused if _is_only_paused(item) else found.known).add(brand)
    found.only_paused -= found.known
    return found


def _is_only_paused(item: Mapping[str, Any]) -> bool:
    """Return whether an item is a brand's row in which events set nothing but its pauses."""
    if not item.get("pk", {}).get("S", "").startswith("BRAND#") or "versions" not in item:
        return False
    return set(json.loads(item["versions"]["S"])) == {"pauses"}
