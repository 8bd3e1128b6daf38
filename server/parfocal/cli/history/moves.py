"""Moves of aliases as a table. Knows no registry."""

from collections.abc import Sequence

from parfocal.cli.display import show_table, time_text
from parfocal.registry import AliasMove, InvalidGate
from parfocal.registry.gates import Passage


def show_moves(moves: Sequence[AliasMove]) -> None:
    """Prints moves, one a line, in the order given."""
    rows = [
        (
            time_text(move.moved_at),
            move.alias,
            f"{move.previous_version or 'none'} → {move.version or 'none'}",
            _how(move),
            move.actor,
        )
        for move in moves
    ]
    show_table(("WHEN", "ALIAS", "FROM → TO", "HOW", "WHO"), rows)


def _how(move: AliasMove) -> str:
    """How an alias was moved, and what its gate found."""
    if not move.gate:
        return str(move.kind)
    try:
        return f"{move.kind}, {Passage.parse(move.gate)}"
    except InvalidGate as error:
        return f"{move.kind}, {error}"
