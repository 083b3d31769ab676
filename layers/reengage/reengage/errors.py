"""The app's errors, by type."""

from collections.abc import Sequence


class ReengageError(Exception):
    """Base of the app's own errors."""


class InvalidEvent(ReengageError):
    """An invalid event. ``errors`` lists each wrong field and what is expected. The sender must fix it."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = tuple(errors)


class ConfigurationError(ReengageError):
    """A missing or invalid setting of the function. The operator must fix it."""


class WriteConflict(ReengageError):
    """Other writers kept changing the same item between the read and the write. A retry helps."""


class NotPublished(ReengageError):
    """``failed`` of ``total`` events could not be put on the bus. Their facts are stored; a retry publishes them."""

    def __init__(self, failed: int, total: int) -> None:
        super().__init__(f"{failed} of {total} events")
        self.failed = failed
        self.total = total
