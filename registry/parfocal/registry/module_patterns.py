"""PEFT's `rank_pattern` and `alpha_pattern`: values for modules whose path matches a key. Knows no tensors.

The rule is PEFT's own (`peft.utils.other.get_pattern_key`): keys are regular expressions, tried in order
against the whole path or its end after a dot; the first that matches wins.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from parfocal.registry.errors import MalformedFile

Value = TypeVar("Value", int, float)

_MAX_KEYS = 4096
_MAX_KEY_LENGTH = 500
_MAX_WILDCARDS = 2
_MAX_GROUPS = 4
_MAX_ALTERNATIVES = 16
# A free regular expression can take hours to match, so only the marks that module paths need are let through.
_KEY = re.compile(r"\^?(?:[A-Za-z0-9_.-]|\\\.|\.\*|\[[0-9-]+\]|\\d\+?|\||[()])+\$?")
_WILDCARD = re.compile(r"\.\*|\\d\+")


class ModulePatterns(Generic[Value]):
    """Values by module path; equal when keys, order and values are equal."""

    def __init__(self, values: Mapping[str, Value], field: str) -> None:
        if len(values) > _MAX_KEYS:
            raise MalformedFile(f"{field} has {len(values)} keys; at most {_MAX_KEYS} are read", field=field)
        self.values: dict[str, Value] = dict(values)
        self._compiled: list[tuple[re.Pattern[str], Value]] = [
            (_compiled(key, field), value) for key, value in values.items()
        ]

    def value_for(self, path: str, default: Value) -> Value:
        """Returns the value of the first key that matches the module at `path`, or `default`."""
        return next((value for pattern, value in self._compiled if pattern.match(path)), default)

    def __iter__(self) -> Iterator[tuple[str, Value]]:
        return iter(self.values.items())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModulePatterns) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash(tuple(self.values.items()))


def _is_plain(key: str) -> bool:
    """Bounds what can multiply while matching: wildcards, groups, and alternatives within groups."""
    return (
        len(key) <= _MAX_KEY_LENGTH
        and _KEY.fullmatch(key) is not None
        and len(_WILDCARD.findall(key)) <= _MAX_WILDCARDS
        and key.count("(") <= _MAX_GROUPS
        and key.count("|") <= _MAX_ALTERNATIVES
    )


def _compiled(key: str, field: str) -> re.Pattern[str]:
    if not _is_plain(key):
        raise MalformedFile(f"{field} has a key {key[:100]!a} that is no plain module pattern", field=field)
    try:
        return re.compile(rf"(.*\.)?({key})$")
    except re.error as error:
        raise MalformedFile(f"{field} has a key {key[:100]!a}: {error}", field=field) from error
