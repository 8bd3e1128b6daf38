"""What the rules of a gate read of a version. Reads no storage."""

from collections.abc import Mapping
from dataclasses import dataclass

from parfocal.registry.errors import IndexCorrupt, RegistryTooNew
from parfocal.registry.values import BaseContract, Evaluation, Version

# In a rule: each slice by itself.
EVERY_SLICE = "*"


@dataclass(frozen=True, slots=True)
class Subject:
    """A version as rules see it.

    `signers` are the names of the keys, by their ids, whose signatures of it hold; None where nobody has
    looked. `fault` says why nothing can be read of it.
    """

    version: int
    evaluation: Evaluation | None = None
    base: BaseContract | None = None
    signers: Mapping[str, str] | None = None
    fault: str = ""

    @classmethod
    def of(cls, version: Version, signers: Mapping[str, str] | None = None) -> "Subject":
        """A version that may be unreadable."""
        try:
            manifest = version.manifest
        except (IndexCorrupt, RegistryTooNew) as error:
            return cls(version.version, fault=str(error))
        return cls(version.version, manifest.evaluation, manifest.contract.base, signers)

    def metric(self, name: str, slice_name: str = "") -> float | None:
        """A recorded metric, of a slice if given; None where there is none."""
        if self.evaluation is None:
            return None
        return self.evaluation.metrics.get(f"{name}/{slice_name}" if slice_name else name)

    def slices(self, name: str) -> list[str]:
        """The slices that a metric was recorded of."""
        metrics = () if self.evaluation is None else self.evaluation.metrics
        return sorted(each.removeprefix(f"{name}/") for each in metrics if each.startswith(f"{name}/"))

    def __str__(self) -> str:
        return f"version {self.version}"
