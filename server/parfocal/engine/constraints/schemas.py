"""Reads a JSON schema and refuses, by its place, what could not be kept. Compiles nothing.

A keyword that is ignored in silence makes answers that only look as if they had been checked. So each one is
kept, known to be a mere note, or refused.
"""

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from parfocal.engine.constraints.dates import keep_exactly
from parfocal.engine.constraints.endings import some_answer_ends
from parfocal.engine.constraints.keywords import (
    ASKS_NOTHING,
    KEPT,
    LISTS_OF_SCHEMAS,
    MAPS_OF_SCHEMAS,
    NOTES,
    SCHEMAS,
    UNSUPPORTED,
)
from parfocal.engine.errors import ConstraintRefused

MOST_CHARACTERS = 256 << 10
MOST_SCHEMAS = 10_000
MOST_LEVELS = 100
_ADVICE = "leave it out, and check the answer for it yourself"
Schema = Mapping[str, Any]


def read_schema(text: str) -> dict[str, Any]:
    """The schema, which asks for nothing but what can be kept; its dates and times as patterns.

    Raises:
        ConstraintRefused: it is no JSON schema, too large, or asks for what cannot be kept.
    """
    schema = _parsed(text)
    if isinstance(schema, bool):
        raise refused("$", f"the schema is {json.dumps(schema)}", "send a JSON object that says more")
    parts = _checked(schema)
    if not some_answer_ends(parts, lambda reference: _target(schema, reference)):
        raise refused(
            "$",
            "no answer ends: the schema requires itself",
            "make what leads back optional, or allow null in its place",
        )
    for part in parts:
        if isinstance(part, dict):
            keep_exactly(part)
    found: dict[str, Any] = schema
    return found


def refused(path: str, fault: str, advice: str) -> ConstraintRefused:
    """A refusal of what stands at `path` in a schema, such as `$.properties.name.pattern`."""
    return ConstraintRefused(f"{path}: {fault}; {advice}", field="output_format", path=path)


def _parsed(text: str) -> Any:
    if len(text) > MOST_CHARACTERS:
        raise refused(
            "$", f"the schema has {len(text)} characters, more than {MOST_CHARACTERS}", "make it smaller"
        )
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise refused("$", f"the schema is not JSON: {error}", "send a JSON object") from error


def _checked(root: Any) -> list[Any]:
    """The schema and all that are in it or referred to, each checked."""
    found: dict[int, Any] = {}
    pending = [("$", root, 0)]
    while pending:
        path, each, level = pending.pop()
        if len(found) >= MOST_SCHEMAS or level > MOST_LEVELS:
            raise refused(
                path,
                f"the schema has more than {MOST_SCHEMAS} parts or {MOST_LEVELS} levels",
                "make it smaller",
            )
        if id(each) not in found:
            _check(path, each, root)
            found[id(each)] = each
            pending += [(at, below, level + 1) for at, below in _below(path, each, root)]
    return list(found.values())


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _check(path: str, schema: Any, root: Schema) -> None:
    """Refuses what one schema says itself, without what is in it."""
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        raise refused(path, f"{_shown(schema)} is not a schema", "write a JSON object or a boolean")
    for keyword, value in schema.items():
        at = place(path, keyword)
        _check_keyword(at, keyword, value)
        if keyword == "$ref" and _target(root, value) is None:
            raise refused(at, f"there is nothing at {_shown(value)}", "add it, under $defs for example")
    _check_names(path, schema)


def _check_keyword(at: str, keyword: str, value: Any) -> None:
    if keyword in KEPT:
        if fault := KEPT[keyword](value):
            raise refused(at, f"{_shown(value)} {fault.what}", fault.advice)
    elif keyword in UNSUPPORTED:
        if keyword not in ASKS_NOTHING or value is not ASKS_NOTHING[keyword]:
            raise refused(at, f"{keyword} is not supported", UNSUPPORTED[keyword] or _ADVICE)
    elif keyword not in NOTES and not (keyword.startswith("x-") and keyword != "x-guidance"):
        near = difflib.get_close_matches(keyword, [*KEPT, *NOTES], 1, 0.75)
        meant = f"did you mean {near[0]}" if near else "leave it out, or begin its name with x-"
        raise refused(at, f"{keyword} is not a known keyword", meant)


def _target(root: Schema, reference: str) -> Any:
    """What a reference refers to (RFC 6901, as a fragment), or None."""
    found: Any = root
    for part in reference.removeprefix("#").split("/")[1:]:
        key = unquote(part).replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        elif isinstance(found, dict) and key in found:
            found = found[key]
        else:
            return None
    return found


def _check_names(path: str, schema: Schema) -> None:
    """Refuses a least number of properties that repeated names might only seem to reach."""
    least = schema.get("minProperties", 0)
    if least > len(schema.get("required", ())) + 1:
        raise refused(
            place(path, "minProperties"),
            f"{least} properties cannot be promised, since names of further properties may repeat",
            "name them in required",
        )


def _below(path: str, schema: Any, root: Schema) -> Iterator[tuple[str, Any]]:
    """The schemas directly in a schema or referred to, with their places. Its keywords have been checked."""
    if isinstance(schema, bool):
        return
    for keyword, value in schema.items():
        at = place(path, keyword)
        if keyword in SCHEMAS and not isinstance(value, list):
            yield at, value
        elif keyword in LISTS_OF_SCHEMAS and isinstance(value, list):
            yield from ((f"{at}[{number}]", each) for number, each in enumerate(value))
        elif keyword in MAPS_OF_SCHEMAS:
            yield from ((place(at, name), each) for name, each in value.items())
        elif keyword == "$ref":
            yield at, _target(root, value)


def place(path: str, name: str) -> str:
    """The JSON path of what is called `name` at `path`.

    >>> place("$.properties", "name"), place("$", "a b")
    ('$.properties.name', '$["a b"]')
    """
    plain = name.replace("$", "").replace("-", "").replace("_", "").isalnum()
    return f"{path}.{name}" if plain and name.isascii() else f"{path}[{json.dumps(name)}]"


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
