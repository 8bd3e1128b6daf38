"""Writes a record (ordered names and values) in many notations."""

import json
from collections.abc import Callable, Mapping
from typing import TypeAlias

Value: TypeAlias = str | int | bool | None
Record: TypeAlias = Mapping[str, Value]


def as_json(record: Record) -> str:
    """One line of JSON."""
    return json.dumps(record, ensure_ascii=False)


def as_indented_json(record: Record) -> str:
    """JSON with one member per line."""
    return json.dumps(record, ensure_ascii=False, indent=2)


def as_lines(record: Record) -> str:
    """`name: value` lines."""
    return "\n".join(f"{name}: {_plain(value)}" for name, value in record.items())


def as_assignments(record: Record) -> str:
    """`name = value` lines."""
    return "\n".join(f"{name} = {_plain(value)}" for name, value in record.items())


def as_bullets(record: Record) -> str:
    """`- name: value` lines."""
    return "\n".join(f"- {name}: {_plain(value)}" for name, value in record.items())


def as_tags(record: Record) -> str:
    """One `<name>value</name>` line for each member."""
    return "\n".join(f"<{name}>{_plain(value)}</{name}>" for name, value in record.items())


def as_bar_line(record: Record) -> str:
    """Only the values, with ` | ` between them."""
    return " | ".join(_plain(value) for value in record.values())


def as_table(record: Record) -> str:
    """A comma-separated heading and one row."""
    return ",".join(record) + "\n" + ",".join(_plain(value) for value in record.values())


def as_pairs(record: Record) -> str:
    """`name=value` pairs with semicolons between them."""
    return "; ".join(f"{name}={_plain(value)}" for name, value in record.items())


NOTATIONS: tuple[tuple[str, Callable[[Record], str]], ...] = (
    ("JSON", as_json),
    ("JSON on one line", as_json),
    ("a JSON object", as_json),
    ("indented JSON", as_indented_json),
    ("lines", as_lines),
    ("one field per line", as_lines),
    ("assignments", as_assignments),
    ("bullets", as_bullets),
    ("tags", as_tags),
    ("values with bars", as_bar_line),
    ("CSV", as_table),
    ("pairs", as_pairs),
)


def _plain(value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
