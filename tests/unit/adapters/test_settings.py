"""The environment as one object that fails by name."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import pytest

from reengage.errors import MissingSetting
from reengage.settings import Settings

ENVIRONMENT: Final = {
    "TABLE_NAME": "reengage-table",
    "EVENT_BUS_NAME": "reengage",
    "REJECTED_EVENTS_QUEUE_URL": "https://sqs.example/rejected",
    "CONTACT_RETENTION_DAYS": "365",
    "DEFAULT_LOCALE": "de-AT",
}
READ: Final[dict[str, tuple[Callable[[Settings], Any], Any]]] = {
    "TABLE_NAME": (lambda settings: settings.table_name, "reengage-table"),
    "EVENT_BUS_NAME": (lambda settings: settings.event_bus_name, "reengage"),
    "REJECTED_EVENTS_QUEUE_URL": (lambda settings: settings.rejected_events_queue_url, "https://sqs.example/rejected"),
    "CONTACT_RETENTION_DAYS": (lambda settings: settings.contact_retention, timedelta(days=365)),
    "DEFAULT_LOCALE": (lambda settings: settings.default_locale, "de-AT"),
}


@pytest.mark.parametrize("name", READ)
def test_a_setting_is_read(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in ENVIRONMENT.items():
        monkeypatch.setenv(variable, value)
    read, value = READ[name]
    assert read(Settings.from_env()) == value


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("empty", [True, False])
def test_a_missing_setting_is_named_and_the_others_are_read(name: str, *, empty: bool) -> None:
    without = {other: value for other, value in ENVIRONMENT.items() if other != name}
    settings = Settings(without | {name: ""} if empty else without)
    with pytest.raises(MissingSetting, match=f"^the environment variable {name} is not set$"):
        READ[name][0](settings)
    for other, (read, value) in READ.items():
        if other != name:
            assert read(settings) == value


@pytest.mark.parametrize("days", ["a year", "-1", "1.5", " ", "365 days"])
def test_days_are_a_whole_number(days: str) -> None:
    with pytest.raises(MissingSetting, match=r"^CONTACT_RETENTION_DAYS: expected a whole number of days$"):
        _ = Settings({"CONTACT_RETENTION_DAYS": days}).contact_retention


def test_the_environment_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TABLE_NAME", "before")
    settings = Settings.from_env()
    monkeypatch.setenv("TABLE_NAME", "after")
    assert settings.table_name == "before"
