"""What is wrong with a body, in a sentence for each field: what was given there, and what is accepted."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import ErrorDetails

Place = tuple[int | str, ...]

_SHOWN = 60
# What each of pydantic's kinds of fault wants instead.
_ACCEPTED = {
    "string_type": "a text",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "none_required": "null",
    "too_short": "a list that is not empty",
    "string_too_short": "a text that is not empty",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with `field`, as a sentence."""

    field: str
    text: str


def told_faults(faults: Sequence[ErrorDetails], path: Callable[[Place], str]) -> Iterator[Fault]:
    """One fault for each field of the body, with everything that is accepted there; `path` writes a place.

    Where several kinds are possible, each kind finds a fault; the one that got furthest was meant.
    """
    furthest = sorted(faults, key=lambda each: -len(each["loc"]))
    seen = set[str]()
    for fault in furthest:
        top = path(fault["loc"][:1])
        if top in seen:
            continue
        seen.add(top)
        place = path(fault["loc"])
        alike = [each for each in furthest if path(each["loc"]) == place]
        yield Fault(place, _sentence(place, alike))


def _sentence(place: str, alike: Sequence[ErrorDetails]) -> str:
    first = alike[0]
    name = place or "the body"
    if first["type"] == "missing":
        return f"{name} is missing; give it"
    kinds = list(dict.fromkeys(filter(None, map(_accepted, alike))))
    if kinds == ["null"]:
        return f"{name} is {_shown(first['input'])}, which is not served; leave it out"
    if "a number" in kinds and "an integer" in kinds:
        kinds.remove("an integer")
    return f"{name} is {_shown(first['input'])}; it must be {' or '.join(kinds)}"


def _accepted(fault: ErrorDetails) -> str:
    if fault["type"] == "literal_error":
        return str(fault.get("ctx", {}).get("expected", "another value"))
    message = fault["msg"]
    return _ACCEPTED.get(fault["type"]) or f"right ({message[:1].lower()}{message[1:]})"


def _shown(given: Any) -> str:
    """The value as JSON, shortened; texts without what would break a line."""
    if isinstance(given, list | dict) and len(given) > _SHOWN:
        return f"{'a list' if isinstance(given, list) else 'an object'} of {len(given)}"
    text = json.dumps(given[:_SHOWN] if isinstance(given, str) else given, default=repr)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
