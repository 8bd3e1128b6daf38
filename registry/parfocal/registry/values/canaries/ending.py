"""How a canary ended, as the history keeps it."""

from dataclasses import dataclass
from enum import StrEnum

from parfocal.registry.errors import InvalidCanary
from parfocal.registry.values.canaries.canary import Canary
from parfocal.registry.values.canaries.guard import CanaryComparison
from parfocal.registry.values.canonical_json import JSON, InvalidJson, dumps, loads
from parfocal.registry.values.json_fields import FieldError, JsonObject

_MOST_COMPARISONS = 10


class CanaryOutcome(StrEnum):
    """What became of a canary: the alias moved to its version or elsewhere, or it was aborted."""

    PROMOTED = "promoted"
    ABORTED = "aborted"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class CanaryEnd:
    """The canary's version, weight and number, its outcome, and what was measured where that ended it."""

    version: int
    weight: int
    number: int
    outcome: CanaryOutcome
    comparisons: tuple[CanaryComparison, ...] = ()

    def __post_init__(self) -> None:
        if len(self.comparisons) > _MOST_COMPARISONS:
            raise InvalidCanary(
                f"{len(self.comparisons)} comparisons came with an abort; {_MOST_COMPARISONS} are kept",
                field="comparisons",
            )

    @classmethod
    def of(
        cls, canary: Canary, outcome: CanaryOutcome, comparisons: tuple[CanaryComparison, ...] = ()
    ) -> "CanaryEnd":
        """The end of a canary."""
        return cls(canary.version, canary.weight, canary.number, outcome, comparisons)

    def to_text(self) -> str:
        """The canonical JSON, as an event keeps it."""
        fields: dict[str, JSON] = {
            "version": self.version,
            "weight": self.weight,
            "number": self.number,
            "outcome": self.outcome.value,
            "comparisons": [each.to_json() for each in self.comparisons],
        }
        return dumps(fields).decode()

    @classmethod
    def parse(cls, text: str) -> "CanaryEnd":
        """The end in an event; raises InvalidCanary."""
        try:
            fields = JsonObject(loads(text.encode(errors="surrogatepass")))
            outcome = CanaryOutcome(fields.text("outcome"))
            found = tuple(map(CanaryComparison.from_json, fields.objects("comparisons")))
            place = fields.count("version"), fields.count("weight"), fields.count("number")
            return cls(*place, outcome, found)
        except (InvalidJson, FieldError, ValueError) as error:
            raise InvalidCanary(f"not how a canary ended: {error}") from error

    def __str__(self) -> str:
        why = f": {'; '.join(map(str, self.comparisons))}" if self.comparisons else ""
        return f"canary {self.version} {self.outcome}{why}"
