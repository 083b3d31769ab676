"""The requests that an inbound message can make."""

from enum import StrEnum


class Request(StrEnum):
    STOP = "stop"
    STOP_MARKETING = "stop_marketing"
    START = "start"
    HELP = "help"

    @classmethod
    def parse(cls, text: str) -> "Request":
        """Parse a request in any case and with blanks around it. Raises ``ValueError`` if it is unknown."""
        try:
            return cls(text.strip().lower())
        except ValueError as error:
            raise ValueError(f"expected one of {', '.join(cls)}") from error
