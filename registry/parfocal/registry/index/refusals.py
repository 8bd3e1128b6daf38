"""The errors common to all indexes."""

from collections.abc import Sequence

from parfocal.registry.errors import (
    AdapterInUse,
    AdapterNotFound,
    AliasMoved,
    AliasNotFound,
    CanaryNotFound,
    EventUnknown,
    GateMoved,
    GateNotFound,
    InvalidCanary,
    InvalidReference,
    NothingToRollBack,
    QuotaExceeded,
    TooManyAliases,
    TooManySignatures,
    VersionInUse,
    VersionNotFound,
)
from parfocal.registry.index.protocol import Terms
from parfocal.registry.quotas import NamespaceUse
from parfocal.registry.values import MAX_ALIASES, MAX_SIGNATURES, Canary


def no_adapter(name: str, was_deleted: bool) -> AdapterNotFound:
    """No adapter has this name, or none has it any more."""
    if was_deleted:
        return AdapterNotFound(f"adapter {name!r} was deleted; publish it again to use it", adapter=name)
    return AdapterNotFound(f"no adapter is named {name!r}; parfocal ls shows those that exist", adapter=name)


def no_version(name: str, number: int, was_deleted: bool) -> VersionNotFound:
    """The adapter has no such live version."""
    what = "was deleted" if was_deleted else "does not exist"
    return VersionNotFound(
        f"version {number} of adapter {name!r} {what}; {_versions_of(name)}",
        adapter=name,
        version=str(number),
    )


def no_version_left(name: str) -> VersionNotFound:
    """Every version of the adapter was deleted."""
    return VersionNotFound(f"adapter {name!r} has no version left; publish it again to use it", adapter=name)


def many_digests(digits: str, name: str) -> InvalidReference:
    """Several versions of `name` have digests that begin so."""
    return InvalidReference(
        f"several versions of {name!r} have digests that begin with {digits}; write more digits",
        field="adapter",
    )


def no_digest(digest: str, name: str | None = None) -> VersionNotFound:
    """No version, of `name` if given, has this digest."""
    if name is None:
        return VersionNotFound(
            f"no version has digest {digest}; parfocal ls NAME shows those of an adapter", digest=digest
        )
    return VersionNotFound(
        f"adapter {name!r} has no version with digest {digest}; {_versions_of(name)}",
        adapter=name, digest=digest,
    )  # fmt: skip


def no_alias(name: str, alias: str) -> AliasNotFound:
    """The adapter has no such alias."""
    return AliasNotFound(
        f"adapter {name!r} has no alias {alias!r}; {_versions_of(name)}", adapter=name, alias=alias
    )


def check_points_at(name: str, alias: str, expected: int | None, actual: int) -> None:
    """Raises AliasMoved unless the alias points where it is expected to; 0 stands for no such alias."""
    if expected is None or expected == actual:
        return
    was = f"points at version {actual}" if actual else "does not exist"
    wanted = f"version {expected}" if expected else "no such alias"
    raise AliasMoved(
        f"alias {alias!r} of {name!r} {was}, expected {wanted}; look again and retry",
        adapter=name, alias=alias, expected=str(expected), actual=str(actual),
    )  # fmt: skip


def check_room(name: str, aliases: int) -> None:
    """Raises TooManyAliases unless an adapter with so many aliases can get another."""
    if aliases >= MAX_ALIASES:
        raise TooManyAliases(
            f"adapter {name!r} has {aliases} aliases, and at most {MAX_ALIASES} are kept: delete one first",
            adapter=name,
        )


def check_gate_room(name: str, gates: int) -> None:
    """Raises TooManyAliases unless aliases of an adapter with so many gates can get another."""
    if gates >= MAX_ALIASES:
        raise TooManyAliases(
            f"aliases of adapter {name!r} carry {gates} gates, and at most {MAX_ALIASES} are kept: clear one "
            "first",
            adapter=name,
        )


def check_gate(name: str, alias: str, terms: Terms, gate: int, actual: int) -> None:
    """Raises GateMoved unless the gate, 0 for none, was asked, and asked about what the alias points at."""
    if terms.gate == gate and terms.asked_at in (None, actual):
        return
    raise GateMoved(
        f"alias {alias!r} of {name!r}, or its gate, was moved while the gate was asked; try again",
        adapter=name, alias=alias,
    )  # fmt: skip


def check_leads_to(name: str, alias: str, terms: Terms, target: int) -> None:
    """Raises GateMoved unless a rollback leads where it was seen to lead."""
    if terms.leads_to not in (None, target):
        raise GateMoved(
            f"version {terms.leads_to} of {name!r}, to which alias {alias!r} led back, was deleted "
            "meanwhile; try again",
            adapter=name, alias=alias,
        )  # fmt: skip


def check_canary(name: str, alias: str, expected: int | None, actual: Canary | None) -> None:
    """Raises AliasMoved unless the canary of an alias is the one expected; 0 stands for none."""
    number = 0 if actual is None else actual.number
    if expected in (None, number):
        return
    has = f"has the canary {actual}, number {number}" if actual else "has no canary"
    wanted = f"number {expected}" if expected else "none"
    raise AliasMoved(
        f"alias {alias!r} of {name!r} {has}, expected {wanted}; look again and retry",
        adapter=name, alias=alias, expected_canary=str(expected), actual_canary=str(number),
    )  # fmt: skip


def check_second(name: str, alias: str, version: int, actual: int) -> None:
    """Raises InvalidCanary where an alias points at what is to be its canary."""
    if version == actual:
        raise InvalidCanary(
            f"{name}@{alias} points at version {version}; its canary must be another", field="version"
        )


def no_canary(name: str, alias: str) -> CanaryNotFound:
    """The alias has no canary."""
    return CanaryNotFound(
        f"alias {alias!r} of {name!r} has no canary; parfocal alias {name} {alias} --canary VERSION --weight "
        "10 begins one",
        adapter=name, alias=alias,
    )  # fmt: skip


def check_room_for(held: NamespaceUse, added: int) -> None:
    """Raises QuotaExceeded where a namespace would hold too much with a version of so many new bytes."""
    namespace, use, quota = held.namespace, held.size_bytes, held.quota
    if quota.max_versions is not None and held.versions >= quota.max_versions:
        raise _quota_exceeded(
            f"namespace {namespace!r} has {held.versions} versions, and may have {quota.max_versions}",
            namespace=namespace, quota="versions", limit=str(quota.max_versions), used=str(held.versions),
            needed="1",
        )  # fmt: skip
    if quota.max_bytes is not None and added and use + added > quota.max_bytes:
        raise _quota_exceeded(
            f"namespace {namespace!r} holds {use} bytes, may hold {quota.max_bytes}, and this version adds "
            f"{added}",
            namespace=namespace, quota="bytes", limit=str(quota.max_bytes), used=str(use), needed=str(added),
        )  # fmt: skip


def _quota_exceeded(what: str, **told: str) -> QuotaExceeded:
    return QuotaExceeded(
        f"{what}: delete versions that nobody needs (parfocal ls, parfocal rm), or ask the operator of the "
        "registry for a larger quota; nothing was published",
        **told,
    )


def no_gate(name: str, alias: str) -> GateNotFound:
    """The alias carries no gate."""
    return GateNotFound(
        f"alias {alias!r} of {name!r} carries no gate; parfocal gate {name}@{alias} set gives it one",
        adapter=name, alias=alias,
    )  # fmt: skip


def check_room_to_sign(name: str, number: int, signatures: int) -> None:
    """Raises TooManySignatures unless a version with so many signatures can get another."""
    if signatures >= MAX_SIGNATURES:
        raise TooManySignatures(
            f"{name}@{number} has {signatures} signatures, and at most {MAX_SIGNATURES} are kept",
            adapter=name, version=str(number),
        )  # fmt: skip


def nothing_to_roll_back(name: str, alias: str, actual: int) -> NothingToRollBack:
    """The alias has no earlier live version."""
    return NothingToRollBack(
        f"alias {alias!r} of {name!r} has no earlier version that still exists; "
        f"parfocal log {name} shows its moves",
        adapter=name, alias=alias, version=str(actual),
    )  # fmt: skip


def version_in_use(name: str, number: int, aliases: Sequence[str]) -> VersionInUse:
    """Aliases point at the version."""
    held = ", ".join(aliases)
    return VersionInUse(
        f"{name}@{number} is what alias {held} points at, or gives requests as a canary; move or delete the "
        "alias, or abort the canary first",
        adapter=name, version=str(number), aliases=held,
    )  # fmt: skip


def adapter_in_use(name: str, aliases: Sequence[str]) -> AdapterInUse:
    """The adapter has aliases."""
    held = ", ".join(aliases)
    return AdapterInUse(
        f"adapter {name!r} has aliases ({held}); delete them first, or all of it with --force",
        adapter=name, aliases=held,
    )  # fmt: skip


def no_event(sequence: int, last: int) -> EventUnknown:
    """A watch is to go on after an event that the history does not have, or not any more."""
    return EventUnknown(
        f"the history has no event {sequence}, its last is {last}: the index was restored or rebuilt; "
        "list what there is now, and watch from here",
        sequence=str(sequence), last=str(last),
    )  # fmt: skip


def _versions_of(name: str) -> str:
    return f"parfocal ls {name} shows those that exist"
