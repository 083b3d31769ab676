"""CloudWatch's metric math, as far as the template's alarms use it: series with gaps, by its guide.

A series is a list with one value a period, oldest first; ``None`` is a missing value.
"""

import ast
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Final

type Series = Sequence[float | None]
type Value = Series | float

OPERATORS: Final[Mapping[type[ast.AST], Callable[[float, float], float | None]]] = {
    ast.Gt: lambda a, b: float(a > b),
    ast.Lt: lambda a, b: float(a < b),
    ast.GtE: lambda a, b: float(a >= b),
    ast.LtE: lambda a, b: float(a <= b),
    ast.Eq: lambda a, b: float(a == b),
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b if b else None,  # a division by zero drops the data point
}
"""These operators have the precedence and the spelling of Python's, so Python parses an expression."""


def evaluate(expression: str, metrics: Mapping[str, Series]) -> Series:
    """Return the series of an expression over metrics of the same length, by their ids."""
    value = _value(ast.parse(expression, mode="eval").body, metrics)
    assert not isinstance(value, float), "an alarm needs a series"
    return value


def _value(node: ast.expr, metrics: Mapping[str, Series]) -> Value:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name):
            return metrics[name]
        case ast.BinOp(left=left, op=op, right=right) | ast.Compare(left=left, ops=[op], comparators=[right]):
            return _combine(OPERATORS[type(op)], _value(left, metrics), _value(right, metrics))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            return FUNCTIONS[name](*(_value(argument, metrics) for argument in arguments))
        case _:
            raise AssertionError(f"unknown syntax: {ast.unparse(node)}")


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
