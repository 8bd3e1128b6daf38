"""Which linears share an input, so that one launch serves them all. Names only; no torch."""

from collections.abc import Iterable, Mapping

# The linears of a decoder layer that transformers calls on the same input, in the order of its calls.
_SIBLINGS = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))

Group = tuple[str, ...]


def groups_of(shapes: Mapping[str, tuple[int, int]]) -> list[Group]:
    """The paths of `shapes` in groups of one to three that have one parent and one input.

    >>> groups_of({"a.q_proj": (8, 8), "a.k_proj": (8, 4), "a.o_proj": (8, 8), "b.up_proj": (8, 9)})
    [('a.q_proj', 'a.k_proj'), ('a.o_proj',), ('b.up_proj',)]
    """
    groups: list[Group] = []
    grouped: set[str] = set()
    for path in shapes:
        if path not in grouped:
            groups.append(_group(path, shapes))
            grouped |= set(groups[-1])
    return groups


def columns_of(groups: Iterable[Group]) -> list[str]:
    """All paths, those of a group side by side."""
    return [path for group in groups for path in group]


def _group(path: str, shapes: Mapping[str, tuple[int, int]]) -> Group:
    parent, dot, name = path.rpartition(".")
    siblings = next((names for names in _SIBLINGS if name in names), (name,))
    found = tuple(parent + dot + one for one in siblings if parent + dot + one in shapes)
    inputs = shapes[path][0]
    return found if all(shapes[one][0] == inputs for one in found) else (path,)
