"""Moves of aliases as a table. Knows no registry."""

from collections.abc import Sequence

from parfocal.cli.display import show_table, time_text
from parfocal.registry import AliasMove


def show_moves(moves: Sequence[AliasMove]) -> None:
    """Prints moves, one a line, in the order given."""
    rows = [
        (
            time_text(move.moved_at),
            move.alias,
            f"{move.previous_version or 'none'} → {move.version or 'none'}",
            str(move.kind),
            move.actor,
        )
        for move in moves
    ]
    show_table(("WHEN", "ALIAS", "FROM → TO", "HOW", "WHO"), rows)
