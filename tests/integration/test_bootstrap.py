"""The composition root: adapters are built when they are first asked for, once, and with the right patience."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from time import sleep
from typing import Any, Final

import pytest

from reengage.bootstrap import App, app
from reengage.errors import MissingSetting

NEEDS: Final[dict[str, tuple[Callable[[App], Any], str]]] = {
    "store": (lambda app: app.store, "TABLE_NAME"),
    "publish": (lambda app: app.publish, "EVENT_BUS_NAME"),
    "channels": (lambda app: app.channels, "EVENT_BUS_NAME"),
    "keep_rejected": (lambda app: app.keep_rejected, "REJECTED_EVENTS_QUEUE_URL"),
    "preferences_key": (lambda app: app.settings.preferences_key_secret, "PREFERENCES_KEY_SECRET"),
    "default_locale": (lambda app: app.settings.default_locale, "DEFAULT_LOCALE"),
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in {variable for _, variable in NEEDS.values()}:
        monkeypatch.setenv(name, "30")


@pytest.mark.parametrize("adapter", NEEDS)
def test_each_adapter_asks_for_its_own_variable_and_names_it(adapter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    build, variable = NEEDS[adapter]
    monkeypatch.delenv(variable)
    built = App()
    with pytest.raises(MissingSetting, match=f"the environment variable {variable} is not set"):
        build(built)
    for other, (build_other, its_variable) in NEEDS.items():
        if its_variable != variable:
            assert build_other(built) is not None, other


def test_nothing_is_built_before_it_is_asked_for() -> None:
    assert vars(App()) == {}


@pytest.mark.parametrize("adapter", ["settings", "store", "publish", "channels", "keep_rejected"])
def test_an_adapter_is_built_once(adapter: str) -> None:
    built = App()
    assert getattr(built, adapter) is getattr(built, adapter)


def test_there_is_one_app() -> None:
    assert app() is app()


def test_now_is_in_utc_and_ids_are_fresh() -> None:
    assert App().clock().tzname() == "UTC"
    assert App().new_id() != App().new_id()


def test_the_threads_of_a_run_read_the_key_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each made a client of its own at the same moment, which botocore's session does not bear."""
    made: list[str] = []

    class Secrets:
        def get_secret_value(self, **_name: str) -> dict[str, str]:
            return {"SecretString": "a-key"}

    def client(_app: App, service: str) -> Secrets:
        made.append(service)
        sleep(0.05)  # as long as the others need to come as far
        return Secrets()

    monkeypatch.setattr(App, "_client", client)
    built = App()
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: built.preferences_key(), range(8)))
    assert keys == ["a-key"] * 8
    assert made == ["secretsmanager"]
