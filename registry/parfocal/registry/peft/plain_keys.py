"""Keys without repeats or choices, of which an adapter may have one for each module, found by look-up.

Two forms: names, which match the end of a path and whose dots stand for any character, as in every regular
expression; and whole paths as publishing spells them out, `^model\\.layers\\.0\\.q_proj$`.
"""

import re

from parfocal.registry.peft.pattern_graph import ModulePath
from parfocal.registry.peft.tensor_names import MAX_PATH_LENGTH

_NAME = re.compile(rf"[A-Za-z0-9_.]{{1,{MAX_PATH_LENGTH}}}")
_WHOLE = re.compile(rf"\^((?:[A-Za-z0-9_]|\\[.-]){{1,{MAX_PATH_LENGTH}}})\$")

# Where the dots of a key are.
_Dots = tuple[int, ...]


class PlainKeys:
    """Places of keys in their order, by what they match."""

    def __init__(self) -> None:
        self._whole: dict[str, int] = {}
        self._names: dict[int, dict[_Dots, dict[str, int]]] = {}

    def add(self, key: str, place: int) -> bool:
        """Takes a key that comes after all before it; False for one of another form."""
        whole = _WHOLE.fullmatch(key)
        if whole is not None:
            self._whole.setdefault(whole[1].replace("\\", ""), place)
            return True
        if _NAME.fullmatch(key) is None:
            return False
        dots = tuple(match.start() for match in re.finditer(r"\.", key))
        self._names.setdefault(len(key), {}).setdefault(dots, {}).setdefault(key, place)
        return True

    def first(self, module: ModulePath) -> int | None:
        """The place of the first key that matches; raises PatternError when finding it takes too long."""
        if not self._whole and not self._names:
            return None
        module.work.spend(1)
        found = self._whole.get(module.text)
        for end in _ends(module.text) if self._names else ():
            for dots, keys in self._names.get(len(end), {}).items():
                module.work.spend(1 + len(dots) // 8)
                place = keys.get(_dotted(end, dots))
                if place is not None and (found is None or place < found):
                    found = place
        return found


def _ends(path: str) -> list[str]:
    """The path, and what follows each of its dots."""
    return [path, *(path[match.end() :] for match in re.finditer(r"\.", path))]


def _dotted(text: str, dots: _Dots) -> str:
    """The only key with dots at these places that can match the text."""
    characters = list(text)
    for place in dots:
        characters[place] = "."
    return "".join(characters)
