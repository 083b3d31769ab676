"""The arithmetic of `make costs`: quantities times prices, and the price table itself."""

from collections import Counter
from typing import Any, Final

import pytest

from tests.benchmarks.costs import (
    ANNOUNCEMENTS,
    EXCEPTIONS,
    INBOUND,
    MILLION,
    MINUTES,
    NO_DASHBOARD,
    OUTCOMES,
    QUIET,
    REMINDERS,
    alternatives,
    bill,
    bills,
    gigabyte_seconds,
    of_quiet_month,
    prices,
    traces,
)
from tests.template_resources import template

STEP: Final = {
    "function": "ingest_message",
    "memory": 256,
    "invocations": 1.0,
    "cpu_ms": 10.0,
    "requests": 4.0,
    "log_bytes": 200.0,
    "log_lines": 1.0,
    "workers": 1,
}


def scenario(**changes: Any) -> dict[str, Any]:
    empty = {"steps": [], "writes": 0, "reads": 0, "events_in": 0, "events_out": {}, "relayed": 0, "sns": 0}
    return empty | {"byte_days": 0, "series": []} | changes


def figures(**changes: Any) -> dict[str, Any]:
    names = ("inbound", "reminder", "announcement", "quiet minute")
    return {"scenarios": {name: scenario(**changes) for name in names}}


def test_a_line_is_its_quantity_times_its_price() -> None:
    found = bill("a bill", [("writes", "write_unit", 2_000_000), ("nothing", "sns", 0)], prices())
    [line] = found.lines
    assert line.text == "writes"
    assert line.amount == pytest.approx(1.25)
    assert found.total == found.after_free == pytest.approx(1.25)


def test_an_allowance_counts_once_for_all_lines_of_a_price() -> None:
    lines = [("logs of one", "log", 4), ("logs of another", "log", 4)]
    found = bill("a bill", lines, prices())
    assert found.total == pytest.approx(4)
    assert found.after_free == pytest.approx(1.5)


def test_lambda_time_is_the_cpu_at_the_share_of_a_vcpu() -> None:
    assert gigabyte_seconds(STEP) == pytest.approx(0.010 * 1769 / 256 * 0.25)


def test_lambda_time_is_the_waits_if_they_are_longer() -> None:
    one_core = STEP | {"memory": 1769, "requests": 32.0}
    assert gigabyte_seconds(one_core) == pytest.approx(0.170 * 1769 / 1024)
    assert gigabyte_seconds(one_core | {"workers": 16}) == pytest.approx(0.020 * 1769 / 1024)


def test_a_bill_has_only_the_events_that_are_published() -> None:
    used = figures(events_out={"MessagePlanned": 1.0, "MessageSent": 1.0, "MessageDelivered": 1.0})
    found = {each.name: each.total for each in bills(used, prices())}
    assert found[REMINDERS] - found[OUTCOMES] == pytest.approx(1.0)
    assert found[OUTCOMES] - found[EXCEPTIONS] == pytest.approx(2.0)


def test_each_unit_of_a_scenario_is_in_its_bill() -> None:
    used = figures(writes=6, reads=7, events_in=0.5, relayed=1, sns=1, steps=[STEP], series=["a", "b"])
    [inbound] = [each for each in bills(used, prices()) if each.name == INBOUND]
    paid = Counter[str]()
    for line in inbound.lines:
        paid[line.price] += line.quantity  # type: ignore[assignment] # a counter of floats
    assert paid["write_unit"] == 6 * MILLION
    assert paid["read_unit"] == 7 * MILLION
    assert paid["event"] == 1.5 * MILLION
    assert paid["sns"] == paid["invocation"] == MILLION
    assert paid["metric"] == 2
    # The function's own line, with 26 bytes of CloudWatch and 39 of Lambda's time; none of Lambda's own lines.
    assert paid["log"] == pytest.approx((200 + 26 + 39) * MILLION / 1e9)


def test_quiet_month_has_what_the_template_creates() -> None:
    lines = {text: quantity for text, _, quantity in of_quiet_month(scenario(steps=[STEP] * 3))}
    kinds = Counter(resource["Type"] for resource in template()["Resources"].values())
    only_if_notified = 4 + 3  # those of metric math (each send function, undelivered messages), and throttles
    only_with_url = 1
    assert lines["alarms"] == kinds["AWS::CloudWatch::Alarm"] - only_if_notified - only_with_url
    assert lines["secrets"] == kinds["AWS::SecretsManager::Secret"] == 2
    assert lines["dashboard"] == 1
    assert lines["schedules"] == 3 * MINUTES == 129_600


def test_every_bill_is_there() -> None:
    assert [each.name for each in bills(figures(), prices())] == [
        *(QUIET, NO_DASHBOARD, INBOUND),
        *(REMINDERS, OUTCOMES, EXCEPTIONS, ANNOUNCEMENTS),
    ]


def test_stack_without_dashboard_saves_its_price_alone() -> None:
    found = {each.name: each.total for each in bills(figures(steps=[STEP]), prices())}
    assert found[QUIET] - found[NO_DASHBOARD] == pytest.approx(prices()["aws"]["dashboard"]["price"])


def test_every_price_has_a_source_and_a_date() -> None:
    table = prices()
    for row in [*table["aws"].values(), *table["hosted"]]:
        assert row["source"].startswith("https://"), row
        assert row["dated"], row
    assert all(row["price"] > 0 and row["per"] > 0 for row in table["aws"].values())
    assert table["free_each_month"].keys() - {"source", "dated"} <= table["aws"].keys()


def test_hosted_services_and_schedules_stand_beside_it() -> None:
    found = dict(alternatives(prices()))
    assert len(found) == 5
    assert next(iter(found.values())) == pytest.approx(1.20)
    [knock] = [amount for text, amount in found.items() if "Knock" in text]
    assert knock == pytest.approx(250 + 950_000 * 0.005)


def test_traces_cost_five_dollars_a_million_invocations() -> None:
    assert traces(figures(steps=[STEP]), prices())[INBOUND] == pytest.approx(5.0)
