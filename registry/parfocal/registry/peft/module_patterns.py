"""PEFT's `rank_pattern` and `alpha_pattern`: values for modules whose path matches a key. Knows no tensors.

The rule is PEFT's own (`peft.utils.other.get_pattern_key`): keys are regular expressions, tried in order
against the whole path or its end after a dot; the first that matches wins.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from parfocal.registry.errors import MalformedFile
from parfocal.registry.peft.path_pattern import PathPattern
from parfocal.registry.peft.pattern_graph import ModulePath, PatternError, Work
from parfocal.registry.peft.plain_keys import PlainKeys

Value = TypeVar("Value", int, float)

_NAME = re.compile(r"[A-Za-z0-9_.]+")
_MAX_KEY_LENGTH = 500


class ModulePatterns(Generic[Value]):
    """Values by module path; equal when keys, order and values are equal. Raises MalformedFile.

    `work` is shared by all patterns of an adapter.
    """

    def __init__(self, values: Mapping[str, Value], field: str, work: Work | None = None) -> None:
        self._field = field
        self._values: dict[str, Value] = dict(values)
        self._in_order: list[Value] = list(self._values.values())
        self._work = work or Work()
        self._plain = PlainKeys()
        self._patterns: list[tuple[int, PathPattern]] = []
        for place, key in enumerate(self._values):
            if not self._plain.add(key, place):
                self._patterns.append((place, _pattern(key, field, self._work)))

    def value_for(self, module: ModulePath, default: Value) -> Value:
        """The value of the first key that matches the module, or `default`.

        Raises MalformedFile when that takes too long.
        """
        try:
            place = self._first(module)
        except PatternError as error:
            raise MalformedFile(f"{self._field}: {error}", field=self._field) from error
        return default if place is None else self._in_order[place]

    def _first(self, module: ModulePath) -> int | None:
        """The place of the first key that matches."""
        plain = self._plain.first(module)
        for place, pattern in self._patterns:
            if plain is not None and plain < place:
                break
            if pattern.matches(module):
                return place
        return plain

    def published(self, paths: Mapping[str, str], default: Value) -> dict[str, Value]:
        """Keys that mean the same to the modules at `paths`, in any order and to any reader.

        `paths` maps the path that the keys were written for to the path that is published. JSON is published
        with sorted keys, but PEFT lets the first key that matches win; and what reads it again may know fewer
        patterns. So all but plain names are spelled out, module by module.
        """
        modules = [(ModulePath(path, self._work), new) for path, new in paths.items()]
        meant = {new: self.value_for(module, default) for module, new in modules}
        if all(map(_NAME.fullmatch, self._values)) and all(module.text == new for module, new in modules):
            ordered = {key: self._values[key] for key in sorted(self._values)}
            in_order = ModulePatterns(ordered, self._field, self._work)
            if all(in_order.value_for(module, default) == meant[new] for module, new in modules):
                return ordered
        return {f"^{re.escape(path)}$": value for path, value in sorted(meant.items()) if value != default}

    def __iter__(self) -> Iterator[tuple[str, Value]]:
        return iter(self._values.items())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModulePatterns) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash(tuple(self._values.items()))


def _pattern(key: str, field: str, work: Work) -> PathPattern:
    if not 0 < len(key) <= _MAX_KEY_LENGTH:
        raise MalformedFile(
            f"{field} has a key of {len(key)} characters; 1 to {_MAX_KEY_LENGTH} are read", field=field
        )
    try:
        return PathPattern.at_the_end(key, work)
    except PatternError as error:
        raise MalformedFile(f"{field} has a key {key[:100]!a}: {error}", field=field) from error
