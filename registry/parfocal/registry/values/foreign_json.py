"""Reads JSON that other programs wrote, as their own readers do, and names what cannot be read.

Whole numbers of any size, NaN and infinities, a byte order mark and repeated keys (the last one counts) are
read, because configurations, tokenizers and data sets in use hold them. What we write ourselves is read by
`canonical_json`, which accepts one spelling only.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from parfocal.registry.values.canonical_json import JSON, most_values

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MAX_DEPTH = 200
# The largest vocabularies, of 262,144 tokens and 580,000 merges as pairs, hold 3 million.
_MAX_VALUES = 10_000_000


class UnreadableJson(ValueError):
    """The text is not JSON that any reader accepts; the message says where it stops being so."""


class RepeatedKeys(dict[str, JSON]):
    """An object that is written with some of its keys more than once: `repeated`. The last of each counts.

    Made of pairs alone, as who copies dictionaries does, it has none.
    """

    def __init__(
        self, pairs: Iterable[tuple[str, JSON]] = (), repeated: frozenset[str] = frozenset()
    ) -> None:
        super().__init__(pairs)
        self.repeated = repeated


def check_once(fields: Mapping[str, JSON], keys: Iterable[str]) -> None:
    """Raises UnreadableJson where an object repeats one of `keys`, those that its reader uses."""
    repeated = fields.repeated if isinstance(fields, RepeatedKeys) else frozenset()
    twice = next((key for key in keys if key in repeated), None)
    if twice is not None:
        raise UnreadableJson(f"key {twice[:80]!r} appears twice")


def read_foreign_json(data: bytes, *, max_values: int = _MAX_VALUES) -> JSON:
    """Reads the value in `data`; objects that repeat keys are RepeatedKeys, for `check_once`.

    What could hold more than `max_values` is refused before any of them is made.

    Raises UnreadableJson.

    >>> read_foreign_json(b'{"model_max_length": 1000000000000000019884624838656}')
    {'model_max_length': 1000000000000000019884624838656}
    """
    if most_values(data) > max_values:
        raise UnreadableJson(f"it may hold more than {max_values} values")
    text = data.removeprefix(_BYTE_ORDER_MARK)
    try:
        value: object = json.loads(text.decode("utf-8"), object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        raise UnreadableJson(f"not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        # Not as its cause: that error holds the whole text.
        raise UnreadableJson(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise UnreadableJson("nested too deeply") from None
    except ValueError:  # Python's bound on the digits of one number
        raise UnreadableJson("a number has thousands of digits") from None
    if _deeper_than(value, _MAX_DEPTH):
        raise UnreadableJson(f"nested more than {_MAX_DEPTH} deep")
    return cast(JSON, value)


def _object(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    result = dict(pairs)
    if len(result) == len(pairs):
        return result
    counts = Counter(key for key, _ in pairs)
    return RepeatedKeys(pairs, frozenset(key for key, count in counts.items() if count > 1))


def _deeper_than(value: object, depth: int) -> bool:
    """Walks level by level: recursion over untrusted nesting could exhaust the stack."""
    level = [value]
    for _ in range(depth):
        level = [item for container in level for item in _items(container)]
        if not level:
            return False
    return True


def _items(value: object) -> Sequence[object]:
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, list) else ()
