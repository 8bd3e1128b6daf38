"""What a registry answers with: adapters, versions, aliases and the moves of aliases. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from parfocal.registry.values.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Version:
    """A published version. `name` is canonical; `digest`, the manifest's, is the identity of its content."""

    name: str
    version: int
    digest: str
    manifest: Manifest
    created_at: datetime

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class AdapterSummary:
    """A name under which versions are published. `latest_version` is 0 when all of them were deleted."""

    name: str
    latest_version: int
    version_count: int
    created_at: datetime
    updated_at: datetime
    aliases: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alias:
    """A name that points at a version, who pointed it there and when."""

    name: str
    alias: str
    version: int
    digest: str
    actor: str
    moved_at: datetime


class MoveKind(StrEnum):
    """How an alias was moved."""

    SET = "set"
    ROLLBACK = "rollback"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class AliasMove:
    """One move of an alias, kept for ever.

    `previous_version` is 0 when the alias did not exist; `version` is 0, `digest` empty when it was deleted.
    """

    name: str
    alias: str
    previous_version: int
    version: int
    digest: str
    kind: MoveKind
    actor: str
    moved_at: datetime
