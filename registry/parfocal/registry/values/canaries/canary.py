"""A second version that an alias gives to some of its requests."""

from dataclasses import dataclass
from datetime import datetime

from parfocal.registry.errors import InvalidCanary
from parfocal.registry.values.canaries.guard import Guard, check_guards
from parfocal.registry.values.canaries.weight import bucket_of, check_weight, weight_text
from parfocal.registry.values.canonical_json import JSON, InvalidJson, dumps, loads
from parfocal.registry.values.json_fields import FieldError, JsonObject


@dataclass(frozen=True, slots=True)
class CanaryPlan:
    """What somebody wants of a canary: the version, its weight in hundredths of a percent, what aborts it.

    Raises InvalidCanary.
    """

    version: int
    weight: int
    guards: tuple[Guard, ...] = ()

    def __post_init__(self) -> None:
        check_weight(self.weight)
        check_guards(self.guards)

    def text_of(self, digest: str) -> str:
        """The canonical JSON of the canary whose version has this digest, as an event keeps it."""
        return dumps({**self.to_json(), "digest": digest}).decode()

    @classmethod
    def parse(cls, text: str) -> "tuple[CanaryPlan, str]":
        """The plan and the digest in an event; raises InvalidCanary."""
        try:
            fields = JsonObject(loads(text.encode(errors="surrogatepass")))
            guards = tuple(map(Guard.from_json, fields.objects("guards")))
            return cls(fields.count("version"), fields.count("weight"), guards), fields.text("digest")
        except (InvalidJson, FieldError) as error:
            raise InvalidCanary(f"not a canary: {error}") from error

    def to_json(self) -> dict[str, JSON]:
        """The plan as a JSON object."""
        guards = [guard.to_json() for guard in self.guards]
        return {"version": self.version, "weight": self.weight, "guards": guards}

    def __str__(self) -> str:
        return f"version {self.version} for {weight_text(self.weight)}"


@dataclass(frozen=True, slots=True)
class Canary:
    """A canary that runs: `plan`, and the digest of its version, since when, by whom.

    `number`, that of the event that began it, is its identity: the same version set anew is another canary.
    """

    name: str
    alias: str
    plan: CanaryPlan
    digest: str
    number: int
    actor: str
    begun_at: datetime

    @property
    def version(self) -> int:
        """The second version."""
        return self.plan.version

    @property
    def weight(self) -> int:
        """Its share of the requests, in hundredths of a percent."""
        return self.plan.weight

    def takes(self, key: str) -> bool:
        """Whether the request with this key gets the second version; the same on every machine, for ever."""
        return bucket_of(self.name, self.alias, self.plan.version, key) < self.plan.weight

    def __str__(self) -> str:
        return str(self.plan)
