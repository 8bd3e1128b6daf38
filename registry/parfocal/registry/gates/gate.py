"""A gate: the rules that a version must meet before an alias moves to it. Pure: reads values, no storage."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from parfocal.registry.errors import InvalidGate
from parfocal.registry.gates.bounds import Bound
from parfocal.registry.gates.findings import Finding
from parfocal.registry.gates.losses import BelowBase, NotAboveCurrent
from parfocal.registry.gates.origins import SameBase, SignedBy
from parfocal.registry.gates.subject import Subject
from parfocal.registry.gates.verdict import Evidence, Verdict
from parfocal.registry.values import (
    JSON,
    FieldError,
    InvalidJson,
    JsonObject,
    dumps,
    loads,
)

Rule: TypeAlias = BelowBase | NotAboveCurrent | Bound | SameBase | SignedBy

MAX_RULES = 32
MAX_GATE_BYTES = 16 << 10

_READERS: Mapping[str, Callable[[JsonObject], Rule]] = {
    "below_base": BelowBase.from_json,
    "not_above_current": NotAboveCurrent.from_json,
    "bound": Bound.from_json,
    "same_base": SameBase.from_json,
    "signed_by": SignedBy.from_json,
}


@dataclass(frozen=True, slots=True)
class Gate:
    """The rules, all of which must be met; raises InvalidGate where there is none, or too much of them."""

    rules: tuple[Rule, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.rules) <= MAX_RULES:
            raise InvalidGate(
                f"a gate has {len(self.rules)} rules; give 1 to {MAX_RULES}, or clear it", field="rules"
            )
        if any(rule in self.rules[:place] for place, rule in enumerate(self.rules)):
            raise InvalidGate("a gate has one rule twice; give it once", field="rules")
        size = len(self.to_text().encode())
        if size > MAX_GATE_BYTES:
            raise InvalidGate(
                f"the rules of a gate take {size} bytes; at most {MAX_GATE_BYTES} are kept", field="rules"
            )

    @property
    def needs_current(self) -> bool:
        """Whether a rule looks at the version that the alias points at now."""
        return any(isinstance(rule, NotAboveCurrent) for rule in self.rules)

    @property
    def needs_signers(self) -> bool:
        """Whether a rule looks at signatures."""
        return any(isinstance(rule, SignedBy) for rule in self.rules)

    def judge(self, candidate: Subject, current: Subject | None) -> Verdict:
        """What each rule finds; `current` is the version that the alias points at now, if any."""
        evidence = tuple(Evidence.of(rule, _finding(rule, candidate, current)) for rule in self.rules)
        return Verdict(candidate.version, 0 if current is None else current.version, evidence)

    def to_json(self) -> dict[str, JSON]:
        """The gate as a JSON object."""
        return {"rules": [rule.to_json() for rule in self.rules]}

    def to_text(self) -> str:
        """The canonical JSON, as an event keeps it; raises InvalidGate."""
        try:
            return dumps(self.to_json()).decode()
        except InvalidJson as error:
            raise InvalidGate(f"the rules cannot be recorded: {error}", field="rules") from error

    @classmethod
    def parse(cls, text: str) -> "Gate":
        """The gate in an event; raises InvalidGate."""
        try:
            fields = JsonObject(loads(text.encode(errors="surrogatepass"))).only(["rules"])
            return cls(tuple(map(_rule, fields.objects("rules"))))
        except (InvalidJson, FieldError) as error:
            raise InvalidGate(f"not the rules of a gate: {error}", field="rules") from error


@dataclass(frozen=True, slots=True)
class StandingGate:
    """The gate that an alias carries now, who set it and when."""

    name: str
    alias: str
    gate: Gate
    actor: str
    set_at: datetime


def _finding(rule: Rule, candidate: Subject, current: Subject | None) -> Finding:
    if candidate.fault:
        return Finding.absent(f"{candidate} cannot be read: {candidate.fault}")
    return rule.find(candidate, current)


def _rule(fields: JsonObject) -> Rule:
    kind = fields.text("rule")
    if kind not in _READERS:
        raise InvalidGate(f"no rule is called {kind[:80]!a} here; upgrade this Parfocal", field="rules")
    return _READERS[kind](fields)
