"""PEFT's `rank_pattern` and `alpha_pattern`: values for modules whose path matches a key. Knows no tensors.

The rule is PEFT's own (`peft.utils.other.get_pattern_key`): keys are regular expressions, tried in order
against the whole path or its end after a dot; the first that matches wins.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Generic, Protocol, TypeVar

from parfocal.registry.errors import MalformedFile
from parfocal.registry.peft.path_pattern import PathPattern
from parfocal.registry.peft.pattern_graph import ModulePath, PatternError, Work

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
        self._keys: list[tuple[_Key, Value]] = [(_key(key, field), value) for key, value in values.items()]

    def value_for(self, module: ModulePath, default: Value) -> Value:
        """Returns the value of the first key that matches the module, or `default`.

        Raises MalformedFile when that takes too long.
        """
        try:
            return next((value for key, value in self._keys if key.matches(module)), default)
        except PatternError as error:
            raise MalformedFile(f"{self._field}: {error}", field=self._field) from error

    def check_work(self, modules: int) -> None:
        """Raises MalformedFile when matching this many modules would take too long."""
        if sum(map(len, self._values)) * modules > _MAX_WORK:
            raise MalformedFile(
                f"{self._field} has {len(self._values)} keys, too many for {modules} modules",
                field=self._field,
            )

    def published(self, paths: Mapping[str, str], default: Value) -> dict[str, Value]:
        """Returns keys that mean the same to the modules at `paths`, in any order and to any reader.

        `paths` maps the path that the keys were written for to the path that is published. JSON is published
        with sorted keys, but PEFT lets the first key that matches win; and what reads it again may know fewer
        patterns. So all but plain names are spelled out, module by module.
        """
        work = Work()
        modules = [(ModulePath(path, work), new) for path, new in paths.items()]
        meant = {new: self.value_for(module, default) for module, new in modules}
        in_order = ModulePatterns({key: self._values[key] for key in sorted(self._values)}, self._field)
        same = all(map(_PLAIN.fullmatch, self._values)) and all(
            module.text == new and in_order.value_for(module, default) == meant[new]
            for module, new in modules
        )
        if same:
            return dict(in_order)
        return {f"^{re.escape(path)}$": value for path, value in sorted(meant.items()) if value != default}

    def __iter__(self) -> Iterator[tuple[str, Value]]:
        return iter(self._values.items())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModulePatterns) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash(tuple(self._values.items()))


class _Key(Protocol):
    def matches(self, path: ModulePath) -> bool: ...


class _PlainKey:
    """A key without repeats or choices, of which an adapter may have one for each module."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._end = re.compile(text)

    def matches(self, path: ModulePath) -> bool:
        """Whether the path, or its end from behind a dot on, is the key."""
        start = len(path.text) - len(self._text)
        begins = start == 0 or (start > 0 and path.text[start - 1] == ".")
        return begins and self._end.fullmatch(path.text, start) is not None


def _key(key: str, field: str) -> _Key:
    if not 0 < len(key) <= _MAX_KEY_LENGTH:
        raise MalformedFile(
            f"{field} has a key of {len(key)} characters; 1 to {_MAX_KEY_LENGTH} are read", field=field
        )
    if _PLAIN.fullmatch(key):
        return _PlainKey(key)
    try:
        return PathPattern.at_the_end(key)
    except PatternError as error:
        raise MalformedFile(f"{field} has a key {key[:100]!a}: {error}", field=field) from error
