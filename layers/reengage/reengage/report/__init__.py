"""Show what was planned, sent, held and skipped as one self-contained HTML page.

No function imports this package, and the layer's archive leaves it out.
"""

from .data import Comparison, ContactHistory, Hold, Inbound, Mark, Message, ReportData
from .events import Run, report_data
from .page import render_report

__all__ = [
    "Comparison",
    "ContactHistory",
    "Hold",
    "Inbound",
    "Mark",
    "Message",
    "ReportData",
    "Run",
    "render_report",
    "report_data",
]
