"""What a registry answers with: adapters, versions, aliases and the moves of aliases. Values only."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from threading import Lock

from parfocal.registry.errors import IndexCorrupt, InvalidManifest, RegistryTooNew
from parfocal.registry.values.canaries import Canary
from parfocal.registry.values.digest import digest_of
from parfocal.registry.values.manifest import Manifest
from parfocal.registry.values.recent import Recent

# To read a manifest of hundreds of modules takes 3 ms, and every request of a server resolves one. Once read
# it takes four times its bytes: 600 of an adapter of 210 modules fit.
_MANIFEST_GROWTH = 4
_manifests: Recent[str, Manifest] = Recent(64 << 20)
# What was read once can be read again: where no more is asked, the largest need not be. 80,000 of them fit.
_readable: Recent[str, bool] = Recent(8 << 20)
_READABLE_BYTES = 100
# Reading one of the largest keeps Python's lock busy for a second. Threads that do so side by side starve all
# others; one after the other, those that want the same one find it read.
_LARGE_BYTES = 64 << 10
_one_large = Lock()


@dataclass(frozen=True, slots=True)
class Version:
    """A published version. `name` is canonical; `digest`, the manifest's, is the identity of its content.

    `manifest_bytes` are as they are stored: what a list holds is not read before somebody asks for its
    `manifest`. `known` is that manifest where it was read before. `canary` is what shares the requests of the
    alias by which the version was resolved, if something does.
    """

    name: str
    version: int
    digest: str
    manifest_bytes: bytes = field(repr=False)
    created_at: datetime
    known: Manifest | None = field(default=None, compare=False, repr=False)
    canary: Canary | None = field(default=None, compare=False, repr=False)

    @property
    def manifest(self) -> Manifest:
        """What the bytes say; raises IndexCorrupt or RegistryTooNew."""
        if self.known is None:
            object.__setattr__(self, "known", self._read())
        assert self.known is not None
        return self.known

    @property
    def fault(self) -> str | None:
        """Why the manifest cannot be read; None where it can."""
        try:
            self.checked()
        except (IndexCorrupt, RegistryTooNew) as error:
            return str(error)
        return None

    def checked(self) -> "Version":
        """This version, once its manifest was found readable; raises IndexCorrupt or RegistryTooNew."""
        if self.known is None and _readable.get(self.digest):
            self._check_digest()
        else:
            self.manifest  # noqa: B018  # reading it is the check
        return self

    def found_readable(self) -> "Version":
        """This version, whose manifest somebody has read elsewhere."""
        _readable.put(self.digest, True, _READABLE_BYTES)
        return self

    def _check_digest(self) -> None:
        actual = digest_of(self.manifest_bytes)
        if actual != self.digest:
            raise IndexCorrupt(
                f"the manifest of {self} has digest {actual} instead of {self.digest}; publish it again, or "
                f"delete it with parfocal rm {self}",
                digest=self.digest,
            )

    def _read(self) -> Manifest:
        self._check_digest()
        known = _manifests.get(self.digest)
        if known is not None:
            return known
        if len(self.manifest_bytes) <= _LARGE_BYTES:
            return self._parsed()
        with _one_large:
            return _manifests.get(self.digest) or self._parsed()

    def _parsed(self) -> Manifest:
        try:
            manifest = Manifest.from_bytes(self.manifest_bytes)
        except InvalidManifest as error:
            raise IndexCorrupt(
                f"the manifest of {self} ({self.digest}) cannot be read: {error}; publish it again, or "
                f"delete it with parfocal rm {self}",
                digest=self.digest,
            ) from error
        self.found_readable()
        _manifests.put(self.digest, manifest, _MANIFEST_GROWTH * len(self.manifest_bytes))
        return manifest

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class Alias:
    """A name that points at a version, who pointed it there and when.

    `canary` is the second version, which gets some of its requests, if there is one.
    """

    name: str
    alias: str
    version: int
    digest: str
    actor: str
    moved_at: datetime
    canary: Canary | None = None

    def holds(self, version: int) -> bool:
        """Whether it gives requests to this version."""
        return version == self.version or (self.canary is not None and version == self.canary.version)


@dataclass(frozen=True, slots=True)
class AdapterSummary:
    """A name under which versions are published. `latest_version` is 0 when all of them were deleted.

    `pointing` are its aliases, sorted.
    """

    name: str
    latest_version: int
    version_count: int
    created_at: datetime
    updated_at: datetime
    pointing: tuple[Alias, ...] = ()

    @property
    def aliases(self) -> dict[str, int]:
        """Where its aliases point."""
        return {alias.alias: alias.version for alias in self.pointing}

    @property
    def canaries(self) -> dict[str, Canary]:
        """What shares their requests."""
        return {alias.alias: alias.canary for alias in self.pointing if alias.canary is not None}


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature that was added to a version: a bundle, and its digest. Nobody has verified it."""

    digest: str
    bundle: bytes = field(repr=False)
    added_at: datetime
    actor: str = ""


class MoveKind(StrEnum):
    """How an alias was moved; a canary that begins or is aborted leaves it where it is."""

    SET = "set"
    ROLLBACK = "rollback"
    DELETE = "delete"
    CANARY = "canary"
    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class AliasMove:
    """One move of an alias, kept for ever.

    `previous_version` is 0 when the alias did not exist; `version` is 0, `digest` empty when it was deleted.
    `gate` is what the alias's gate found, as JSON; empty where it had none. `canary` is the canary that
    began, or how one ended, as JSON; empty where there was none.
    """

    name: str
    alias: str
    previous_version: int
    version: int
    digest: str
    kind: MoveKind
    actor: str
    moved_at: datetime
    gate: str = ""
    canary: str = ""
