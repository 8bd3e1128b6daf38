"""What an adapter needs in order to be right: its base, tokenizer, chat template, 4-bit recipe and modules.

Compares two contracts; does not read any file and does not decide what a difference means.
"""

import math
from dataclasses import dataclass
from pathlib import PurePosixPath

from parfocal.registry.values.canonical_json import JSON
from parfocal.registry.values.json_fields import JsonObject
from parfocal.registry.values.rendering import Rendering

_SHAPE_FIELDS = ("layers", "hidden", "intermediate", "heads", "kv_heads", "head_dim")


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of a contract that is not what it should be."""

    field: str
    expected: str
    actual: str

    def __str__(self) -> str:
        return f"{self.field}: expected {self.expected}, found {self.actual}"


@dataclass(frozen=True, slots=True)
class Quantisation:
    """The 4-bit recipe that the base is served and evaluated with (QLoRA, arXiv:2305.14314)."""

    method: str = "bitsandbytes-nf4"
    double_quant: bool = True
    block_size: int = 64

    def to_json(self) -> dict[str, JSON]:
        """Returns the recipe as a JSON object."""
        return {"method": self.method, "double_quant": self.double_quant, "block_size": self.block_size}

    @classmethod
    def from_json(cls, fields: JsonObject) -> "Quantisation":
        """Returns the recipe that `fields` hold; raises FieldError."""
        fields.only(("method", "double_quant", "block_size"))
        return cls(fields.text("method"), fields.boolean("double_quant"), fields.count("block_size"))


@dataclass(frozen=True, slots=True)
class BaseShape:
    """The sizes of a plain decoder, from its configuration: enough to know every projection's shape."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int

    def to_json(self) -> dict[str, JSON]:
        """Returns the sizes as a JSON object."""
        return {name: getattr(self, name) for name in _SHAPE_FIELDS}

    @classmethod
    def from_json(cls, fields: JsonObject) -> "BaseShape":
        """Returns the sizes that `fields` hold; raises FieldError."""
        fields.only(_SHAPE_FIELDS)
        return cls(*(fields.count(name) for name in _SHAPE_FIELDS))


@dataclass(frozen=True, slots=True)
class BaseContract:
    """The base that an adapter was made for. Empty digests and None mean "not known" (an unverified base).

    `shape` is None where the configuration does not decide every projection's shape.
    """

    id: str
    revision: str | None
    config_digest: str
    quantisation: Quantisation
    tokenizer_digest: str
    chat_template_digest: str | None
    verified: bool
    shape: BaseShape | None = None

    @classmethod
    def unverified(cls, base_id: str, revision: str | None = None) -> "BaseContract":
        """Returns the contract of a base of which only the name is known."""
        return cls(base_id, revision, "", Quantisation(), "", None, verified=False)

    def differences(self, other: "BaseContract") -> "list[Difference]":
        """Returns where the base `other` is not the one that this contract expects.

        Ids are compared by their last part, as a mirror or a local folder drops the organisation. What is not
        known on either side is not compared: revisions that are None, and digests of an unverified base.
        """
        found = []
        if _last_part(self.id) != _last_part(other.id):
            found.append(Difference("base.id", self.id, other.id))
        if self.revision is not None and other.revision is not None and self.revision != other.revision:
            found.append(Difference("base.revision", self.revision, other.revision))
        if self.quantisation != other.quantisation:
            found.append(Difference("base.quantisation", str(self.quantisation), str(other.quantisation)))
        if self.verified and other.verified:
            found.extend(self._digest_differences(other))
        return found

    def _digest_differences(self, other: "BaseContract") -> "list[Difference]":
        pairs = (
            ("base.config_digest", self.config_digest, other.config_digest),
            ("base.tokenizer_digest", self.tokenizer_digest, other.tokenizer_digest),
            ("base.chat_template_digest", self.chat_template_digest, other.chat_template_digest),
        )
        return [
            Difference(field, a or "none", b or "none") for field, a, b in pairs if (a or "") != (b or "")
        ]

    def to_json(self) -> dict[str, JSON]:
        """Returns the contract as a JSON object."""
        return {
            "id": self.id,
            "revision": self.revision,
            "config_digest": self.config_digest,
            "quantisation": self.quantisation.to_json(),
            "tokenizer_digest": self.tokenizer_digest,
            "chat_template_digest": self.chat_template_digest,
            "verified": self.verified,
            "shape": None if self.shape is None else self.shape.to_json(),
        }

    @classmethod
    def from_json(cls, fields: JsonObject) -> "BaseContract":
        """Returns the contract that `fields` hold; raises FieldError."""
        fields.only([*cls.__dataclass_fields__])
        shape = fields.optional_object("shape")
        return cls(
            id=fields.text("id"),
            revision=fields.optional_text("revision"),
            config_digest=fields.text("config_digest"),
            quantisation=Quantisation.from_json(fields.object("quantisation")),
            tokenizer_digest=fields.text("tokenizer_digest"),
            chat_template_digest=fields.optional_text("chat_template_digest"),
            verified=fields.boolean("verified"),
            shape=None if shape is None else BaseShape.from_json(shape),
        )


@dataclass(frozen=True, slots=True)
class TargetModule:
    """One linear module that the adapter changes: A is `[rank, in_features]`, B is `[out_features, rank]`."""

    path: str
    in_features: int
    out_features: int
    rank: int
    alpha: float

    def scale(self, use_rslora: bool) -> float:
        """Returns alpha / rank, or alpha / sqrt(rank) for rsLoRA (arXiv 2312.03732)."""
        return self.alpha / (math.sqrt(self.rank) if use_rslora else self.rank)

    def to_json(self) -> dict[str, JSON]:
        """Returns the module as a JSON object."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_json(cls, fields: JsonObject) -> "TargetModule":
        """Returns the module that `fields` hold; raises FieldError."""
        fields.only([*cls.__dataclass_fields__])
        return cls(
            fields.text("path"),
            fields.count("in_features"),
            fields.count("out_features"),
            fields.count("rank"),
            fields.number("alpha"),
        )


@dataclass(frozen=True, slots=True)
class Contract:
    """Base, modules and scaling rule; `targets` are sorted by path.

    `rendering` is None where nobody said how the training rows became text; then the JSON form has no such
    field, as manifests had none before it was recorded.
    """

    base: BaseContract
    targets: tuple[TargetModule, ...]
    use_rslora: bool
    rendering: Rendering | None = None

    def differences(self, other: "Contract") -> "list[Difference]":
        """Returns where `other` differs: first the base, then the scaling rule, then module by module."""
        found = self.base.differences(other.base)
        if self.use_rslora != other.use_rslora:
            found.append(Difference("use_rslora", str(self.use_rslora), str(other.use_rslora)))
        if self.rendering != other.rendering:
            found.append(Difference("rendering", _written(self.rendering), _written(other.rendering)))
        mine = {target.path: target for target in self.targets}
        theirs = {target.path: target for target in other.targets}
        for path in sorted(mine.keys() | theirs.keys()):
            if mine.get(path) != theirs.get(path):
                found.append(Difference(f"targets.{path}", _shown(mine.get(path)), _shown(theirs.get(path))))
        return found

    def to_json(self) -> dict[str, JSON]:
        """Returns the contract as a JSON object."""
        return {
            "base": self.base.to_json(),
            "targets": [target.to_json() for target in self.targets],
            "use_rslora": self.use_rslora,
            **({} if self.rendering is None else {"rendering": self.rendering.to_json()}),
        }

    @classmethod
    def from_json(cls, fields: JsonObject) -> "Contract":
        """Returns the contract that `fields` hold; raises FieldError."""
        fields.only([*cls.__dataclass_fields__])
        rendering = fields.object("rendering") if fields.given("rendering") else None
        return cls(
            BaseContract.from_json(fields.object("base")),
            tuple(TargetModule.from_json(target) for target in fields.objects("targets")),
            fields.boolean("use_rslora"),
            None if rendering is None else Rendering.from_json(rendering),
        )


def _written(rendering: Rendering | None) -> str:
    if rendering is None:
        return "not known"
    template = f", template {rendering.chat_template_digest}" if rendering.chat_template_digest else ""
    variables = "".join(f", {name}={value!r}" for name, value in rendering.template_variables.items())
    return f"{rendering.form}{template}{variables}"


def _last_part(base_id: str) -> str:
    return PurePosixPath(base_id).name.casefold()


def _shown(target: TargetModule | None) -> str:
    if target is None:
        return "none"
    return f"{target.in_features}→{target.out_features}, rank {target.rank}, alpha {target.alpha:g}"
