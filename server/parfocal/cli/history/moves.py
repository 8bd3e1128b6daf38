"""Moves of aliases as a table. Knows no registry."""

from collections.abc import Sequence

from parfocal.cli.display import show_table, time_text
from parfocal.registry import AliasMove, CanaryEnd, CanaryPlan, InvalidCanary, InvalidGate, MoveKind
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
    """How an alias was moved, what its gate found, and what that was to its canary."""
    told = [str(move.kind)]
    if move.kind is MoveKind.CANARY:
        told = [f"canary {canary_text(move.canary)}"]
    elif move.canary:
        told.append(end_text(move.canary))
    if move.gate:
        told.append(_passage(move.gate))
    return ", ".join(told)


def _passage(text: str) -> str:
    try:
        return str(Passage.parse(text))
    except InvalidGate as error:
        return str(error)


def canary_text(text: str) -> str:
    """The canary that an event began, for people."""
    try:
        plan, _ = CanaryPlan.parse(text)
    except InvalidCanary as error:
        return str(error)
    guards = f", aborted if {' or '.join(map(str, plan.guards))}" if plan.guards else ""
    return f"{plan}{guards}"


def end_text(text: str) -> str:
    """How a canary ended, for people."""
    try:
        return str(CanaryEnd.parse(text))
    except InvalidCanary as error:
        return str(error)
