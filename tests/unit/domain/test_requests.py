"""Requests by name, as providers and chat systems write them."""

import pytest

from reengage.domain.requests import Request


@pytest.mark.parametrize("text", ["stop", "STOP", "Stop\n", " stop ", "stop\r\n\t"])
def test_parses_a_request_in_any_case_and_with_blanks(text: str) -> None:
    assert Request.parse(text) is Request.STOP


@pytest.mark.parametrize("text", ["", "ſtop", "ѕtop", "stop!", "halt", "stop stop", "STOP_"])
def test_refuses_an_unknown_request(text: str) -> None:
    with pytest.raises(ValueError, match=r"^expected one of stop, stop_marketing, start, help$"):
        Request.parse(text)
