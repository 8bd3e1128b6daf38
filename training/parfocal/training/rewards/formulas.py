"""The arithmetic of OpenAI's `multi` graders, such as `0.5 * format + answer`. Runs no code."""

import ast
import math
import operator
from collections.abc import Callable, Iterable, Mapping

from parfocal.training.errors import InvalidConfig

_BINARY: Mapping[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: lambda base, power: math.pow(base, power),  # of whole numbers it would grow without end
}
_FUNCTIONS: Mapping[str, Callable[..., float]] = {
    "min": min,
    "max": max,
    "abs": abs,
    "floor": math.floor,
    "ceil": math.ceil,
    "exp": math.exp,
    "sqrt": math.sqrt,
    "log": math.log,
}
_LONGEST = 2000


class Formula:
    """An expression of numbers, names, `+ - * / **` and a few functions."""

    def __init__(self, text: str, names: Iterable[str]) -> None:
        """Raises InvalidConfig for anything else."""
        self.text = text
        known = frozenset(names)
        try:
            self._root = ast.parse(text[:_LONGEST], mode="eval").body
            _check(self._root, known)
        except (SyntaxError, ValueError, RecursionError) as error:
            raise InvalidConfig(
                f"calculate_output {text[:80]!a} cannot be computed: {error}; use the graders' names "
                f"({', '.join(sorted(known))}), numbers, + - * / ** and {', '.join(_FUNCTIONS)}",
                field="rewards",
            ) from error

    def value(self, names: Mapping[str, float]) -> float:
        """What it comes to; not a number where it is not defined, as at a division by 0."""
        try:
            return float(_value(self._root, names))
        except (ArithmeticError, ValueError):
            return math.nan


def _check(node: ast.expr, names: frozenset[str]) -> None:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return
    if isinstance(node, ast.Name) and node.id in names:
        return
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        parts = [node.left, node.right]
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        parts = [node.operand]
    elif isinstance(node, ast.Call) and _called(node) in _FUNCTIONS and node.args and not node.keywords:
        parts = node.args
    else:
        raise ValueError(f"{ast.unparse(node)[:80]!a} is not arithmetic of the graders")
    for part in parts:
        _check(part, names)


def _called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _value(node: ast.expr, names: Mapping[str, float]) -> float:
    if isinstance(node, ast.Constant):
        return float(str(node.value))
    if isinstance(node, ast.Name):
        return names[node.id]
    if isinstance(node, ast.BinOp):
        return _BINARY[type(node.op)](_value(node.left, names), _value(node.right, names))
    if isinstance(node, ast.UnaryOp):
        value = _value(node.operand, names)
        return -value if isinstance(node.op, ast.USub) else value
    assert isinstance(node, ast.Call)
    return _FUNCTIONS[_called(node)](*(_value(part, names) for part in node.args))
