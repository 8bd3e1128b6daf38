"""Gates of aliases inside an open transaction. Judges nothing by them."""

from parfocal.registry.index import refusals
from parfocal.registry.index.protocol import Terms
from parfocal.registry.index.sql import lookups
from parfocal.registry.index.sql.changes import apply
from parfocal.registry.index.sql.rows import now
from parfocal.registry.index.sql.session import Session
from parfocal.registry.values import Event, EventKind


def put(session: Session, name: str, alias: str, rules: str, actor: str) -> Event:
    """Gives an alias a gate unless it has that one already; raises TooManyAliases."""
    there = lookups.gate_of(session, name, alias)
    if there is not None and there.gate == rules:
        return there
    if there is None:
        refusals.check_gate_room(name, len(lookups.all_gates(session, name)))
    apply(session, Event(0, EventKind.GATE_SET, name, now(), alias=alias, actor=actor, gate=rules))
    set_now = lookups.gate_of(session, name, alias)
    assert set_now is not None
    return set_now


def clear(session: Session, name: str, alias: str, actor: str) -> None:
    """Takes the gate of an alias away."""
    apply(session, Event(0, EventKind.GATE_CLEARED, name, now(), alias=alias, actor=actor))


def check(session: Session, name: str, alias: str, terms: Terms, actual: int) -> None:
    """Raises GateMoved unless the gate and what it was asked about are still what was looked at."""
    gate = lookups.gate_of(session, name, alias)
    refusals.check_gate(name, alias, terms, 0 if gate is None else gate.sequence, actual)
