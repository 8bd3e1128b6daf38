"""The kind of each setting, and how a text or a TOML value becomes its value. Knows no source."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from parfocal.training.config import TrainConfig
from parfocal.training.errors import InvalidConfig

_TRUTH = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(("false", "no", "off", "0"), False)
_WORDS: Mapping[type, str] = {
    str: "text",
    Path: "a path",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list of texts",
    dict: "a table",
}


@dataclass(frozen=True, slots=True)
class Kind:
    """What one setting takes: text, path, number, truth, `list` or `dict`; an optional one may be unset."""

    name: str
    kind: type
    optional: bool

    def parse(self, text: str, source: str) -> Any:
        """The value that a text stands for, from a variable or `--set`; an empty one unsets.

        A list is given as texts with commas between them, or like a table as TOML.

        Raises:
            InvalidConfig: it is no such value; `source` is named.
        """
        if self.optional and not text.strip():
            return None
        try:
            return self.accept(self._read(text), source)
        except (ValueError, tomllib.TOMLDecodeError):
            raise self._refusal(text, source) from None

    def accept(self, value: object, source: str) -> Any:
        """A value that has a type already, as from TOML; raises InvalidConfig naming `source`."""
        if self.optional and value == "":
            return None
        if self.kind is float and type(value) is int:
            return float(value)
        if self.kind is Path and isinstance(value, str):
            return Path(value)
        if self.kind is list and isinstance(value, list | tuple) and all(isinstance(v, str) for v in value):
            return tuple(value)
        if self.kind is list or not isinstance(value, self.kind):
            raise self._refusal(value, source)
        if isinstance(value, bool) and self.kind is not bool:
            raise self._refusal(value, source)
        return value

    def _read(self, text: str) -> Any:
        if self.kind in (str, Path):
            return text
        if self.kind is bool:
            return _TRUTH.get(text.strip().lower(), text)
        if self.kind is dict or (self.kind is list and text.lstrip().startswith("[")):
            return tomllib.loads(f"value = {text}")["value"]
        if self.kind is list:
            return tuple(part.strip() for part in text.split(",") if part.strip())
        return int(text) if self.kind is int else float(text)

    def _refusal(self, value: object, source: str) -> InvalidConfig:
        wanted = _WORDS[self.kind]
        return InvalidConfig(f"{source} sets {self.name} to {value!r}; it must be {wanted}", field=self.name)


def kinds() -> dict[str, Kind]:
    """Every setting of a run by name."""
    hints = get_type_hints(TrainConfig)
    return {each.name: _kind(each.name, hints[each.name]) for each in fields(TrainConfig)}


def _kind(name: str, hint: Any) -> Kind:
    choices = [hint] if get_origin(hint) in (tuple, list) else [*get_args(hint)] or [hint]
    optional = NoneType in choices
    given = [choice for choice in choices if choice is not NoneType]
    origin = get_origin(given[0]) or given[0]
    if len(given) > 1 or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return Kind(name, dict, optional)
    return Kind(name, list if origin is tuple else origin, optional)
