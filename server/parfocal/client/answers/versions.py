"""Adapters, their versions and aliases, as a registry tells them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from parfocal.client.canaries import Canary, read_canary
from parfocal.client.errors import Corrupt
from parfocal.client.moments import read_moment
from parfocal.v1 import adapter_pb2 as pb


@dataclass(frozen=True, slots=True)
class File:
    """A file of a version: its plain name, its size in bytes and its digest."""

    path: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Version:
    """A published version; `digest` is its identity. `base` is the id of the base that it fits.

    `aliases` are those that pointed at it when it was asked for. `manifest` is everything that it consists of
    and is bound to, as the registry stores it.
    """

    name: str
    version: int
    digest: str
    created_at: datetime
    aliases: tuple[str, ...]
    base: str
    files: tuple[File, ...]
    warnings: tuple[str, ...]
    manifest: Mapping[str, Any] = field(repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"

    @property
    def size_bytes(self) -> int:
        """What its files have together."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class Adapter:
    """A name under which versions are published; `aliases` maps each to the version that it points at."""

    name: str
    latest_version: int
    version_count: int
    aliases: Mapping[str, int]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Alias:
    """A name that points at a version, for example `prod`, and who moved it last.

    `canary` gets some of its requests, if there is one.
    """

    name: str
    alias: str
    version: int
    digest: str
    actor: str
    moved_at: datetime
    canary: Canary | None = None


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature of a version, a bundle as the OpenSSF's model signing writes it; nobody has verified it."""

    digest: str
    bundle: bytes = field(repr=False)
    actor: str
    added_at: datetime


@dataclass(frozen=True, slots=True)
class AliasMove:
    """One move of an alias: `kind` is set, rollback or delete; version 0 means that it did not exist.

    Or what became of its canary, of kind canary or abort: the alias points where it pointed then.
    """

    name: str
    alias: str
    previous_version: int
    version: int
    digest: str
    kind: str
    actor: str
    moved_at: datetime


def read_version(message: pb.Version) -> Version:
    """A version whose manifest has the digest beside it; raises Corrupt."""
    actual = f"sha256:{hashlib.sha256(message.manifest_json).hexdigest()}"
    if actual != message.digest:
        raise Corrupt(
            f"the registry sent a manifest with digest {actual} for {message.digest[:100]!a}; ask again",
            reason="BLOB_CORRUPT",
        )
    try:
        manifest = json.loads(message.manifest_json)
        files = tuple(File(each["path"], each["size"], each["digest"]) for each in manifest["files"])
        base, warnings = manifest["contract"]["base"]["id"], tuple(manifest["warnings"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Corrupt(
            f"the manifest of {message.digest} cannot be read: {error!r:.200}; upgrade the client",
            reason="INVALID_MANIFEST",
        ) from error
    return Version(
        name=message.name,
        version=message.version,
        digest=message.digest,
        created_at=read_moment(message.create_time),
        aliases=tuple(message.aliases),
        base=base,
        files=files,
        warnings=warnings,
        manifest=manifest,
    )


def read_adapter(message: pb.Adapter) -> Adapter:
    """The message as a value."""
    return Adapter(
        name=message.name,
        latest_version=message.latest_version,
        version_count=message.version_count,
        aliases={alias.alias: alias.version for alias in message.aliases},
        created_at=read_moment(message.create_time),
        updated_at=read_moment(message.update_time),
    )


def read_alias(message: pb.Alias) -> Alias:
    """The message as a value."""
    moved_at = read_moment(message.update_time)
    canary = read_canary(message.canary) if message.HasField("canary") else None
    place = message.name, message.alias, message.version, message.digest
    return Alias(*place, message.actor, moved_at, canary)


def read_signature(message: pb.Signature) -> Signature:
    """A signature whose bundle has the digest beside it; raises Corrupt."""
    actual = f"sha256:{hashlib.sha256(message.bundle).hexdigest()}"
    if actual != message.digest:
        raise Corrupt(
            f"the registry sent a signature with digest {actual} for {message.digest[:100]!a}; ask again",
            reason="BLOB_CORRUPT",
        )
    return Signature(message.digest, message.bundle, message.actor, read_moment(message.add_time))


def read_move(message: pb.AliasMove) -> AliasMove:
    """The message as a value."""
    kind = pb.MoveKind.DESCRIPTOR.values_by_number.get(message.kind)
    return AliasMove(
        name=message.name,
        alias=message.alias,
        previous_version=message.previous_version,
        version=message.version,
        digest=message.digest,
        kind="unknown" if kind is None else kind.name.removeprefix("MOVE_KIND_").lower(),
        actor=message.actor,
        moved_at=read_moment(message.move_time),
    )
