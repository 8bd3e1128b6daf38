"""PEFT's `rank_pattern` and `alpha_pattern`: values for modules whose path matches a key. Knows no tensors.

The rule is PEFT's own (`peft.utils.other.get_pattern_key`): keys are regular expressions, tried in order
against the whole path or its end after a dot; the first that matches wins.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Generic, TypeVar

from parfocal.registry.errors import MalformedFile
from parfocal.registry.peft.path_pattern import ModulePath, PathPattern, PatternError

Value = TypeVar("Value", int, float)

_PLAIN = re.compile(r"[A-Za-z0-9_.]+")
_MAX_KEY_LENGTH = 500
# Characters of all keys times modules: far beyond real adapters, a few seconds of matching at most.
_MAX_WORK = 50_000_000


class ModulePatterns(Generic[Value]):
    """Values by module path; equal when keys, order and values are equal. Raises MalformedFile."""

    def __init__(self, values: Mapping[str, Value], field: str) -> None:
        self._field = field
        self._values: dict[str, Value] = dict(values)
        self._patterns: list[tuple[PathPattern, Value]] = [
            (_pattern(key, field), value) for key, value in values.items()
        ]

    def value_for(self, path: str, default: Value) -> Value:
        """Returns the value of the first key that matches the module at `path`, or `default`."""
        if not self._patterns:
            return default
        module = ModulePath(path)
        return next((value for pattern, value in self._patterns if pattern.matches(module)), default)

    def check_work(self, modules: int) -> None:
        """Raises MalformedFile when matching this many modules would take too long."""
        if sum(map(len, self._values)) * modules > _MAX_WORK:
            raise MalformedFile(
                f"{self._field} has {len(self._values)} keys, too many for {modules} modules",
                field=self._field,
            )

    def published(self, paths: Collection[str], default: Value) -> dict[str, Value]:
        """Returns keys that mean the same to the modules at `paths`, in any order and to any reader.

        JSON is published with sorted keys, but PEFT lets the first key that matches win; and what reads it
        again may know fewer patterns. So all but plain names are spelled out, module by module.
        """
        meant = {path: self.value_for(path, default) for path in paths}
        in_order = ModulePatterns({key: self._values[key] for key in sorted(self._values)}, self._field)
        if all(map(_PLAIN.fullmatch, self._values)) and all(
            in_order.value_for(path, default) == value for path, value in meant.items()
        ):
            return dict(in_order)
        return {f"^{re.escape(path)}$": value for path, value in sorted(meant.items()) if value != default}

    def __iter__(self) -> Iterator[tuple[str, Value]]:
        return iter(self._values.items())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModulePatterns) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash(tuple(self._values.items()))


def _pattern(key: str, field: str) -> PathPattern:
    if not 0 < len(key) <= _MAX_KEY_LENGTH:
        raise MalformedFile(
            f"{field} has a key of {len(key)} characters; 1 to {_MAX_KEY_LENGTH} are read", field=field
        )
    try:
        return PathPattern(key)
    except PatternError as error:
        raise MalformedFile(f"{field} has a key {key[:100]!a}: {error}", field=field) from error
