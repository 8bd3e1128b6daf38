"""What a server has resolved at a remote registry, kept on disk over its restarts. Knows no wire."""

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from parfocal.registry.disk import sync_descriptor, sync_folder
from parfocal.registry.errors import InvalidCanary
from parfocal.registry.values import (
    JSON,
    Canary,
    CanaryPlan,
    FieldError,
    InvalidJson,
    JsonObject,
    Version,
    dumps,
    loads,
)

log = logging.getLogger(__name__)

_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Meaning:
    """The version that a reference stood for when the registry was last asked; its manifest is kept apart.

    `canary` is what shares its requests, where the reference is an alias that has one.
    """

    name: str
    version: int
    digest: str
    created_at: datetime
    canary: Canary | None = None

    @classmethod
    def of(cls, version: Version) -> "Meaning":
        """What a resolved version is."""
        return cls(version.name, version.version, version.digest, version.created_at, version.canary)

    def __str__(self) -> str:
        also = "" if self.canary is None else f" with canary {self.canary}"
        return f"{self.name}@{self.version}{also}"


@dataclass(frozen=True, slots=True)
class Known:
    """Meanings by reference, the number of the last event heard of, and when all of it was true."""

    meanings: Mapping[str, Meaning] = field(default_factory=dict)
    sequence: int = 0
    true_at: float = field(default_factory=time.time)


class KnownFile:
    """The file `path` of what is known of the registry at `location`; replaced as a whole."""

    def __init__(self, path: Path, location: str) -> None:
        self._path = path
        self._location = location

    def read(self) -> Known:
        """What was written last; nothing where there is no such file, or none that can be read."""
        try:
            document = JsonObject(loads(self._path.read_bytes()))
            if document.count("schema") != _SCHEMA or document.text("registry") != self._location:
                return Known()
            meanings = document.object("references")
            return Known(
                {name: _meaning(meanings.object(name)) for name in document.mapping("references")},
                document.count("sequence"),
                document.number("true_at"),
            )
        except FileNotFoundError:
            return Known()
        except (OSError, InvalidJson, FieldError, InvalidCanary, ValueError) as error:
            log.warning("what was known of registry %s cannot be read from %s: %s",
                        self._location, self._path, error)  # fmt: skip
            return Known()

    def write(self, known: Known) -> None:
        """Replaces what was written; raises OSError."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        document: dict[str, JSON] = {
            "schema": _SCHEMA,
            "registry": self._location,
            "sequence": known.sequence,
            "true_at": known.true_at,
            "references": {name: _fields(meaning) for name, meaning in known.meanings.items()},
        }
        # Of this process alone: two servers may follow one registry with one cache.
        temporary = self._path.with_suffix(f".{os.getpid()}.new")
        with temporary.open("wb") as file:
            file.write(dumps(document))
            file.flush()
            sync_descriptor(file.fileno())
        temporary.replace(self._path)
        sync_folder(self._path.parent)


def _fields(meaning: Meaning) -> dict[str, JSON]:
    canary = meaning.canary
    return {
        "name": meaning.name,
        "version": meaning.version,
        "digest": meaning.digest,
        "created_at": meaning.created_at.isoformat(),
        **({} if canary is None else {"canary": _canary_fields(canary)}),
    }


def _canary_fields(canary: Canary) -> dict[str, JSON]:
    return {
        "alias": canary.alias,
        "plan": canary.plan.text_of(canary.digest),
        "number": canary.number,
        "actor": canary.actor,
        "begun_at": canary.begun_at.isoformat(),
    }


def _meaning(fields: JsonObject) -> Meaning:
    created_at = datetime.fromisoformat(fields.text("created_at"))
    name, place = fields.text("name"), (fields.count("version"), fields.text("digest"), created_at)
    canary = _canary(fields.object("canary"), name) if fields.given("canary") else None
    return Meaning(name, *place, canary)


def _canary(fields: JsonObject, name: str) -> Canary:
    plan, digest = CanaryPlan.parse(fields.text("plan"))
    begun_at = datetime.fromisoformat(fields.text("begun_at"))
    number, actor = fields.count("number"), fields.text("actor")
    return Canary(name, fields.text("alias"), plan, digest, number, actor, begun_at)
