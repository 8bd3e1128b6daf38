"""What every registry does, wherever it is: the one interface that the command, training and serving use."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from parfocal.registry.gates import AS_THE_GATE_SAYS, Gate, Override, StandingGate, Verdict
from parfocal.registry.publishing import MayHave, Publication, Uploaded
from parfocal.registry.quotas import NamespaceUse
from parfocal.registry.values import (
    ALL_MOVES,
    ALL_VERSIONS,
    AdapterSummary,
    Alias,
    AliasMove,
    CanaryComparison,
    CanaryPlan,
    FileEntry,
    Manifest,
    MoveFilter,
    Page,
    Signature,
    Version,
    VersionFilter,
)
from parfocal.registry.watching import Watch


class Registry(Protocol):
    """Immutable versions under names, and aliases that point at them. Calls block; any thread may call."""

    def publish(
        self,
        name: str,
        folder: Path,
        publication: Publication,
        progress: Callable[[int, int], None] | None = None,
        sent: Callable[[int], None] | None = None,
    ) -> Version:
        """The version that the PEFT folder became, whole and durable.

        Content that `name` has already keeps its version. `progress` is told the bytes stored and their
        total, `sent` how many have travelled to a registry that is elsewhere. Raises InvalidName,
        AdapterRefused and its kinds, BaseUnreachable, InvalidPublication, InvalidSignature, NotSigned where
        the registry wants a signature, or StorageError.
        """
        ...

    def resolve(self, reference: str) -> Version:
        """The version that a reference means now; raises InvalidArgument or NotFound.

        Of an alias with a canary it is the version that the alias points at, and has the canary with it:
        whoever answers requests asks the canary for each whether it takes it.
        """
        ...

    def find(self, digest: str) -> Version:
        """A version with this digest under any name, deleted ones included until they are collected.

        Raises InvalidDigest or VersionNotFound.
        """
        ...

    def manifest(self, digest: str) -> Manifest:
        """The manifest with this digest; after `materialise` from the local copy.

        Raises InvalidDigest or VersionNotFound.
        """
        ...

    def signatures(self, name: str, version: int) -> tuple[Signature, ...]:
        """The signatures of a live version as they were added; nobody has verified them.

        `signing` says what they are worth. Raises InvalidName, InvalidArgument or NotFound.
        """
        ...

    def add_signature(self, name: str, version: int, bundle: bytes, actor: str = "") -> Signature:
        """The signature of a live version that is added with this bundle, or was before, and records that.

        Raises InvalidSignature where the bundle is none, or is of something else; NotFound or
        TooManySignatures.
        """
        ...

    def materialise(self, digest: str) -> Path:
        """A local folder with the version's files, every byte verified now.

        It holds `adapter_config.json` and `adapter_model.safetensors`. Raises InvalidDigest, VersionNotFound,
        DataLoss or StorageError.
        """
        ...

    def adapters(
        self, page_size: int = 0, page_token: str = "", where: VersionFilter = ALL_VERSIONS
    ) -> Page[AdapterSummary]:
        """A page of adapters that have such a live version, sorted by name; raises InvalidPage."""
        ...

    def versions(
        self, name: str, page_size: int = 0, page_token: str = "", where: VersionFilter = ALL_VERSIONS
    ) -> Page[Version]:
        """A page of such live versions, the newest first; raises AdapterNotFound or InvalidPage."""
        ...

    def aliases(self, name: str) -> list[Alias]:
        """The aliases of an adapter, sorted; raises AdapterNotFound."""
        ...

    def alias_history(self, name: str, alias: str) -> list[AliasMove]:
        """Every move of an alias, the newest first; raises AdapterNotFound or AliasNotFound."""
        ...

    def alias_moves(
        self,
        name: str,
        alias: str = "",
        page_size: int = 0,
        page_token: str = "",
        where: MoveFilter = ALL_MOVES,
    ) -> Page[AliasMove]:
        """A page of such moves, of one alias or of all of an adapter, the newest first.

        Includes those of deleted aliases and adapters. Raises AdapterNotFound, InvalidPage, or AliasNotFound
        for an alias that never existed.
        """
        ...

    def watch(self, name: str = "", after: int | None = None) -> Watch:
        """What happens from now on, to one adapter or to all; or every event after the one numbered `after`.

        0 stands for the whole history. `name` need not exist yet. Raises InvalidName, InvalidArgument or
        EventUnknown.
        """
        ...

    def set_alias(
        self, name: str, alias: str, version: int, expected_version: int | None = None, actor: str = ""
    ) -> Alias:
        """Points an alias at a live version and records the move, with what its gate found if it carries one.

        `expected_version` is what it must point at now: 0 for nothing yet, None for no check. All requests go
        to that version then: a canary ends, also where the alias points there already. Raises AliasMoved,
        GateRefused, GateMoved, InvalidAlias, NotSigned where the registry wants a signature, or NotFound.
        """
        ...

    def set_canary(
        self, name: str, alias: str, plan: CanaryPlan, override: Override = AS_THE_GATE_SAYS
    ) -> Alias:
        """Gives a share of an alias's requests to a second live version, and records that.

        In place of a canary that there is. The alias's gate is asked as if the alias moved there; `override`
        may have a reason to pass it, and says what the alias must point at, and which canary it must have.
        Raises InvalidCanary and what `set_alias` raises.
        """
        ...

    def promote_canary(self, seen: Alias, override: Override = AS_THE_GATE_SAYS) -> Alias:
        """Points an alias at its canary's version, if alias and canary still are as they were `seen`.

        A move as every other: the gate is asked. Raises CanaryNotFound and what `set_alias` raises.
        """
        ...

    def abort_canary(
        self, name: str, alias: str, number: int, actor: str = "", found: tuple[CanaryComparison, ...] = ()
    ) -> Alias:
        """Gives all requests of an alias to the version that it points at, if its canary has this `number`.

        The history keeps what was `found` for ever. No gate is asked. Raises CanaryNotFound, AliasMoved,
        InvalidCanary, InvalidAlias or NotFound.
        """
        ...

    def override_gate(self, name: str, alias: str, version: int, override: Override) -> Alias:
        """Points an alias at a live version though its gate refuses, which the history tells for ever.

        Where the gate does not refuse, as `set_alias`. A signature that the registry wants is still wanted.
        Raises what that raises but GateRefused, and InvalidArgument without a reason.
        """
        ...

    def move_alias(self, name: str, alias: str, version: int, override: Override) -> Alias:
        """As `set_alias` without a reason to override the gate, and as `override_gate` with one."""
        ...

    def rollback_alias(self, name: str, alias: str, expected_version: int, actor: str = "") -> Alias:
        """Undoes the last move of an alias that was not undone yet, and records that; no gate is asked.

        That move may be the alias's deletion. `expected_version` is what the alias points at now, 0 where it
        was deleted: of two callers who undo one move, one does. Raises AliasMoved, AliasNotFound, NotSigned
        or NothingToRollBack.
        """
        ...

    def gate(self, name: str, alias: str) -> StandingGate:
        """The gate that an alias carries, whether the alias exists or not.

        Raises AdapterNotFound, GateNotFound or InvalidAlias.
        """
        ...

    def set_gate(self, name: str, alias: str, gate: Gate, actor: str = "") -> StandingGate:
        """Gives an alias a gate, in place of the one that it has, and records that.

        The alias need not exist yet, and where it points now is not judged. The gate outlives the alias, and
        ends with the adapter. Raises AdapterNotFound, InvalidAlias or TooManyAliases.
        """
        ...

    def clear_gate(self, name: str, alias: str, actor: str = "") -> None:
        """Takes an alias's gate away and records that.

        Raises AdapterNotFound, GateNotFound or InvalidAlias.
        """
        ...

    def check_gate(self, name: str, alias: str, version: int) -> Verdict:
        """What an alias's gate finds of a version now; moves nothing. Raises NotFound or InvalidAlias."""
        ...

    def delete_alias(
        self, name: str, alias: str, actor: str = "", expected_version: int | None = None
    ) -> None:
        """Deletes an alias and records that; its history stays.

        `expected_version` is as in `set_alias`. Raises AliasMoved or NotFound.
        """
        ...

    def delete_version(self, name: str, version: int, actor: str = "") -> None:
        """Deletes a version that no alias points at or has as its canary; its number is never used again.

        Raises NotFound or VersionInUse.
        """
        ...

    def namespaces(self, page_size: int = 0, page_token: str = "") -> Page[NamespaceUse]:
        """A page of namespaces with adapters, what they hold and what they may; raises InvalidPage."""
        ...

    def delete_adapter(self, name: str, force: bool = False, actor: str = "") -> None:
        """Deletes every version of an adapter, and takes its name from the lists; its history stays.

        Publishing under the name again goes on with the next number. `force` deletes its aliases too. Raises
        AdapterNotFound or AdapterInUse.
        """
        ...


@runtime_checkable
class TakesBlobs(Protocol):
    """A registry that takes an adapter file by file, and then publishes what it has taken."""

    def missing(
        self, files: Sequence[FileEntry], owner: str, seconds: float, may_have: MayHave
    ) -> tuple[FileEntry, ...]:
        """Those of `files` that must be sent; the others are kept for `owner` for so long.

        What is stored and neither uploaded by `owner` nor such as `may_have` allows by its digest counts as
        missing. Raises StorageError.
        """
        ...

    def receive(self, file: Path, entry: FileEntry, owner: str, seconds: float) -> None:
        """Stores a local file whose bytes were verified to be the entry's, and keeps it so long for `owner`.

        The file may be moved. Raises StorageError.
        """
        ...

    def check_quota(self, name: str, files: Sequence[FileEntry]) -> None:
        """Raises QuotaExceeded where a version with these files would be refused, before they are sent."""
        ...

    def publish_uploaded(self, name: str, uploaded: Uploaded, publication: Publication) -> Version:
        """The version that uploaded files became, as `Registry.publish` does.

        Also raises InvalidUpload, BlobCorrupt, or BlobsNotUploaded where a file is not there.
        """
        ...
