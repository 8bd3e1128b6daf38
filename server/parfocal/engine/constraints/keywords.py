"""The keywords of JSON schemas, drafts 4 to 2020-12: which are kept, which say nothing, which are refused."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_TYPES = {"null", "boolean", "integer", "number", "string", "array", "object"}
# Those that are kept; for numbers, OpenAPI's formats only say how they are stored.
_FORMATS = (
    "date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "unknown", "uri", "uuid",
)  # fmt: skip
_STORED_AS = {"int32", "int64", "float", "double"}
_UNKNOWN_REGEX = re.compile(r"(?<!\\)(?:\\\\)*(?P<what>\(\?(?:<?[=!])|\\[1-9kbB])")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a keyword's value, and what to do."""

    what: str
    advice: str


Check = Callable[[Any], Fault | None]


def _is_count(value: Any) -> Fault | None:
    good = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return None if good else Fault("is not a count", "write 0 or a larger whole number")


def _is_number(value: Any) -> Fault | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Fault("is not a number", "write a number")
    return _is_exact(value)


def _is_bound(value: Any) -> Fault | None:
    """Draft 4 has booleans where later ones have numbers."""
    return None if isinstance(value, bool) else _is_number(value)


def _is_exact(value: Any) -> Fault | None:
    """Numbers are compared as 64-bit floating point: others would be kept only nearly."""
    for number in _numbers(value):
        exact = abs(number) <= 1 << 53 if isinstance(number, int) else math.isfinite(number)
        if not exact:
            return Fault("has a number beyond 2^53 that would be rounded", "write a smaller one, or a string")
    return None


def _numbers(value: Any) -> list[int | float]:
    """Every number in a JSON value."""
    found, pending = [], [value]
    while pending:
        each = pending.pop()
        if isinstance(each, dict):
            pending += each.values()
        elif isinstance(each, list):
            pending += each
        elif isinstance(each, int | float) and not isinstance(each, bool):
            found.append(each)
    return found


def _is_enum(value: Any) -> Fault | None:
    if not isinstance(value, list) or not value:
        return Fault("is not a list of values", "list at least one")
    return _is_exact(value)


def _is_type(value: Any) -> Fault | None:
    names = value if isinstance(value, list) else [value]
    if names and all(isinstance(each, str) and each in _TYPES for each in names):
        return None
    return Fault("is not a type", f"write one or several of {', '.join(sorted(_TYPES))}")


def _is_names(value: Any) -> Fault | None:
    good = isinstance(value, list) and all(isinstance(each, str) for each in value)
    return None if good else Fault("is not a list of names", "write a list of strings")


def _is_pattern(value: Any) -> Fault | None:
    if not isinstance(value, str):
        return Fault("is not a regular expression", "write a string")
    return regex_fault(value)


def regex_fault(pattern: str) -> Fault | None:
    """What a regular expression asks for that none here can do; whether it is one is seen later."""
    if found := _UNKNOWN_REGEX.search(pattern):
        return Fault(
            f"has {found['what']}, and expressions here may not look around, refer back or find word ends",
            "write it without",
        )
    return None


def _is_format(value: Any) -> Fault | None:
    if isinstance(value, str) and value in _STORED_AS | set(_FORMATS):
        return None
    return Fault("is not a format that is kept", f"use one of {', '.join(_FORMATS)}, or pattern")


def _is_reference(value: Any) -> Fault | None:
    if isinstance(value, str) and (value == "#" or value.startswith("#/")):
        return None
    return Fault("does not refer to this schema", 'copy what is meant into $defs, and write "#/$defs/…"')


def _is_list(value: Any) -> Fault | None:
    good = isinstance(value, list) and value
    return None if good else Fault("is not a list of schemas", "list at least one")


def _is_map(value: Any) -> Fault | None:
    return None if isinstance(value, dict) else Fault("is not a map of schemas", "write a JSON object")


def _is_map_of_patterns(value: Any) -> Fault | None:
    if not isinstance(value, dict):
        return _is_map(value)
    for name in value:
        if fault := _is_pattern(name):
            return Fault(f"has the name {json.dumps(name)}, which {fault.what}", fault.advice)
    return None


def _is_anything(value: Any) -> None:
    return None


def _is_schema(value: Any) -> Fault | None:
    good = isinstance(value, dict | bool)
    return None if good else Fault("is not a schema", "write a JSON object or a boolean")


def _is_items(value: Any) -> Fault | None:
    """Until draft 2019-09 a list gave a schema for each place."""
    return None if isinstance(value, list) else _is_schema(value)


SCHEMAS = {"items", "additionalItems", "additionalProperties"}
LISTS_OF_SCHEMAS = {"allOf", "anyOf", "oneOf", "prefixItems", "items"}
MAPS_OF_SCHEMAS = {"properties", "patternProperties", "$defs", "definitions"}

KEPT: dict[str, Check] = {
    **dict.fromkeys(("minItems", "maxItems", "minLength", "maxLength"), _is_count),
    **dict.fromkeys(("minProperties", "maxProperties"), _is_count),
    **dict.fromkeys(("minimum", "maximum", "multipleOf"), _is_number),
    **dict.fromkeys(("exclusiveMinimum", "exclusiveMaximum"), _is_bound),
    **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems"), _is_list),
    **dict.fromkeys(("properties", "$defs", "definitions"), _is_map),
    **dict.fromkeys(("additionalItems", "additionalProperties"), _is_schema),
    "patternProperties": _is_map_of_patterns,
    "items": _is_items,
    "const": _is_exact,
    "enum": _is_enum,
    "type": _is_type,
    "required": _is_names,
    "pattern": _is_pattern,
    "format": _is_format,
    "$ref": _is_reference,
}
# They only tell readers something, or name what nothing here can refer to. The last ones are OpenAPI's.
NOTES = {
    "$schema", "$id", "id", "$anchor", "$comment", "title", "description", "default", "examples", "example",
    "readOnly", "writeOnly", "deprecated", "contentEncoding", "contentMediaType", "contentSchema",
    "discriminator", "externalDocs", "xml",
}  # fmt: skip
# With what to do instead, where there is something.
UNSUPPORTED = {
    "uniqueItems": "",
    "contains": "",
    "minContains": "",
    "maxContains": "",
    "not": "say in enum, pattern or anyOf what is allowed",
    "if": "write each case out, under anyOf",
    "then": "write each case out, under anyOf",
    "else": "write each case out, under anyOf",
    "dependencies": "write each case out, under anyOf",
    "dependentRequired": "write each case out, under anyOf",
    "dependentSchemas": "write each case out, under anyOf",
    "propertyNames": "use patternProperties, with additionalProperties false",
    "unevaluatedProperties": "use additionalProperties",
    "unevaluatedItems": "use items",
    "nullable": 'add "null" to type',
    "$dynamicRef": "use $ref",
    "$dynamicAnchor": "use $defs",
    "$recursiveRef": "use $ref",
    "$recursiveAnchor": "use $defs",
    "$vocabulary": "",
}
# The value with which an unsupported keyword asks for nothing.
ASKS_NOTHING: dict[str, Any] = {"uniqueItems": False, "nullable": False, "$recursiveAnchor": False}
