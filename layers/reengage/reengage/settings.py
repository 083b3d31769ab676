"""The environment, as one frozen object that fails by name."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from .errors import MissingSetting


@dataclass(frozen=True, slots=True)
class Settings:
    """What template.yaml hands to the functions. Not every function is given every setting."""

    environment: Mapping[str, str]

    @classmethod
    def from_env(cls) -> "Settings":
        return cls(dict(os.environ))

    @property
    def table_name(self) -> str:
        return self._text("TABLE_NAME")

    @property
    def event_bus_name(self) -> str:
        return self._text("EVENT_BUS_NAME")

    @property
    def rejected_events_queue_url(self) -> str:
        return self._text("REJECTED_EVENTS_QUEUE_URL")

    @property
    def contact_retention(self) -> timedelta:
        text = self._text("CONTACT_RETENTION_DAYS")
        if not text.isdecimal():
            raise MissingSetting("CONTACT_RETENTION_DAYS: expected a whole number of days")
        return timedelta(days=int(text))

    @property
    def default_locale(self) -> str:
        return self._text("DEFAULT_LOCALE")

    def _text(self, name: str) -> str:
        value = self.environment.get(name)
        if not value:
            raise MissingSetting(f"the environment variable {name} is not set")
        return value
