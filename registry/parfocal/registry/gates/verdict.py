"""What a gate found of a version, rule by rule, and what became of the move. Values only."""

import math
from dataclasses import dataclass
from enum import StrEnum

from parfocal.registry.errors import InvalidGate
from parfocal.registry.gates.findings import Finding, number_text, shortened
from parfocal.registry.values import (
    JSON,
    FieldError,
    InvalidJson,
    JsonObject,
    dumps,
    loads,
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One rule in words, whether it is met, what was found, and by how much it is missed if a number can say.

    `short_by` is None for a rule that is met.
    """

    rule: str
    passed: bool
    found: str
    short_by: float | None = None

    @classmethod
    def of(cls, rule: object, finding: Finding) -> "Evidence":
        """The evidence of what was found for a rule."""
        excess = finding.excess
        is_told = not finding.passed and excess is not None and math.isfinite(excess)
        short = excess if is_told else None
        return cls(shortened(str(rule)), finding.passed, shortened(finding.found), short)

    def to_json(self) -> dict[str, JSON]:
        """The evidence as a JSON object."""
        return {"rule": self.rule, "passed": self.passed, "found": self.found, "short_by": self.short_by}

    @classmethod
    def from_json(cls, fields: JsonObject) -> "Evidence":
        """The evidence that `fields` hold; raises FieldError."""
        fields.only([*cls.__dataclass_fields__])
        rule, passed, found = fields.text("rule"), fields.boolean("passed"), fields.text("found")
        return cls(rule, passed, found, fields.optional_number("short_by"))

    def __str__(self) -> str:
        by = "" if self.short_by is None else f", short by {number_text(self.short_by)}"
        return f"{self.rule}: {self.found}{by}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What each rule of a gate found; `current` is the version that the alias points at, 0 for none."""

    version: int
    current: int
    evidence: tuple[Evidence, ...]

    @property
    def passed(self) -> bool:
        """Whether every rule is met."""
        return not self.failed

    @property
    def failed(self) -> tuple[Evidence, ...]:
        """The rules that are not met."""
        return tuple(each for each in self.evidence if not each.passed)

    def to_json(self) -> dict[str, JSON]:
        """The verdict as a JSON object."""
        return {
            "version": self.version,
            "current": self.current,
            "passed": self.passed,
            "evidence": [each.to_json() for each in self.evidence],
        }


@dataclass(frozen=True, slots=True)
class Override:
    """Why an alias moves though its gate refuses, who moves it, and where it must point now (0: nowhere).

    Without a reason the gate is not overridden. `expected_canary` is the number of the canary that the alias
    must have, 0 for none.
    """

    reason: str = ""
    actor: str = ""
    expected_version: int | None = None
    expected_canary: int | None = None


AS_THE_GATE_SAYS = Override()


class Outcome(StrEnum):
    """How an alias came through its gate."""

    PASSED = "passed"
    OVERRIDDEN = "overridden"
    ROLLED_BACK = "rolled_back"


@dataclass(frozen=True, slots=True)
class Passage:
    """What the history keeps of a move through a gate: its outcome, the evidence, and why it was overridden.

    A rollback leads to what held the alias before: it is recorded, and not evaluated again.
    """

    outcome: Outcome
    evidence: tuple[Evidence, ...] = ()
    reason: str = ""

    def to_json(self) -> dict[str, JSON]:
        """The passage as a JSON object."""
        return {
            "outcome": self.outcome.value,
            "evidence": [each.to_json() for each in self.evidence],
            "reason": self.reason,
        }

    def to_text(self) -> str:
        """The canonical JSON, as an event keeps it."""
        return dumps(self.to_json()).decode()

    @classmethod
    def parse(cls, text: str) -> "Passage":
        """The passage in an event; raises InvalidGate."""
        try:
            fields = JsonObject(loads(text.encode(errors="surrogatepass"))).only([*cls.__dataclass_fields__])
            outcome = Outcome(fields.text("outcome"))
            evidence = tuple(map(Evidence.from_json, fields.objects("evidence")))
            return cls(outcome, evidence, fields.text("reason"))
        except (InvalidJson, FieldError, ValueError) as error:
            raise InvalidGate(f"not what a gate found of a move: {error}") from error

    def __str__(self) -> str:
        match self.outcome:
            case Outcome.PASSED:
                return "gate passed"
            case Outcome.OVERRIDDEN:
                failed = [each for each in self.evidence if not each.passed]
                return f"gate overridden ({self.reason}): {'; '.join(map(str, failed))}"
            case Outcome.ROLLED_BACK:
                return "gate not asked"
