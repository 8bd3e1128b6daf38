"""Versions, aliases, canaries and signatures that are not what the events of their index made of them."""

from collections.abc import Iterator

from parfocal.registry.index import Index
from parfocal.registry.keeping.seals import HistoryFault
from parfocal.registry.values import Alias, Standing

_BATCH = 1000


def strays(index: Index, standing: Standing) -> Iterator[HistoryFault]:
    """What in an index is not as it stands after all its events; raises StorageError."""
    yield from _stray_aliases(index, standing)
    live = index.live_digests()
    for (name, number), digest in sorted(standing.versions.items()):
        if digest not in live:
            yield HistoryFault(0, f"{name}@{number} was published as {digest}, and is not there")
    for digest in sorted(live - set(standing.versions.values())):
        yield HistoryFault(0, f"{digest} is a version that no event has published")
    yield from _stray_signatures(index, standing)


def _stray_signatures(index: Index, standing: Standing) -> Iterator[HistoryFault]:
    signatures = index.signature_digests()
    for (name, number), digests in sorted(standing.signatures.items()):
        for digest in digests:
            if digest not in signatures:
                yield HistoryFault(0, f"{name}@{number} was signed with {digest}, and that is not there")
    for digest in sorted(signatures.difference(*standing.signatures.values())):
        yield HistoryFault(0, f"{digest} is a signature that no event has added")


def _stray_aliases(index: Index, standing: Standing) -> Iterator[HistoryFault]:
    """Aliases that point elsewhere, or share their requests otherwise, than the events say."""
    there = list(_aliases(index))
    aliases = {(each.name, each.alias): each.version for each in there}
    for name, alias in sorted(aliases.keys() | standing.aliases.keys()):
        found, told = aliases.get((name, alias), 0), standing.aliases.get((name, alias), 0)
        if found != told:
            yield HistoryFault(
                0, f"{name}@{alias} points at {_version(found)}, and was last moved to {_version(told)}"
            )
    canaries = {(each.name, each.alias): each.canary.number for each in there if each.canary is not None}
    begun = {where: event.sequence for where, event in standing.canaries.items()}
    for name, alias in sorted(canaries.keys() | begun.keys()):
        found, told = canaries.get((name, alias), 0), begun.get((name, alias), 0)
        if found != told:
            yield HistoryFault(0, f"{name}@{alias} has {_canary(found)}, and was last given {_canary(told)}")


def _version(number: int) -> str:
    return f"version {number}" if number else "nothing"


def _canary(number: int) -> str:
    return f"the canary of event {number}" if number else "no canary"


def _aliases(index: Index) -> Iterator[Alias]:
    after = ""
    while True:
        found = index.adapters(_BATCH, after)
        for adapter in found.items:
            yield from adapter.pointing
        after = found.next_key
        if not after:
            return
