"""From the surviving events of a history to events that can restore an index. Knows no storage."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from parfocal.registry.errors import InvalidCanary
from parfocal.registry.values import CanaryPlan, Event, EventKind, Standing

ACTOR = "parfocal registry rebuild"


@dataclass(frozen=True, slots=True)
class Mended:
    """Events numbered from 1 without a gap, and the live versions that were lost (`name@number`).

    `is_changed` if they differ from the events given.
    """

    events: tuple[Event, ...]
    lost: tuple[str, ...]
    is_changed: bool


def mend(events: Iterable[Event], manifests: Collection[str]) -> Mended:
    """Completes events of which some may be missing.

    A live version whose digest is not among `manifests` is lost: events of their own end it and its aliases.
    """
    given = list(events)
    told = list(_whole(given))
    standing = Standing.after(told)
    lost = [key for key, digest in standing.versions.items() if digest not in manifests]
    for key in lost:
        told.append(_end(EventKind.VERSION_DELETED, *key, digest=standing.versions.pop(key)))
    for (name, alias), number in list(standing.aliases.items()):
        if (name, number) not in standing.versions:
            told.append(_end(EventKind.ALIAS_DELETED, name, alias=alias, previous_version=number))
            standing.take(told[-1])
    told += _without_canary(standing)
    numbered = tuple(replace(event, sequence=number) for number, event in enumerate(told, 1))
    is_changed = list(numbered) != given
    if is_changed:  # another history, which nobody has sealed
        numbered = tuple(replace(event, hash="") for event in numbered)
    return Mended(numbered, tuple(f"{name}@{number}" for name, number in lost), is_changed)


def published(name: str, version: int, digest: str) -> Event:
    """The event of a version that is found again now."""
    return Event(0, EventKind.VERSION_PUBLISHED, name, datetime.now(UTC), version, digest, actor=ACTOR)


def _whole(events: Iterable[Event]) -> Iterable[Event]:
    """The events, each once, with missing ones that others presuppose inserted before them."""
    told: list[Event] = []
    numbers: set[tuple[str, int]] = set()
    live: dict[tuple[str, str], int] = {}
    for event in events:
        version, content = (event.name, event.version), (event.name, event.digest)
        if event.kind is EventKind.VERSION_SIGNED:
            if version in numbers:  # of what is not known any more, a signature says nothing
                told.append(event)
            continue
        if event.kind is EventKind.VERSION_PUBLISHED and version in numbers:
            continue
        if event.version and version not in numbers:
            if content in live:
                told.append(_end(EventKind.VERSION_DELETED, event.name, live[content], digest=event.digest))
            numbers.add(version)
            live[content] = event.version
            if event.kind is not EventKind.VERSION_PUBLISHED:
                told.append(replace(published(*version, event.digest), happened_at=event.happened_at))
        if event.kind is EventKind.VERSION_DELETED:
            live.pop(content, None)
        if event.kind is EventKind.ADAPTER_DELETED:
            told += _rest(told, event.name)
            live = {key: number for key, number in live.items() if key[0] != event.name}
        told.append(event)
    return told


def _without_canary(standing: Standing) -> Iterable[Event]:
    """The ends of canaries whose version was lost, or of which nobody can tell which it is."""
    for (name, alias), begun in standing.canaries.items():
        try:
            plan, _ = CanaryPlan.parse(begun.canary)
        except InvalidCanary:
            plan = None
        if plan is None or (name, plan.version) not in standing.versions:
            number = standing.aliases[name, alias]
            digest = standing.versions[name, number]
            place = {"alias": alias, "digest": digest, "previous_version": number}
            yield _end(EventKind.CANARY_ABORTED, name, number, **place)


def _rest(told: Iterable[Event], name: str) -> Iterable[Event]:
    """The ends of what is left of an adapter that is deleted."""
    standing = Standing.after(told)
    for (owner, alias), number in standing.aliases.items():
        if owner == name:
            yield _end(EventKind.ALIAS_DELETED, name, alias=alias, previous_version=number)
    for owner, alias in standing.gates:
        if owner == name:
            yield _end(EventKind.GATE_CLEARED, name, alias=alias)
    for (owner, number), digest in standing.versions.items():
        if owner == name:
            yield _end(EventKind.VERSION_DELETED, name, number, digest=digest)


def _end(kind: EventKind, name: str, version: int = 0, **fields: object) -> Event:
    return replace(Event(0, kind, name, datetime.now(UTC), version, actor=ACTOR), **fields)  # type: ignore[arg-type]
