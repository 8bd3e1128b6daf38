"""Reads typed fields out of a parsed JSON object and names the field at fault. Knows no document."""

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

from parfocal.registry.values.canonical_json import JSON

T = TypeVar("T")


class FieldError(ValueError):
    """A field is missing, unknown or of the wrong type; `field` is its dotted path."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"field {field}: {problem}")
        self.field = field


class JsonObject:
    """One JSON object and the dotted path that leads to it."""

    def __init__(self, value: JSON, path: str = "") -> None:
        if not isinstance(value, Mapping):
            raise FieldError(path or "document", f"is {kind_of(value)}, not an object")
        self._values = value
        self._path = path

    def only(self, names: Collection[str]) -> "JsonObject":
        """Raises FieldError when a field outside `names` is present; else itself."""
        for name in self._values:
            if name not in names:
                raise FieldError(self._at(name), "is not known")
        return self

    def text(self, name: str) -> str:
        """A text field."""
        return self._typed(name, str, "text")

    def optional_text(self, name: str) -> str | None:
        """A text field, or None where it is null."""
        return None if self._get(name) is None else self.text(name)

    def boolean(self, name: str) -> bool:
        """A boolean field."""
        return self._typed(name, bool, "true or false")

    def count(self, name: str) -> int:
        """An integer field that is not negative."""
        value = self.integer(name)
        if value < 0:
            raise FieldError(self._at(name), f"is {value}, below zero")
        return value

    def integer(self, name: str) -> int:
        """An integer field."""
        value = self._typed(name, int, "an integer")
        if isinstance(value, bool):
            raise FieldError(self._at(name), "is a boolean, not an integer")
        return value

    def optional_integer(self, name: str) -> int | None:
        """An integer field, or None where it is null."""
        return None if self._get(name) is None else self.integer(name)

    def number(self, name: str) -> float:
        """A number field as a float."""
        value = self._get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise FieldError(self._at(name), f"is {kind_of(value)}, not a number")
        return float(value)

    def optional_number(self, name: str) -> float | None:
        """A number field as a float, or None where it is null."""
        return None if self._get(name) is None else self.number(name)

    def mapping(self, name: str) -> Mapping[str, JSON]:
        """An object field as a mapping."""
        self.object(name)
        value = self._values[name]
        assert isinstance(value, Mapping)
        return value

    def object(self, name: str) -> "JsonObject":
        """An object field."""
        return JsonObject(self._get(name), self._at(name))

    def given(self, name: str) -> bool:
        """Whether the field is present, even if null."""
        return name in self._values

    def optional_object(self, name: str) -> "JsonObject | None":
        """An object field, or None where it is null."""
        return None if self._get(name) is None else self.object(name)

    def objects(self, name: str) -> "tuple[JsonObject, ...]":
        """A field that is a list of objects."""
        return tuple(JsonObject(item, f"{self._at(name)}[{i}]") for i, item in enumerate(self._list(name)))

    def texts(self, name: str) -> tuple[str, ...]:
        """A field that is a list of texts."""
        items = self._list(name)
        if not all(isinstance(item, str) for item in items):
            raise FieldError(self._at(name), "holds something that is not text")
        return tuple(str(item) for item in items)

    def _list(self, name: str) -> Sequence[JSON]:
        value = self._get(name)
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise FieldError(self._at(name), f"is {kind_of(value)}, not a list")
        return value

    def _typed(self, name: str, kind: type[T], wanted: str) -> T:
        value = self._get(name)
        if not isinstance(value, kind):
            raise FieldError(self._at(name), f"is {kind_of(value)}, not {wanted}")
        return value

    def _get(self, name: str) -> JSON:
        if name not in self._values:
            raise FieldError(self._at(name), "is missing")
        return self._values[name]

    def _at(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name


def kind_of(value: JSON) -> str:
    """What a JSON value is, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, str):
        return "text"
    if isinstance(value, int | float):
        return "a number"
    return "an object" if isinstance(value, Mapping) else "a list"
