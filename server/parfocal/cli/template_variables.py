"""Template variables as they are typed, `NAME=VALUE`. Knows no template."""

import json
from collections.abc import Iterable
from typing import Any

import typer

_FLAG = "--template-variable"


def read_variables(given: Iterable[str]) -> dict[str, Any]:
    """Variables by name: a value that is JSON, such as `false` or `3`, is decoded; any other is text."""
    variables = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise typer.BadParameter(
                f"{pair!r} is not NAME=VALUE, such as enable_thinking=false", param_hint=_FLAG
            )
        variables[name] = _value(value)
    return variables


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=str)
    except (ValueError, RecursionError):
        return text
