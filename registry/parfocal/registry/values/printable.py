"""Which characters would do something else to a terminal or a log than show themselves.

Controls begin escape sequences and new lines; marks of direction (the Trojan Source attack, CVE-2021-42574)
make a line read otherwise than it is.
"""

import re
from collections.abc import Mapping, Sequence

from parfocal.registry.values.canonical_json import JSON

_WHITE_SPACE = "\n\r\t"
# Controls (Cc), line and paragraph separators, bidirectional marks, deprecated formatting, annotations,
# halves of surrogate pairs. Joiners are left: scripts and emoji need them, and they only join.
_ACTING = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufff9-\ufffb\ud800-\udfff]"
)


def printable(text: str, keep: str = "") -> str:
    r"""The text with every character that does not just show itself written out, except those of `keep`.

    >>> printable("a\x1b[2Jb\n")
    'a\\x1b[2Jb\\n'
    """
    return _ACTING.sub(lambda found: found[0] if found[0] in keep else ascii(found[0])[1:-1], text)


def is_printable(text: str, keep: str = "") -> bool:
    """Whether every character shows itself, except those of `keep`."""
    return all(found in keep for found in _ACTING.findall(text))


def unprintable_field(value: JSON, free: Sequence[str] = (), path: str = "") -> str | None:
    """The dotted path of the first text within `value`, or of the first key, that is not printable, if any.

    Texts under the paths of `free` may have several lines.
    """
    if isinstance(value, str):
        is_free = any(path == each or path.startswith((f"{each}.", f"{each}[")) for each in free)
        return None if is_printable(value, _WHITE_SPACE if is_free else "") else path
    for at, key, item in _items(value, path):
        found = at if not is_printable(key) else unprintable_field(item, free, at)
        if found is not None:
            return found
    return None


def _items(value: JSON, path: str) -> list[tuple[str, str, JSON]]:
    """Path, key and value of what an object or a list holds."""
    if isinstance(value, Mapping):
        return [(f"{path}.{key}" if path else key, key, item) for key, item in value.items()]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [(f"{path}[{number}]", "", item) for number, item in enumerate(value)]
    return []
