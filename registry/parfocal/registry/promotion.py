"""What stands between an alias and a version: the gate is asked here, and the answer holds when it moves."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from parfocal.registry.errors import GateMoved, GateRefused, InvalidGate, RegistryTooNew
from parfocal.registry.gates import (
    Gate,
    Outcome,
    Override,
    Passage,
    Signatures,
    StandingGate,
    Subject,
    Verdict,
    shortened,
)
from parfocal.registry.index import Index, Terms, refusals
from parfocal.registry.values import Event, Version

Moved = TypeVar("Moved")

# Others move the alias, or its gate, between question and move: then it is asked anew.
_ATTEMPTS = 10
_TOLD = 3


class Promotion:
    """Asks the gates of `index`; a rule about signatures is met by what `signatures` verifies.

    A gate is asked before the transaction that moves the alias, since manifests take long to read. That
    transaction then proves that the alias and its gate are still those that were looked at.
    """

    def __init__(self, index: Index, signatures: Signatures) -> None:
        self._index = index
        self._signatures = signatures

    def standing(self, name: str, alias: str) -> StandingGate:
        """The gate that an alias carries; raises AdapterNotFound or GateNotFound."""
        event = self._index.gate(name, alias)
        if event is None:
            raise refusals.no_gate(name, alias)
        return standing_gate(event)

    def check(self, name: str, alias: str, version: int) -> Verdict:
        """What an alias's gate finds of a version; raises NotFound or IndexCorrupt."""
        gate = self.standing(name, alias).gate
        return self._verdict(gate, self._index.version(name, version), self._pointed_at(name, alias))

    def through(self, judge: Callable[[], Terms], move: Callable[[Terms], Moved]) -> Moved:
        """Moves an alias as it was judged, and judges anew where that was overtaken; raises GateMoved."""
        for _ in range(_ATTEMPTS - 1):
            try:
                return move(judge())
            except GateMoved:
                continue
        return move(judge())

    def judged(self, name: str, alias: str, version: int, override: Override) -> Terms:
        """What the gate of an alias says of its move to a version, or of that as its canary.

        As the history will have it. With a reason to `override`, it may be. Raises GateRefused or NotFound.
        """
        expected, reason = override.expected_version, override.reason
        event = self._index.gate(name, alias)
        if event is None:
            return Terms(expected, canary=override.expected_canary)
        current = self._pointed_at(name, alias)
        asked = Terms(expected, event.sequence, current, canary=override.expected_canary)
        if version == current or expected not in (None, current):
            return asked  # nothing moves, or the index refuses it
        gate = standing_gate(event).gate
        verdict = self._verdict(gate, self._index.version(name, version), current)
        if not verdict.passed and not reason:
            raise refused(name, alias, verdict)
        outcome = Passage(Outcome.PASSED, verdict.evidence)
        if not verdict.passed:
            outcome = Passage(Outcome.OVERRIDDEN, verdict.evidence, reason)
        return replace(asked, found=outcome.to_text())

    def rolled_back(self, name: str, alias: str, expected: int) -> Terms:
        """What the history will have of a rollback, of which no gate is asked: it was there before."""
        event = self._index.gate(name, alias)
        if event is None:
            return Terms(expected)
        return Terms(expected, event.sequence, found=Passage(Outcome.ROLLED_BACK).to_text())

    def _pointed_at(self, name: str, alias: str) -> int:
        pointing = {each.alias: each.version for each in self._index.aliases(name)}
        return pointing.get(alias, 0)

    def _verdict(self, gate: Gate, candidate: Version, current: int) -> Verdict:
        signers = self._signatures.signers(candidate) if gate.needs_signers else None
        before = self._current(candidate.name, current) if current and gate.needs_current else None
        verdict = gate.judge(Subject.of(candidate, signers), before)
        return Verdict(verdict.version, current, verdict.evidence)

    def _current(self, name: str, version: int) -> Subject:
        """Where the alias points, which may be what nobody can read."""
        below = str(version + 1)
        found = self._index.versions(name, 1, below).items
        if not found or found[0].version != version:
            return Subject(version, fault="it was deleted")
        return Subject.of(found[0])


def standing_gate(event: Event) -> StandingGate:
    """The gate that an event has set; raises RegistryTooNew."""
    try:
        gate = Gate.parse(event.gate)
    except InvalidGate as error:
        raise RegistryTooNew(
            f"the gate of {event.name}@{event.alias} cannot be read: {error}; upgrade this Parfocal, or set "
            "the gate anew"
        ) from error
    return StandingGate(event.name, event.alias, gate, event.actor, event.happened_at)


def refused(name: str, alias: str, verdict: Verdict) -> GateRefused:
    """The error for a version that does not meet every rule: which, and by how much."""
    failed = verdict.failed
    told = "; ".join(shortened(str(each)) for each in failed[:_TOLD])
    more = f"; and {len(failed) - _TOLD} rules more" if len(failed) > _TOLD else ""
    first = failed[0]
    return GateRefused(
        f"the gate of {name}@{alias} refuses version {verdict.version}: {told}{more}. Nothing was moved: "
        f"parfocal gate {name}@{alias} check {verdict.version} shows every rule, and whoever may move it all "
        "the same says --override --reason WHY",
        adapter=name,
        alias=alias,
        version=str(verdict.version),
        failed=str(len(failed)),
        rule=first.rule,
        found=first.found,
        short_by="" if first.short_by is None else str(first.short_by),
    )
