"""Where a rollback leads: the rule alone, over a history that is given. Knows no index."""

from collections.abc import Callable, Sequence

from parfocal.registry.values.records import MoveKind

_NOWHERE = 0


def rollback_target(moves: Sequence[tuple[MoveKind, int]], is_live: Callable[[int], bool]) -> int | None:
    """The version that a rollback points at, or None when there is none; `moves` go oldest first.

    A rollback undoes the last move that was not undone yet, be it to a version or the alias's deletion, so a
    second one goes further back and never to and fro. Skips versions deleted since. What an alias pointed at
    before it was deleted and recreated belongs to an earlier alias, and is out of reach.

    >>> history = [(MoveKind.SET, 1), (MoveKind.SET, 2), (MoveKind.SET, 3), (MoveKind.ROLLBACK, 2)]
    >>> rollback_target(history, lambda version: True)
    1
    """
    standing = _standing(moves)
    if not standing:
        return None
    current = standing.pop()
    for version in reversed(standing):
        if version == _NOWHERE:
            return None
        if version != current and is_live(version):
            return version
    return None


def _standing(moves: Sequence[tuple[MoveKind, int]]) -> list[int]:
    """Where the alias was pointed by moves that were not undone, oldest first; 0 where it was deleted."""
    standing: list[int] = []
    for kind, version in moves:
        if kind is not MoveKind.ROLLBACK:
            standing.append(version)
            continue
        standing.pop()
        while standing[-1] != version:
            standing.pop()
    return standing
