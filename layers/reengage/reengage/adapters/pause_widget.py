"""The pauses as HTML, for the dashboard: it calls the function that answers questions, so no log has the reason."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

COLUMNS: Final = {"brand": "brand", "scope": "what", "since": "since", "until": "until", "why": "why, and who"}
"""The heading of each field."""

NOTHING: Final = "<p>Nothing is paused: neither the stack nor a brand of Routes.</p>"


def pauses_as_html(pauses: Sequence[Mapping[str, Any]]) -> str:
    """Return a table with one row a pause. The reason is anyone's text, so it is escaped."""
    if not pauses:
        return NOTHING
    rows = "".join(_row(pause) for pause in pauses)
    heads = "".join(f"<th>{head}</th>" for head in COLUMNS.values())
    return f"<table><tr>{heads}</tr>{rows}</table>"


def _row(pause: Mapping[str, Any]) -> str:
    values = {"brand": "the whole stack", "until": "someone resumes it", "why": "no reason given", **pause}
    return f"<tr>{''.join(f'<td>{escape(values[name])}</td>' for name in COLUMNS)}</tr>"
