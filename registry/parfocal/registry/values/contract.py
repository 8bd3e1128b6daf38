"""What an adapter needs to be correct: its base and the modules that it changes.

Compares two contracts; does not read any file and does not decide what a difference means.
"""

import math
from dataclasses import dataclass

from parfocal.registry.values.base_contract import BaseContract, Difference
from parfocal.registry.values.canonical_json import JSON
from parfocal.registry.values.json_fields import JsonObject
from parfocal.registry.values.rendering import Rendering


@dataclass(frozen=True, slots=True)
class TargetModule:
    """One linear module that the adapter changes: A is `[rank, in_features]`, B is `[out_features, rank]`."""

    path: str
    in_features: int
    out_features: int
    rank: int
    alpha: float

    def scale(self, use_rslora: bool) -> float:
        """alpha / rank, or alpha / sqrt(rank) for rsLoRA (arXiv 2312.03732)."""
        return self.alpha / (math.sqrt(self.rank) if use_rslora else self.rank)

    def to_json(self) -> dict[str, JSON]:
        """The module as a JSON object."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_json(cls, fields: JsonObject) -> "TargetModule":
        """The module that `fields` hold; raises FieldError."""
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

    `rendering` is None if it is unknown how the training rows became text, `chat_template_digest` if the
    adapter has no chat template of its own. The JSON form omits what is None, as manifests did before these
    were recorded.
    """

    base: BaseContract
    targets: tuple[TargetModule, ...]
    use_rslora: bool
    rendering: Rendering | None = None
    chat_template_digest: str | None = None

    def differences(self, other: "Contract") -> "list[Difference]":
        """Where `other` differs: first the base, then the scaling rule, then module by module."""
        found = self.base.differences(other.base)
        if self.use_rslora != other.use_rslora:
            found.append(Difference("use_rslora", str(self.use_rslora), str(other.use_rslora)))
        if self.rendering != other.rendering:
            mine, theirs = (str(each.rendering or "not known") for each in (self, other))
            found.append(Difference("rendering", mine, theirs))
        if self.chat_template_digest != other.chat_template_digest:
            mine, theirs = (each.chat_template_digest or "none" for each in (self, other))
            found.append(Difference("chat_template_digest", mine, theirs))
        return found + self._target_differences(other)

    def _target_differences(self, other: "Contract") -> "list[Difference]":
        mine = {target.path: target for target in self.targets}
        theirs = {target.path: target for target in other.targets}
        return [
            Difference(f"targets.{path}", _shown(mine.get(path)), _shown(theirs.get(path)))
            for path in sorted(mine.keys() | theirs.keys())
            if mine.get(path) != theirs.get(path)
        ]

    def to_json(self) -> dict[str, JSON]:
        """The contract as a JSON object."""
        fields: dict[str, JSON] = {
            "base": self.base.to_json(),
            "targets": [target.to_json() for target in self.targets],
            "use_rslora": self.use_rslora,
        }
        if self.rendering is not None:
            fields["rendering"] = self.rendering.to_json()
        if self.chat_template_digest is not None:
            fields["chat_template_digest"] = self.chat_template_digest
        return fields

    @classmethod
    def from_json(cls, fields: JsonObject) -> "Contract":
        """The contract that `fields` hold; raises FieldError."""
        fields.only([*cls.__dataclass_fields__])
        rendering = fields.object("rendering") if fields.given("rendering") else None
        return cls(
            BaseContract.from_json(fields.object("base")),
            tuple(TargetModule.from_json(target) for target in fields.objects("targets")),
            fields.boolean("use_rslora"),
            None if rendering is None else Rendering.from_json(rendering),
            fields.text("chat_template_digest") if fields.given("chat_template_digest") else None,
        )


def _shown(target: TargetModule | None) -> str:
    if target is None:
        return "none"
    return f"{target.in_features}→{target.out_features}, rank {target.rank}, alpha {target.alpha:g}"
