"""What a page about a version tells beside its manifest, gathered from the registry and from servers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from parfocal.cli.sight.servers import Held, held_at
from parfocal.cli.signing import Told
from parfocal.registry import (
    Alias,
    AliasMove,
    DataLoss,
    NotFound,
    Page,
    Registry,
    RegistryTooNew,
    StoredRegistry,
    Verdict,
    Version,
    VersionNotFound,
)
from parfocal.registry.insight import Ancestor, Children, Find, ancestors, children, finder
from parfocal.registry.values import MAX_PAGE_SIZE

# How many numbers are tried for the version before one: those between were deleted.
_TRIED = 20
_ASKED_GATES = 20


@dataclass(frozen=True, slots=True)
class Standing:
    """An alias of the adapter, and what its gate finds of the version; None where it has no gate.

    `is_asked` is False of those that were too many to ask.
    """

    alias: Alias
    verdict: Verdict | None
    is_asked: bool = True


@dataclass(frozen=True, slots=True)
class Seen:
    """A version, the live one before it, its adapter's aliases and newest moves, its lineage, and servers."""

    version: Version
    previous: Version | None
    standings: tuple[Standing, ...]
    moves: Page[AliasMove]
    ancestors: tuple[Ancestor, ...]
    children: Children
    servers: tuple[Held, ...]
    signatures: Told

    @classmethod
    def of(cls, registry: Registry, version: Version, servers: Sequence[str], trusted: Path | None) -> "Seen":
        """What a registry and these servers know of the version; the keys in a file judge signatures."""
        return cls(
            version,
            _previous(registry, version),
            _standings(registry, version),
            registry.alias_moves(version.name, page_size=MAX_PAGE_SIZE),
            ancestors(version, readable(registry)),
            children(registry, version),
            tuple(held_at(address, version.digest) for address in servers),
            Told.of(version, registry, trusted),
        )

    @property
    def pointing(self) -> tuple[Standing, ...]:
        """The aliases that point at the version, or have it as their canary."""
        return tuple(each for each in self.standings if each.alias.holds(self.version.version))


def readable(registry: Registry) -> Find:
    """Finds versions; what the caller may not read is one that is not there."""
    find = finder(registry)
    if isinstance(registry, StoredRegistry):
        return find
    # Imported only here: a registry in a folder needs no gRPC.
    from parfocal.rpc import RemoteError

    def found(written: str) -> Version:
        try:
            return find(written)
        except RemoteError as error:
            if error.status != "PERMISSION_DENIED":
                raise
            raise VersionNotFound(f"{written} is not yours to read") from error

    return found


def _previous(registry: Registry, version: Version) -> Version | None:
    for number in range(version.version - 1, max(0, version.version - 1 - _TRIED), -1):
        try:
            return registry.resolve(f"{version.name}@{number}")
        except (NotFound, DataLoss, RegistryTooNew):
            continue
    return None


def _standings(registry: Registry, version: Version) -> tuple[Standing, ...]:
    """Those that point at the version first."""
    aliases = sorted(registry.aliases(version.name), key=lambda each: not each.holds(version.version))
    asked = [Standing(each, _verdict(registry, each, version)) for each in aliases[:_ASKED_GATES]]
    return (*asked, *(Standing(each, None, is_asked=False) for each in aliases[_ASKED_GATES:]))


def _verdict(registry: Registry, alias: Alias, version: Version) -> Verdict | None:
    try:
        return registry.check_gate(version.name, alias.alias, version.version)
    except NotFound:  # no gate, or gone meanwhile
        return None
