"""Render a report as one HTML page that loads nothing: its data, styles, scripts and chart library are inside."""

import hashlib
import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from html import escape
from importlib.resources import files
from string import Template
from typing import Any, Final

from .data import ReportData
from .payload import Packer

LIBRARY: Final = "vendor/uplot/uPlot.iife.min.js"
SCRIPTS: Final = (
    "assets/data.js",
    "assets/format.js",
    "assets/charts.js",
    "assets/tracks.js",
    "assets/lists.js",
    "assets/detail.js",
    "assets/page.js",
)
STYLES: Final = ("vendor/uplot/uPlot.min.css", "assets/page.css")
LICENCE: Final = "vendor/uplot/LICENSE"


def render_report(data: ReportData) -> str:
    """Return the page as text. The same data gives the same text."""
    library = _asset(LIBRARY)
    script = "\n".join(map(_asset, SCRIPTS))
    style = "\n".join(map(_asset, STYLES))
    page = Template(_asset("assets/page.html")).substitute(
        policy=escape(_policy((library, script), style)),
        title=escape(data.title),
        span=" to ".join(map(_instant, data.span)),
        settings="".join(_settings(data)),
        compare_title=escape(data.compare.title if data.compare else ""),
        licence=escape(_asset(LICENCE)),
        style=style,
        data=_json(Packer(data).pack()),
        library=library,
        script=script,
    )
    return page.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair is no text that a file can hold


def _instant(text: str) -> str:
    """``1 Sep 2026, 07:13``, the same under every locale of the machine."""
    instant = datetime.fromisoformat(text).astimezone(UTC)
    month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"][instant.month - 1]
    return f"{instant.day} {month} {instant.year}, {instant:%H:%M}"


def _policy(scripts: tuple[str, ...], style: str) -> str:
    """A policy that lets this page's own script and style run, and nothing load or leave."""
    return "; ".join(
        (
            "default-src 'none'",
            " ".join(("script-src", *(f"'{_digest(script)}'" for script in scripts))),
            f"style-src '{_digest(style)}'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _digest(text: str) -> str:
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _settings(data: ReportData) -> Iterator[str]:
    """The rows of the settings table; what differs in the second run is marked, not by colour alone."""
    first: Mapping[str, str] = data.settings
    if data.compare is None:
        for name, value in sorted(first.items()):
            yield f'<tr><th scope="row">{escape(name)}</th><td>{_value(value)}</td></tr>'
        return
    second = data.compare.settings
    for name in sorted(first.keys() | second.keys()):
        before, after = first.get(name), second.get(name)
        differs = ' class="differs"' if before != after else ""
        yield f'<tr{differs}><th scope="row">{escape(name)}</th><td>{_value(before)}</td><td>{_value(after)}</td></tr>'


def _value(value: str | None) -> str:
    return escape(value) if value else '<span class="quiet">not set</span>'


def _asset(path: str) -> str:
    return files(__package__).joinpath(path).read_text(encoding="utf-8")


def _json(value: Any) -> str:
    """JSON that a script element can hold: no markup can begin or end in it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
