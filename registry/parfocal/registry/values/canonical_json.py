"""One way to write each JSON value, so that equal values have equal digests, and one strict way to read.

Keys are sorted by code point, no space, UTF-8 unescaped, floats as their shortest round-trip form; NaN and
infinities do not exist. Knows nothing of manifests.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NoReturn, TypeAlias

JSON: TypeAlias = bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"] | None

_MAX_DEPTH = 64
_MAX_INTEGER = 1 << 63
# Three bytes can become an object of a hundred; this many take 100 MB while they are read.
_MAX_VALUES = 1_000_000
_ANY_OF_WHICH_FITS = frozenset({str, bool, type(None)})


class InvalidJson(ValueError):
    """A value that JSON cannot hold, or text that is not strict JSON."""


def dumps(value: JSON) -> bytes:
    """The canonical bytes of `value`; raises InvalidJson.

    >>> dumps({"b": [1, 2.0], "a": None})
    b'{"a":null,"b":[1,2.0]}'
    """
    text = json.dumps(
        _plain(value, 0), ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    )
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidJson("text holds half of a surrogate pair, which no Unicode text does") from error


def loads(data: bytes, *, max_values: int = _MAX_VALUES) -> JSON:
    """The value of strict JSON `data`: UTF-8, no duplicate key, no NaN; raises InvalidJson.

    What could hold more than `max_values` is refused before any of them is made.
    """
    if most_values(data) > max_values:
        raise InvalidJson(f"it may hold more than {max_values} values")
    try:
        value: JSON = json.loads(
            data.decode("utf-8"), object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant
        )
    except UnicodeDecodeError as error:
        raise InvalidJson(f"not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        # Not as its cause: that error holds the whole text.
        raise InvalidJson(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise InvalidJson("nested too deeply") from None
    except ValueError as error:
        raise InvalidJson(str(error)) from None
    _check(value, 0)
    return value


def most_values(data: bytes) -> int:
    """How many values JSON of these bytes can hold at most, counted without reading it."""
    return 1 + sum(map(data.count, (b",", b"[", b"{")))


def normalised(value: JSON) -> JSON:
    """A deep copy made of plain lists and dicts, equal to its round trip; raises InvalidJson."""
    return _plain(value, 0)


def _check(value: object, depth: int) -> None:
    """Raises InvalidJson where a value that was just read is nested too deeply or a number out of range."""
    if depth > _MAX_DEPTH:
        raise _too_deep()
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            if depth == _MAX_DEPTH or type(item) not in _ANY_OF_WHICH_FITS:
                _check(item, depth + 1)
    else:
        _scalar(value)


def _plain(value: object, depth: int) -> JSON:
    if depth > _MAX_DEPTH:
        raise _too_deep()
    if value is None or isinstance(value, str | int | float):  # most are; what is abstract is asked last
        return _scalar(value)
    if isinstance(value, dict | Mapping):
        return {_key(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value]
    return _scalar(value)


def _too_deep() -> InvalidJson:
    return InvalidJson(f"nested more than {_MAX_DEPTH} deep")


def _scalar(value: object) -> JSON:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        if not -_MAX_INTEGER <= value < _MAX_INTEGER:
            raise InvalidJson("an integer needs more than 64 bits")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidJson(f"{value} is not a number that JSON can hold")
        return float(value)
    raise InvalidJson(f"a {type(value).__name__} has no JSON form")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise InvalidJson(f"key {str(key)[:80]!r} is not text")
    return key


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise InvalidJson(f"key {twice[:80]!r} appears twice")
    return result


def _refuse_constant(text: str) -> NoReturn:
    raise InvalidJson(f"{text} is not JSON")
