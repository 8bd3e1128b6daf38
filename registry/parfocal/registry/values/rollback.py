"""Where a rollback leads: the rule alone, over a history that is given. Knows no index."""

from collections.abc import Callable, Sequence

from parfocal.registry.values.records import MoveKind


def rollback_target(moves: Sequence[tuple[MoveKind, int]], is_live: Callable[[int], bool]) -> int | None:
    """Returns the version that a rollback points at, or None when there is none; `moves` go oldest first.

    A rollback undoes the last `set` that was not undone yet, so a second one goes further back and never to
    and fro. Versions deleted since are passed over.

    >>> history = [(MoveKind.SET, 1), (MoveKind.SET, 2), (MoveKind.SET, 3), (MoveKind.ROLLBACK, 2)]
    >>> rollback_target(history, lambda version: True)
    1
    """
    standing = _standing(moves)
    if not standing:
        return None
    current = standing.pop()
    return next((version for version in reversed(standing) if version != current and is_live(version)), None)


def _standing(moves: Sequence[tuple[MoveKind, int]]) -> list[int]:
    """Returns the versions that were set and not undone, oldest first."""
    standing: list[int] = []
    for kind, version in moves:
        if kind is MoveKind.SET:
            standing.append(version)
            continue
        standing.pop()
        while standing[-1] != version:
            standing.pop()
    return standing
