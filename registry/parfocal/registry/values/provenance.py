"""Where an adapter came from and how well it scored. Checks form, not truth."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from parfocal.registry.errors import InvalidPublication
from parfocal.registry.values.canonical_json import JSON, InvalidJson, normalised
from parfocal.registry.values.json_fields import JsonObject

# Also of integers, which Python makes as large as they are written.
_MAX_METRIC = sys.float_info.max


@dataclass(frozen=True, slots=True)
class Provenance:
    """How an adapter was made; `parent` is the version it continued from, as `name@3` or a digest.

    `source` is where it was taken from if it was made elsewhere, such as `hf://org/name@<commit>`; the JSON
    form omits it where there is none, as manifests did before it was recorded. Values are copied when it is
    made; raises InvalidPublication when one of them has no JSON form.
    """

    data_digest: str
    hyper_parameters: Mapping[str, JSON] = field(default_factory=dict)
    seed: int | None = None
    tools: Mapping[str, str] = field(default_factory=dict)
    parent: str | None = None
    source: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "hyper_parameters", _copied(self.hyper_parameters, "provenance.hyper_parameters")
        )
        object.__setattr__(self, "tools", _copied(self.tools, "provenance.tools"))
        for tool, version in self.tools.items():
            if not isinstance(version, str):
                raise InvalidPublication(
                    f"the version of tool {tool!r} is not text", field="provenance.tools"
                )

    def to_json(self) -> dict[str, JSON]:
        """The provenance as a JSON object."""
        return {
            "data_digest": self.data_digest,
            "hyper_parameters": self.hyper_parameters,
            "seed": self.seed,
            "tools": self.tools,
            "parent": self.parent,
            **({} if self.source is None else {"source": self.source}),
        }

    @classmethod
    def from_json(cls, fields: JsonObject) -> "Provenance":
        """The provenance that `fields` hold; raises FieldError."""
        fields.only([*cls.__dataclass_fields__])
        tools = fields.object("tools")
        return cls(
            data_digest=fields.text("data_digest"),
            hyper_parameters=fields.mapping("hyper_parameters"),
            seed=fields.optional_integer("seed"),
            tools={name: tools.text(name) for name in fields.mapping("tools")},
            parent=fields.optional_text("parent"),
            source=fields.text("source") if fields.given("source") else None,
        )


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured on held-out rows; every metric is a finite number.

    Raises InvalidPublication when one is not: a NaN would pass or fail any gate by accident.
    """

    data_digest: str
    examples: int
    metrics: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in self.metrics.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _MAX_METRIC:
                raise InvalidPublication(
                    f"evaluation metric {name[:80]!r} is {str(value)[:80]}; only finite numbers can be "
                    "recorded",
                    field=f"evaluation.metrics.{name[:80]}",
                )
        object.__setattr__(self, "metrics", {name: float(value) for name, value in self.metrics.items()})

    def to_json(self) -> dict[str, JSON]:
        """The evaluation as a JSON object."""
        return {"data_digest": self.data_digest, "examples": self.examples, "metrics": self.metrics}

    @classmethod
    def from_json(cls, fields: JsonObject) -> "Evaluation":
        """The evaluation that `fields` hold; raises FieldError."""
        fields.only([*cls.__dataclass_fields__])
        metrics = fields.object("metrics")
        return cls(
            fields.text("data_digest"),
            fields.count("examples"),
            {name: metrics.number(name) for name in fields.mapping("metrics")},
        )


def _copied(value: Mapping[str, JSON], where: str) -> JSON:
    try:
        copied = normalised(value)
    except InvalidJson as error:
        raise InvalidPublication(f"{where} cannot be recorded: {error}", field=where) from error
    if not isinstance(copied, Mapping):
        raise InvalidPublication(f"{where} is not a mapping", field=where)
    return copied
