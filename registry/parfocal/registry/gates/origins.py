"""Rules over what a version is bound to and who answers for it: its base, its signatures."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from parfocal.registry.errors import InvalidGate
from parfocal.registry.gates.checks import checked_text
from parfocal.registry.gates.findings import Finding
from parfocal.registry.gates.subject import Subject
from parfocal.registry.values import JSON, BaseContract, JsonObject, Version

_MAX_KEYS = 32
_SHOWN = 3


class Signatures(Protocol):
    """Verifies the signatures of versions."""

    def signers(self, version: Version) -> Mapping[str, str] | None:
        """The names of the keys, by their ids, whose signatures of this version's manifest hold.

        Nobody where it is not signed, None where no key is known to verify with. Raises NotFound or
        StorageError.
        """
        ...


@dataclass(frozen=True, slots=True)
class SameBase:
    """The version's base computes what `base` computes, as its contract tells."""

    base: BaseContract

    def __post_init__(self) -> None:
        checked_text(self.base.id, "base")

    def find(self, candidate: Subject, current: Subject | None) -> Finding:
        if candidate.base is None:
            return Finding.absent(f"{candidate} cannot be read")
        differences = self.base.differences(candidate.base)
        if differences:
            return Finding(False, "; ".join(map(str, differences)))
        return Finding(True, candidate.base.id)

    def to_json(self) -> dict[str, JSON]:
        """The rule as a JSON object."""
        return {"rule": "same_base", "base": self.base.to_json()}

    @classmethod
    def from_json(cls, fields: JsonObject) -> "SameBase":
        """The rule that `fields` hold; raises FieldError or InvalidGate."""
        fields.only(["rule", *cls.__dataclass_fields__])
        return cls(BaseContract.from_json(fields.object("base")))

    def __str__(self) -> str:
        return f"contract equal to the base {self.base.id}"


@dataclass(frozen=True, slots=True)
class SignedBy:
    """One of these keys, named by its name or its id, has signed the version."""

    keys: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", tuple(dict.fromkeys(self.keys)))
        if not 1 <= len(self.keys) <= _MAX_KEYS:
            raise InvalidGate(
                f"a rule names {len(self.keys)} keys, one of which must sign; name 1 to {_MAX_KEYS}",
                field="rules",
            )
        for key in self.keys:
            checked_text(key, "key")

    def find(self, candidate: Subject, current: Subject | None) -> Finding:
        if candidate.signers is None:
            return Finding.absent(
                "this registry verifies no signatures; name keys that it trusts: --trusted-keys where it is "
                "served, PARFOCAL_TRUSTED_KEYS for a folder"
            )
        signers = candidate.signers.items()
        ours = [name for key_id, name in signers if name in self.keys or key_id in self.keys]
        if ours:
            return Finding(True, f"signed by {ours[0]}")
        others = sorted(set(candidate.signers.values()))
        return Finding.absent(
            f"signed by {_shown(others)} only" if others else "not signed by a key that is trusted here"
        )

    def to_json(self) -> dict[str, JSON]:
        """The rule as a JSON object."""
        return {"rule": "signed_by", "keys": self.keys}

    @classmethod
    def from_json(cls, fields: JsonObject) -> "SignedBy":
        """The rule that `fields` hold; raises FieldError or InvalidGate."""
        fields.only(["rule", *cls.__dataclass_fields__])
        return cls(fields.texts("keys"))

    def __str__(self) -> str:
        return f"signed by {_shown(self.keys)}"


def _shown(keys: Collection[str]) -> str:
    first = list(keys)[:_SHOWN]
    more = f" or {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return f"{' or '.join(first)}{more}"
