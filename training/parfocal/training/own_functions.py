"""Finds functions that users have written, by `module:function`."""

import importlib
from collections.abc import Callable
from typing import Any

from parfocal.training.errors import InvalidConfig


def function_at(place: str, purpose: str, field: str) -> Callable[..., Any]:
    """The function at `place`, for a `purpose` that a refusal names; raises InvalidConfig of `field`."""
    module, _, name = place.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InvalidConfig(
            f"{purpose} {place[:80]!a} is not there: {error}; the module must be importable, as with "
            "PYTHONPATH=FOLDER",
            field=field,
        ) from error
    if not callable(function):
        raise InvalidConfig(f"{purpose} {place[:80]!a} is no function", field=field)
    found: Callable[..., Any] = function
    return found
