"""The brands that a stack knows: a brand that is spelled otherwise is another brand, and probably a mistake."""

import re
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from typing import Any

from reengage.cli import stack as stacks
from reengage.domain.routes import parse_valid_routes

PAGES = 200
"""Pages of 1 MB that are looked through for brands; a larger table has its brands in the first pages too."""


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
    return known | brands_in_table(client, table)


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
    return "Item" in client.get_item(TableName=table, Key=key, ProjectionExpression="pk")


def brands_in_table(client: Any, table: str) -> set[str]:
    """Return the brands that have a configuration, a contact or a subject in the table."""
    kinds = {":brand": {"S": "BRAND#"}, ":contact": {"S": "CONTACT#"}, ":subject": {"S": "SUBJECT#"}}
    pages = client.get_paginator("scan").paginate(
        TableName=table,
        ProjectionExpression="pk",
        FilterExpression="begins_with(pk, :brand) OR begins_with(pk, :contact) OR begins_with(pk, :subject)",
        ExpressionAttributeValues=kinds,
    )
    found = {
        item["pk"]["S"].split("#")[1] for page, _ in zip(pages, range(PAGES), strict=False) for item in page["Items"]
    }
    return found - {""}
