"""Where a rollback leads, as a rule over histories."""

from collections.abc import Callable, Iterator

from hypothesis import given
from hypothesis import strategies as st

from parfocal.registry import MoveKind
from parfocal.registry.values import rollback_target

Moves = list[tuple[MoveKind, int]]
STEPS = st.lists(st.one_of(st.none(), st.integers(1, 5)), max_size=30)


def target(moves: Moves, is_live: Callable[[int], bool]) -> int | None:
    """Where a rollback leads after `moves`, which go oldest first."""
    return rollback_target(reversed(moves), is_live)


def everything_lives(version: int) -> bool:
    return True


def played(steps: list[int | None]) -> tuple[Moves, list[int]]:
    """Returns the history that `steps` make (None rolls back), and what an editor's undo would still hold."""
    moves: Moves = []
    undo: list[int] = []
    for step in steps:
        if step is not None and undo[-1:] != [step]:
            moves.append((MoveKind.SET, step))
            undo.append(step)
        elif step is None and len(undo) > 1:
            undo.pop()
            moves.append((MoveKind.ROLLBACK, undo[-1]))
    return moves, undo


@given(STEPS)
def test_rolling_back_is_the_undo_of_an_editor(steps: list[int | None]) -> None:
    moves, undo = played(steps)
    assert target(moves, everything_lives) == (undo[-2] if len(undo) > 1 else None)


@given(STEPS)
def test_rolling_back_again_and_again_comes_to_an_end(steps: list[int | None]) -> None:
    moves, _ = played(steps)
    for _ in range(len(steps) + 1):
        version = target(moves, everything_lives)
        if version is None:
            return
        moves.append((MoveKind.ROLLBACK, version))
    raise AssertionError("rolled back more often than it was ever set")


def test_a_new_move_after_a_rollback_begins_anew_from_there() -> None:
    moves: Moves = [(MoveKind.SET, 1), (MoveKind.SET, 2), (MoveKind.ROLLBACK, 1), (MoveKind.SET, 3)]
    assert target(moves, everything_lives) == 1


def test_deleted_versions_are_passed_over() -> None:
    moves: Moves = [(MoveKind.SET, 1), (MoveKind.SET, 2), (MoveKind.SET, 3)]
    assert target(moves, lambda version: version != 2) == 1
    assert target([*moves, (MoveKind.ROLLBACK, 1)], lambda version: version != 2) is None


def test_a_rollback_never_leads_to_where_the_alias_is() -> None:
    moves: Moves = [(MoveKind.SET, 1), (MoveKind.SET, 2), (MoveKind.SET, 1)]
    assert target(moves, lambda version: version != 2) is None


def test_an_alias_without_history_has_nothing_to_go_back_to() -> None:
    assert target([], everything_lives) is None
    assert target([(MoveKind.SET, 1)], everything_lives) is None


def test_no_more_moves_are_read_than_it_takes() -> None:
    def history() -> Iterator[tuple[MoveKind, int]]:
        yield MoveKind.ROLLBACK, 2
        yield MoveKind.SET, 3
        yield MoveKind.SET, 2
        yield MoveKind.SET, 1
        raise AssertionError("the rest was asked for")

    assert rollback_target(history(), everything_lives) == 1
