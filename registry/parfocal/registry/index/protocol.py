"""What every index does, whatever database it is in."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from parfocal.registry.quotas import NamespaceUse, Quotas
from parfocal.registry.values import (
    ALL_MOVES,
    ALL_VERSIONS,
    AdapterSummary,
    Alias,
    AliasMove,
    CanaryComparison,
    CanaryPlan,
    Event,
    MoveFilter,
    Signature,
    Version,
    VersionFilter,
)

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Slice(Generic[Item]):
    """Some items of a list, and the key of the last one where more follow, else an empty text."""

    items: tuple[Item, ...]
    next_key: str = ""


@dataclass(frozen=True, slots=True)
class Terms:
    """What must be so when an alias moves, and what its gate found, as the event has it.

    `expected` is the version that it points at, 0 for none, None for no check. `gate` is the number of the
    event that set the alias's gate, 0 for none, and `asked_at` where the alias pointed when the gate was
    asked, None where it was not. `leads_to` is the version that a rollback was seen to lead to, None where
    nobody looked. `canary` is the number of its canary, 0 for none, None for no check.
    """

    expected: int | None = None
    gate: int = 0
    asked_at: int | None = None
    found: str = ""
    leads_to: int | None = None
    canary: int | None = None


# Whoever has not looked for a gate is refused by one.
NO_TERMS = Terms()


class Index(Protocol):
    """Knows names, numbers and aliases, and every change of them; each change is one event.

    Each method is one transaction: it sees one moment, and makes its changes completely and durably, or not
    at all. Names, aliases and digests passed in are well formed. Any thread may call. Besides what each
    method documents, all raise StorageError where the database does not answer and IndexCorrupt where it
    contradicts itself. `refusals` has the errors common to all implementations.

    The manifest of a version that is looked up was read; of one in a list it may be unreadable.
    """

    def moment(self) -> object | None:
        """Stays equal while nothing in the index changes, whoever changes it; None where that cannot be told.

        Much cheaper than a look-up, and never raises: what is wrong shows at the next one.
        """
        ...

    def version(self, name: str, number: int) -> Version:
        """A live version; raises AdapterNotFound or VersionNotFound."""
        ...

    def latest(self, name: str) -> Version:
        """The live version with the highest number; raises AdapterNotFound or VersionNotFound."""
        ...

    def version_with(self, name: str, digest: str) -> Version:
        """The live version of `name` whose digest begins with these digits.

        Raises AdapterNotFound, VersionNotFound, or InvalidReference where several do.
        """
        ...

    def target(self, name: str, alias: str) -> Version:
        """The version that an alias points at, with its canary; raises AdapterNotFound or AliasNotFound."""
        ...

    def find(self, digest: str) -> Version:
        """A version with this digest under any name, a live one if any; raises VersionNotFound.

        A version deleted while it is being served can still be loaded, until its files are collected.
        """
        ...

    def is_live(self, digest: str) -> bool:
        """Whether any live version has this digest."""
        ...

    def is_known(self, digest: str) -> bool:
        """Whether any version has or had this digest."""
        ...

    def versions(
        self, name: str, limit: int, after: str, where: VersionFilter = ALL_VERSIONS
    ) -> Slice[Version]:
        """At most `limit` live versions, the newest first; fewer, at least one, where manifests are large.

        Raises AdapterNotFound.
        """
        ...

    def adapters(self, limit: int, after: str, where: VersionFilter = ALL_VERSIONS) -> Slice[AdapterSummary]:
        """At most `limit` adapters, sorted by name: those that have such a live version."""
        ...

    def aliases(self, name: str) -> list[Alias]:
        """The aliases of an adapter, sorted; raises AdapterNotFound."""
        ...

    def moves(
        self, name: str, alias: str, limit: int, after: str, where: MoveFilter = ALL_MOVES
    ) -> Slice[AliasMove]:
        """At most `limit` moves of an alias, or of all where `alias` is empty, the newest first.

        Includes those of deleted aliases and adapters. Raises AdapterNotFound, or AliasNotFound for an alias
        that never existed.
        """
        ...

    def add_version(
        self, name: str, manifest: bytes, actor: str = "", signatures: Sequence[bytes] = ()
    ) -> Version:
        """The new version, or the live one of this name that has the same digest already.

        It has these signatures from its first moment, besides those that it has already. Raises
        TooManySignatures.
        """
        ...

    def add_signature(self, name: str, number: int, bundle: bytes, actor: str) -> Signature:
        """The new signature of a live version, or the one that it has already with the same digest.

        Raises TooManySignatures, else as `version`.
        """
        ...

    def signatures(self, name: str, number: int) -> tuple[Signature, ...]:
        """The signatures of a live version, in the order in which they were added; raises as `version`."""
        ...

    def limit_to(self, quotas: Quotas) -> None:
        """From now on `add_version` raises QuotaExceeded for more than the name's namespace may hold."""
        ...

    def check_quota(self, name: str, files: Mapping[str, int]) -> None:
        """Raises QuotaExceeded where a version with these files, by digest, would be refused as things are.

        Not where the namespace has all of them: the version may be there.
        """
        ...

    def namespaces(self, limit: int, after: str) -> Slice[NamespaceUse]:
        """At most `limit` namespaces with adapters: `default`, then the others as their names sort."""
        ...

    def set_alias(self, name: str, alias: str, version: int, actor: str, terms: Terms = NO_TERMS) -> Alias:
        """Points an alias at a live version, which ends its canary.

        Pointing one without a canary where it points already records nothing.

        Raises AdapterNotFound, VersionNotFound, TooManyAliases and, where it is not as `terms` say,
        AliasMoved or GateMoved.
        """
        ...

    def roll_back_alias(self, name: str, alias: str, actor: str, terms: Terms) -> Alias:
        """Points an alias, though it be deleted, back where `rollback_target` says.

        Raises AdapterNotFound, AliasNotFound, NothingToRollBack and, where it is not as `terms` say,
        AliasMoved or GateMoved.
        """
        ...

    def set_canary(self, name: str, alias: str, plan: CanaryPlan, actor: str, terms: Terms) -> Alias:
        """Gives some of an alias's requests to a second version; the same plan again records nothing.

        Raises AdapterNotFound, AliasNotFound, VersionNotFound, InvalidCanary where the alias points at the
        version and, where it is not as `terms` say, AliasMoved or GateMoved.
        """
        ...

    def abort_canary(
        self, name: str, alias: str, number: int, actor: str, found: tuple[CanaryComparison, ...] = ()
    ) -> Alias:
        """Gives an alias's requests to the version that it points at alone, if its canary has this number.

        `found` is kept with it. Raises AdapterNotFound, AliasNotFound, CanaryNotFound or AliasMoved.
        """
        ...

    def delete_alias(self, name: str, alias: str, expected: int | None, actor: str) -> None:
        """Deletes an alias; its history stays. Raises AliasMoved, AdapterNotFound or AliasNotFound."""
        ...

    def gate(self, name: str, alias: str) -> Event | None:
        """The event that set the gate which an alias carries now, whether it exists or not; None for no gate.

        Raises AdapterNotFound.
        """
        ...

    def set_gate(self, name: str, alias: str, rules: str, actor: str) -> Event:
        """Gives an alias a gate, in place of the one that it has; the same rules again record nothing.

        Raises AdapterNotFound or TooManyAliases.
        """
        ...

    def clear_gate(self, name: str, alias: str, actor: str) -> None:
        """Takes an alias's gate away; raises AdapterNotFound or GateNotFound."""
        ...

    def delete_version(self, name: str, number: int, actor: str) -> None:
        """Deletes a version; raises VersionInUse while an alias points at it, or gives it requests."""
        ...

    def delete_adapter(self, name: str, force: bool, actor: str) -> None:
        """Deletes every version of an adapter, its gates, and the name from lists.

        Numbers are never used again. With `force` its aliases too; else raises AdapterInUse while there are
        any. Raises AdapterNotFound.
        """
        ...

    def manifests(self) -> Iterator[tuple[str, bytes]]:
        """Digest and stored bytes of the manifest of every live version, each digest once."""
        ...

    def live_digests(self) -> set[str]:
        """The digests of all live versions."""
        ...

    def signature_bundles(self) -> Iterator[tuple[str, bytes]]:
        """Digest and stored bytes of every signature of a live version, each digest once."""
        ...

    def signature_digests(self) -> set[str]:
        """The digests of all signatures of live versions."""
        ...

    def events(self, after: int, limit: int) -> list[Event]:
        """At most `limit` events with higher sequence numbers than `after`, in order."""
        ...

    def last_sequence(self) -> int:
        """The number of the last event, 0 where there is none."""
        ...

    def event(self, sequence: int) -> Event | None:
        """The event with this number, if there is one."""
        ...

    def restore(self, events: Iterable[Event], manifests: Mapping[str, bytes]) -> None:
        """Fills an index that has no event.

        `manifests` holds the bytes of all that are live in the end, by their digests: manifests, and the
        signatures of their versions.
        """
        ...

    def lease(self, owner: str, digests: Collection[str], seconds: float) -> None:
        """Keeps what has these digests from collection for so long: blobs and, of a manifest, its files.

        No change that an event tells of. Raises RegistryBusy where it was collected since this thread is in
        `publishing()`.
        """
        ...

    def leased(self, owner: str | None = None) -> set[str]:
        """The digests that are kept now, for this owner or for anybody."""
        ...

    def end_lease(self, owner: str, digests: Collection[str]) -> None:
        """Keeps these digests no longer for this owner."""
        ...

    def check(self) -> list[str]:
        """What is wrong in the database itself, in sentences; nothing when it is sound."""
        ...

    def publishing(self) -> AbstractContextManager[None]:
        """Holds off collection; raises RegistryBusy."""
        ...

    def collecting(self) -> AbstractContextManager[None]:
        """Holds off publishing and waits for what is under way; raises RegistryBusy."""
        ...
