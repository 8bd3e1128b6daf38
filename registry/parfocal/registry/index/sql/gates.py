"""Gates of aliases inside an open transaction. Judges nothing by them."""

from parfocal.registry.index import refusals
from parfocal.registry.index.protocol import Terms
from parfocal.registry.index.sql import lookups
from parfocal.registry.index.sql.changes import apply
from parfocal.registry.index.sql.session import Session
from parfocal.registry.values import Event


def put(session: Session, gate: Event) -> Event:
    """Gives an alias a gate unless it has that one already; raises TooManyAliases."""
    name, alias = gate.name, gate.alias
    there = lookups.gate_of(session, name, alias)
    if there is not None and there.gate == gate.gate:
        return there
    if there is None:
        refusals.check_gate_room(name, len(lookups.all_gates(session, name)))
    apply(session, gate)
    set_now = lookups.gate_of(session, name, alias)
    assert set_now is not None
    return set_now


def check(session: Session, name: str, alias: str, terms: Terms, actual: int) -> None:
    """Raises GateMoved unless the gate and what it was asked about are still what was looked at."""
    gate = lookups.gate_of(session, name, alias)
    refusals.check_gate(name, alias, terms, 0 if gate is None else gate.sequence, actual)
