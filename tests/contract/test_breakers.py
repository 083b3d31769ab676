"""Open circuit breakers of routes: stored, moved and closed by compare-and-set."""

from datetime import timedelta

from reengage.domain.breaker import Breaker
from tests.contract.samples import NOW
from tests.contract.stores import Harness

ROUTE = "twilio/sms/+12025550100"
OPEN = Breaker.opened(NOW)


def test_a_route_without_a_breaker_has_none(harness: Harness) -> None:
    assert harness.store.read_breaker(ROUTE) is None
    assert harness.store.write_breaker(ROUTE, None, replacing=None)


def test_a_breaker_is_read_as_it_was_written(harness: Harness) -> None:
    assert harness.store.write_breaker(ROUTE, OPEN, replacing=None)
    assert harness.store.read_breaker(ROUTE) == OPEN
    assert harness.store.read_breaker("twilio/sms/+12025550101") is None


def test_a_breaker_is_opened_by_one_run_only(harness: Harness) -> None:
    assert harness.store.write_breaker(ROUTE, OPEN, replacing=None)
    assert not harness.store.write_breaker(ROUTE, Breaker.opened(NOW + timedelta(seconds=1)), replacing=None)
    assert harness.store.read_breaker(ROUTE) == OPEN


def test_the_next_probe_is_moved_by_one_run_only(harness: Harness) -> None:
    harness.store.write_breaker(ROUTE, OPEN, replacing=None)
    later = OPEN.after_probe(NOW + timedelta(minutes=1))
    assert harness.store.write_breaker(ROUTE, later, replacing=OPEN)
    assert not harness.store.write_breaker(ROUTE, later, replacing=OPEN)
    assert harness.store.read_breaker(ROUTE) == later


def test_only_the_breaker_that_was_read_is_closed(harness: Harness) -> None:
    harness.store.write_breaker(ROUTE, OPEN, replacing=None)
    later = OPEN.after_probe(NOW + timedelta(minutes=1))
    assert not harness.store.write_breaker(ROUTE, None, replacing=later)
    assert harness.store.write_breaker(ROUTE, None, replacing=OPEN)
    assert harness.store.read_breaker(ROUTE) is None
