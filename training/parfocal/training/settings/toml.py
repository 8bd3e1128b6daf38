"""Writes settings as TOML. Python reads that format, and has nothing to write it with."""

import json
import re
from collections.abc import Mapping

from parfocal.registry.values import JSON

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def settings_toml(settings: Mapping[str, JSON], reasons: Mapping[str, str], head: str) -> str:
    """One `key = value` a line, with its reason as a comment where `reasons` has one, below `head`."""
    lines = [f"# {line}" for line in head.splitlines()]
    for name, value in settings.items():
        reason = " ".join(reasons.get(name, "").split())
        lines.append(f"{_key(name)} = {_value(value)}" + (f"  # {reason}" if reason else ""))
    return "\n".join(lines) + "\n"


def _value(value: JSON) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(name)} = {_value(each)}" for name, each in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value)  # numbers and truths are written alike


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _text(text: str) -> str:
    """As JSON writes it, but that TOML wants DEL escaped, too, and knows no pairs of surrogates."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
