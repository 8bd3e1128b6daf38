"""Where a rollback leads: the rule alone, over a history that is given. Knows no index."""

from collections.abc import Callable, Iterable, Iterator

from parfocal.registry.values.records import MoveKind

_NOWHERE = 0


def rollback_target(moves: Iterable[tuple[MoveKind, int]], is_live: Callable[[int], bool]) -> int | None:
    """The version that a rollback points at, or None when there is none; `moves` go newest first.

    A rollback undoes the last move that was not undone yet, be it to a version or the alias's deletion, so a
    second one goes further back and never to and fro. Skips versions deleted since. What an alias pointed at
    before it was deleted and recreated belongs to an earlier alias, and is out of reach. No more moves are
    asked for than it takes.

    >>> history = [(MoveKind.ROLLBACK, 2), (MoveKind.SET, 3), (MoveKind.SET, 2), (MoveKind.SET, 1)]
    >>> rollback_target(history, lambda version: True)
    1
    """
    standing = _standing(moves)
    current = next(standing, _NOWHERE)
    for version in standing:
        if version == _NOWHERE:
            return None
        if version != current and is_live(version):
            return version
    return None


def _standing(moves: Iterable[tuple[MoveKind, int]]) -> Iterator[int]:
    """Where the alias was pointed by moves that were not undone, newest first; 0 where it was deleted."""
    # Rollbacks that look for the move that they led back to: its version, and whether one was undone before.
    open_ends: list[tuple[int, bool]] = []
    for kind, version in moves:
        if kind is MoveKind.ROLLBACK:
            open_ends.append((version, False))
            continue
        while open_ends:
            target, has_undone = open_ends.pop()
            if not has_undone or target != version:
                open_ends.append((target, True))
                break
        else:
            yield version
