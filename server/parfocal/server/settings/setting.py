"""One setting: its type, help and bounds, and how a text or a TOML value becomes its value.

Does not know which settings there are or where their values come from.
"""

import re
from dataclasses import MISSING, Field, dataclass, fields
from types import NoneType
from typing import get_args, get_type_hints

from parfocal.engine import Bounds
from parfocal.server.errors import BadSetting

Value = str | int | float | bool | None

_SIZES = {"": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]ib|)", re.IGNORECASE)
_TRUTH = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}
_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


@dataclass(frozen=True, slots=True)
class Setting:
    """One declared setting. `kind` is its type; an optional one may also be unset (None)."""

    name: str
    kind: type
    optional: bool
    default: Value
    help: str
    bounds: Bounds

    def parse(self, text: str, source: str) -> Value:
        """The value that a text from the environment or a flag stands for.

        Numbers of bytes may end in KiB, MiB, GiB or TiB. Raises `BadSetting` naming `source`.
        """
        if self.optional and not text.strip():
            return None
        try:
            return self._bounded(self._converted(text.strip()), source)
        except ValueError:
            raise self._refusal(text, source) from None

    def accept(self, value: object, source: str) -> Value:
        """A value that has a type already, as from TOML. Raises `BadSetting` naming `source`."""
        if self._is_size and isinstance(value, str):
            return self.parse(value, source)
        if self.kind is float and type(value) is int:
            value = float(value)
        if type(value) is not self.kind:
            raise self._refusal(value, source)
        assert isinstance(value, str | int | float | bool)
        return self._bounded(value, source)

    @property
    def wanted(self) -> str:
        """What the setting takes, in words."""
        if self.bounds.choices:
            return self.bounds.words
        words = "a number of bytes (such as 512MiB)" if self._is_size else _WORDS[self.kind]
        return f"{words}, {self.bounds.words}" if self.bounds.words else words

    @property
    def _is_size(self) -> bool:
        return self.kind is int and self.name.endswith("_bytes")

    def _converted(self, text: str) -> Value:
        if self.kind is str:
            return text
        if self.kind is bool:
            return _truth(text)
        if self._is_size:
            return _size(text)
        return int(text) if self.kind is int else float(text)

    def _bounded(self, value: Value, source: str) -> Value:
        if not self.bounds.hold(value):
            raise self._refusal(value, source)
        return value

    def _refusal(self, value: object, source: str) -> BadSetting:
        return BadSetting(
            f"{source} sets {self.name} to {value!r}; it must be {self.wanted}", field=self.name
        )


def settings_of(declaring: type) -> tuple[Setting, ...]:
    """What a dataclass whose fields are made by `declare` or `declared_by` declares, in its order."""
    hints = get_type_hints(declaring)
    return tuple(_setting(each, hints[each.name]) for each in fields(declaring))


def _setting(declared: Field[Value], hint: object) -> Setting:
    kinds = [kind for kind in get_args(hint) or (hint,) if kind is not NoneType]
    assert len(kinds) == 1 and declared.default is not MISSING, (
        f"{declared.name} is not one type with a default"
    )
    return Setting(
        name=declared.name,
        kind=kinds[0],
        optional=NoneType in get_args(hint),
        default=declared.default,
        help=declared.metadata["help"],
        bounds=declared.metadata["bounds"],
    )


def _truth(text: str) -> bool:
    if text.lower() not in _TRUTH:
        raise ValueError(text)
    return _TRUTH[text.lower()]


def _size(text: str) -> int:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return int(float(match[1]) * _SIZES[match[2].lower()]) if match[2] else int(match[1])
