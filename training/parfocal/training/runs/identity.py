"""What makes a run the same run when it goes on: data, rows, base, recipe and parent, by digest."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from parfocal.registry.values import JSON, BaseContract, FieldError, JsonObject

_WORDS = {
    "data": "data",
    "validation": "validation rows",
    "held_out": "held-out rows",
    "replay": "replayed rows",
    "base": "base",
}


@dataclass(frozen=True, slots=True)
class Parent:
    """The published adapter that a run continues from, as `name@version`, and what it was then.

    `folder` holds its verified files, or is None where a checkpoint has taken their place.
    """

    name: str
    digest: str
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """What must not change between the parts of a run, and the `tools` it began with, which may.

    `recipe` has the hyper-parameters by name, those that were left open too: another release may choose
    otherwise. An alias may move meanwhile, and so `parent` is pinned here.
    """

    data_digest: str
    held_out_digest: str
    base: BaseContract
    validation_digest: str = ""
    recipe: Mapping[str, JSON] = field(default_factory=dict)
    parent: Parent | None = None
    tools: Mapping[str, str] = field(default_factory=dict)
    replay_digest: str = ""

    def to_json(self) -> dict[str, JSON]:
        """Writes the identity as a JSON object."""
        parent = self.parent
        return {
            "data": self.data_digest,
            "validation": self.validation_digest,
            "held_out": self.held_out_digest,
            "replay": self.replay_digest,
            "base": self.base.to_json(),
            "recipe": dict(self.recipe),
            "parent": None if parent is None else {"version": parent.name, "digest": parent.digest},
            "tools": dict(self.tools),
        }

    def change_since(self, before: Mapping[str, JSON]) -> tuple[str, str] | None:
        """Names the first thing that differs from an identity written as JSON, as field and in words.

        A base counts by what it computes.
        """
        digests = {
            "data": self.data_digest,
            "validation": self.validation_digest,
            "held_out": self.held_out_digest,
            "replay": self.replay_digest,
        }
        # Earlier releases replayed nothing.
        then = {"replay": "", **before}
        changed = [name for name, digest in digests.items() if then.get(name) != digest]
        if not _is_same_base(self.base, before.get("base")):
            changed.append("base")
        if changed:
            return changed[0], _WORDS[changed[0]]
        return self._recipe_change(before.get("recipe"))

    def _recipe_change(self, before: JSON) -> tuple[str, str] | None:
        recipe = json.loads(json.dumps(self.recipe))
        then = before if isinstance(before, Mapping) else {}
        names = [name for name in sorted({*recipe, *then}) if recipe.get(name) != then.get(name)]
        if not names:
            return None
        name = names[0]
        return name, f"recipe ({name}: {then.get(name)!r} then, {recipe.get(name)!r} now)"


def pinned_parent(identity: Mapping[str, JSON]) -> Parent | None:
    """The parent in an identity written as JSON."""
    parent = identity.get("parent")
    return Parent(str(parent["version"]), str(parent["digest"])) if isinstance(parent, Mapping) else None


def _is_same_base(base: BaseContract, before: JSON) -> bool:
    try:
        return not BaseContract.from_json(JsonObject(before)).differences(base)
    except FieldError:
        return False
