"""Fail a test in which the package logs an address: every line of every test is searched, at the levels of Lambda."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

ADDRESS: Final = re.compile(r"(?<![\w.-])(?<!expected )\+[1-9]\d{7,14}(?!\d)|\b[A-Z]{2}\.\d{3,}\b|\bwamid\.\w+")
"""A phone number in E.164 form, a WhatsApp user id or the id of a WhatsApp message; not the example of an error."""

LIBRARIES: Final = ("botocore", "boto3", "urllib3", "moto", "werkzeug", "hypothesis", "asyncio", "faker", "playwright")
"""Below ``WARNING`` they write nothing on Lambda."""


class LogCheck(logging.Handler):
    """Collects the lines that have an address, without the address."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.WARNING and record.name.startswith(LIBRARIES):
            return
        written = f"{record.getMessage()} {vars(record).get('detail', '')} {vars(record).get('answer', '')}"
        if record.exc_info and record.exc_info[1]:
            written += f" {record.exc_info[1]}"
        if ADDRESS.search(written):
            self.found.append(f"{record.name}, {record.filename}:{record.lineno}")


@contextmanager
def checked_log() -> Iterator[LogCheck]:
    """Search what is logged. Raises ``AssertionError`` at the end if it has an address."""
    check = LogCheck()
    logging.getLogger().addHandler(check)
    try:
        yield check
    finally:
        logging.getLogger().removeHandler(check)
    assert not check.found, f"an address was logged: {check.found}"
