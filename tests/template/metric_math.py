"""CloudWatch's metric math, as far as the template's alarms use it: series with gaps, by its guide.

A series is a list with one value a period, oldest first; ``None`` is a missing value.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

type Series = Sequence[float | None]
type Value = Series | float

TOKEN: Final = re.compile(r"\s*(>=|<=|==|[A-Za-z_]\w*|\d+(?:\.\d+)?|[-+*/<>(),])")
COMPARISONS: Final[Mapping[str, Callable[[float, float], float | None]]] = {
    ">": lambda a, b: float(a > b),
    "<": lambda a, b: float(a < b),
    ">=": lambda a, b: float(a >= b),
    "<=": lambda a, b: float(a <= b),
    "==": lambda a, b: float(a == b),
}
SUMS: Final[Mapping[str, Callable[[float, float], float | None]]] = {"+": lambda a, b: a + b, "-": lambda a, b: a - b}
PRODUCTS: Final[Mapping[str, Callable[[float, float], float | None]]] = {
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b if b else None,  # a division by zero drops the data point
}
PRECEDENCE: Final = (COMPARISONS, SUMS, PRODUCTS)


def evaluate(expression: str, metrics: Mapping[str, Series]) -> Series:
    """Return the series of an expression over metrics of the same length, by their ids."""
    tokens = TOKEN.findall(expression)
    assert "".join(tokens) == re.sub(r"\s", "", expression), f"unknown syntax: {expression}"
    parser = _Parser(tokens, metrics)
    value = parser.binary()
    assert not parser.tokens, f"left over: {parser.tokens}"
    assert not isinstance(value, float), "an alarm needs a series"
    return value


@dataclass
class _Parser:
    tokens: list[str]
    metrics: Mapping[str, Series]

    def binary(self, level: int = 0) -> Value:
        if level == len(PRECEDENCE):
            return self.operand()
        value = self.binary(level + 1)
        while self.tokens and self.tokens[0] in PRECEDENCE[level]:
            operate = PRECEDENCE[level][self.tokens.pop(0)]
            value = _combine(operate, value, self.binary(level + 1))
        return value

    def operand(self) -> Value:
        token = self.tokens.pop(0)
        if token == "(":  # noqa: S105 - a parenthesis is no password
            value = self.binary()
            assert self.tokens.pop(0) == ")"
            return value
        if self.tokens and self.tokens[0] == "(":
            return self.call(token)
        return float(token) if token[0].isdigit() else self.metrics[token]

    def call(self, name: str) -> Value:
        arguments: list[Value] = []
        while self.tokens.pop(0) != ")":
            arguments.append(self.binary())
        return FUNCTIONS[name](*arguments)


def _combine(operate: Callable[[float, float], float | None], left: Value, right: Value) -> Value:
    """Apply an operator; if only one of two series has a value, the other counts as zero."""
    if isinstance(left, float) and isinstance(right, float):
        result = operate(left, right)
        assert result is not None
        return result
    pairs = zip(_series(left, right), _series(right, left), strict=True)
    return [None if _is_gap(left, right, a, b) else operate(a or 0.0, b or 0.0) for a, b in pairs]


def _is_gap(left: Value, right: Value, a: float | None, b: float | None) -> bool:
    """Return whether no series has a value there; a scalar gives none."""
    return (isinstance(left, float) or a is None) and (isinstance(right, float) or b is None)


def _length(*values: Value) -> int:
    return max(len(value) for value in values if not isinstance(value, float))


def _series(value: Value, like: Value) -> Series:
    return [value] * _length(like) if isinstance(value, float) else value


def _fill(series: Value, filler: Value) -> Value:
    assert not isinstance(series, float)
    assert isinstance(filler, float)
    return [filler if value is None else value for value in series]


def _running_sum(series: Value) -> Value:
    assert not isinstance(series, float)
    return list(accumulate(value or 0.0 for value in series))


def _if(condition: Value, then: Value, otherwise: Value | None = None) -> Value:
    """Drop the data point if the condition is missing, or if it is false and there is no other value."""
    assert not isinstance(condition, float)
    gaps: Series = [None] * len(condition)
    chosen = _series(then, condition)
    others = gaps if otherwise is None else _series(otherwise, condition)
    return [
        None if flag is None else (value or 0.0) if flag else other
        for flag, value, other in zip(condition, chosen, others, strict=True)
    ]


FUNCTIONS: Final[Mapping[str, Callable[..., Value]]] = {"FILL": _fill, "RUNNING_SUM": _running_sum, "IF": _if}
