"""What an export wrote, for people and for machines. A value only."""

from collections.abc import Mapping
from dataclasses import dataclass

from parfocal.registry import Version


@dataclass(frozen=True, slots=True)
class Written:
    """A form, where it is now, what is told of it, and what was noticed."""

    form: str
    place: str
    told: str
    details: Mapping[str, object]
    cautions: tuple[str, ...] = ()

    def document(self, version: Version) -> dict[str, object]:
        """It as JSON."""
        identity = {"name": version.name, "version": version.version, "digest": version.digest}
        return {**identity, "form": self.form, **self.details, "warnings": list(self.cautions)}
