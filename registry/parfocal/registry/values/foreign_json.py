"""Reads JSON that other programs wrote, as their own readers do, and names what cannot be read.

Whole numbers of any size, NaN and infinities, a byte order mark and repeated keys (the last one counts) are
read, because configurations, tokenizers and data sets in use hold them. What we write ourselves is read by
`canonical_json`, which accepts one spelling only.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import cast

from parfocal.registry.values.canonical_json import JSON

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MAX_DEPTH = 200


class UnreadableJson(ValueError):
    """The text is not JSON that any reader accepts; the message says where it stops being so."""


def read_foreign_json(data: bytes, *, unique_keys: bool = False) -> JSON:
    """Reads the value in `data`; with `unique_keys`, an object that repeats a key is refused.

    Raises UnreadableJson.

    >>> read_foreign_json(b'{"model_max_length": 1000000000000000019884624838656}')
    {'model_max_length': 1000000000000000019884624838656}
    """
    hook = _without_duplicates if unique_keys else None
    try:
        value: object = json.loads(
            data.removeprefix(_BYTE_ORDER_MARK).decode("utf-8"), object_pairs_hook=hook
        )
    except UnreadableJson:
        raise
    except UnicodeDecodeError as error:
        raise UnreadableJson(f"not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise UnreadableJson(f"{error.msg} at line {error.lineno}, column {error.colno}") from error
    except RecursionError as error:
        raise UnreadableJson("nested too deeply") from error
    except ValueError as error:  # Python's bound on the digits of one number
        raise UnreadableJson("a number has thousands of digits") from error
    if _deeper_than(value, _MAX_DEPTH):
        raise UnreadableJson(f"nested more than {_MAX_DEPTH} deep")
    return cast(JSON, value)


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise UnreadableJson(f"key {twice[:80]!r} appears twice")
    return result


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
