"""An index in memory, which proves that a registry knows no SQLite."""

# size: a method for each call of the protocol

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from parfocal.registry.index import NO_TERMS, Slice, Terms, refusals
from parfocal.registry.quotas import NO_QUOTAS, NamespaceUse, Quotas
from parfocal.registry.values import (
    ALL_MOVES,
    ALL_VERSIONS,
    MOVE_KINDS,
    POINTING,
    AdapterName,
    AdapterSummary,
    Alias,
    AliasMove,
    Canary,
    CanaryComparison,
    CanaryEnd,
    CanaryOutcome,
    CanaryPlan,
    Event,
    EventKind,
    Manifest,
    MoveFilter,
    Signature,
    Version,
    VersionFilter,
    digest_of,
    rollback_target,
)

Item = TypeVar("Item")


class MemoryIndex:
    """An index that is nothing but its events; each look-up reads them from the first."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._quotas = NO_QUOTAS
        self._manifests: dict[str, bytes] = {}
        self._leases: dict[tuple[str, str], datetime] = {}
        self._lock = threading.RLock()
        self._publishing = threading.Semaphore(1000)

    def moment(self) -> object | None:
        return len(self._events)

    def version(self, name: str, number: int) -> Version:
        self._require(name)
        if number not in self._live(name):
            raise refusals.no_version(name, number, was_deleted=number in self._published(name))
        return self._version(self._published(name)[number]).checked()

    def latest(self, name: str) -> Version:
        self._require(name)
        if not self._live(name):
            raise refusals.no_version_left(name)
        return self.version(name, max(self._live(name)))

    def version_with(self, name: str, digest: str) -> Version:
        self._require(name)
        found = [number for number, whole in self._live(name).items() if whole.startswith(digest)]
        if not found:
            raise refusals.no_digest(digest, name)
        if len(found) > 1:
            raise refusals.many_digests(digest, name)
        return self.version(name, found[0])

    def target(self, name: str, alias: str) -> Version:
        there = self._the_alias(name, alias)
        return replace(self.version(name, there.version), canary=there.canary)

    def find(self, digest: str) -> Version:
        published = [e for e in self._events if e.kind is EventKind.VERSION_PUBLISHED and e.digest == digest]
        if not published or digest not in self._manifests:
            raise refusals.no_digest(digest)
        return self._version(
            min(published, key=lambda e: (e.version not in self._live(e.name), e.name))
        ).checked()

    def is_live(self, digest: str) -> bool:
        return any(digest in self._live(name).values() for name in self._names())

    def is_known(self, digest: str) -> bool:
        published = (e for e in self._events if e.kind is EventKind.VERSION_PUBLISHED)
        return any(event.digest == digest for event in published)

    def versions(
        self, name: str, limit: int, after: str, where: VersionFilter = ALL_VERSIONS
    ) -> Slice[Version]:
        self._require(name)
        numbers = [n for n in sorted(self._live(name), reverse=True) if not after or n < int(after)]
        numbers = [n for n in numbers if self._is_such(name, n, where)]
        found = [self._version(self._published(name)[n]) for n in numbers]
        return _slice(found, limit, lambda version: str(version.version))

    def adapters(self, limit: int, after: str, where: VersionFilter = ALL_VERSIONS) -> Slice[AdapterSummary]:
        names = [name for name in sorted(self._names()) if name > after and not self._is_deleted(name)]
        if where != ALL_VERSIONS:
            names = [name for name in names if any(self._is_such(name, n, where) for n in self._live(name))]
        return _slice([self._summary(name) for name in names], limit, lambda summary: summary.name)

    def aliases(self, name: str) -> list[Alias]:
        self._require(name)
        return [self._the_alias(name, alias) for alias in sorted(self._pointing(name))]

    def moves(
        self, name: str, alias: str, limit: int, after: str, where: MoveFilter = ALL_MOVES
    ) -> Slice[AliasMove]:
        found = [e for e in self._moves(name, alias) if not after or e.sequence < int(after)][::-1]
        found = [e for e in found if where.actor in ("", e.actor) and e.happened_at in where.moved]
        if not found and not after and not self._moves(name, alias):
            self._require(name)
            if alias:
                raise refusals.no_alias(name, alias)
        events = _slice(found, limit, lambda event: str(event.sequence))
        return Slice(tuple(event.move() for event in events.items), events.next_key)

    def add_version(
        self, name: str, manifest: bytes, actor: str = "", signatures: Sequence[bytes] = ()
    ) -> Version:
        digest = digest_of(manifest)
        with self._lock:
            there = self._live_with(name, digest)
            if there is not None:
                self._sign(there, signatures, actor)
                return there
            sizes = {file.digest: file.size for file in Manifest.from_bytes(manifest).files}
            self._check_quota(name, sizes)
            self._manifests[digest] = manifest
            number = max(self._published(name), default=0) + 1
            self._happened(EventKind.VERSION_PUBLISHED, name, version=number, digest=digest, actor=actor)
            version = self.version(name, number)
            self._sign(version, signatures, actor)
            return version

    def add_signature(self, name: str, number: int, bundle: bytes, actor: str) -> Signature:
        with self._lock:
            self._sign(self.version(name, number), [bundle], actor)
            digest = digest_of(bundle)
            return next(each for each in self.signatures(name, number) if each.digest == digest)

    def signatures(self, name: str, number: int) -> tuple[Signature, ...]:
        self.version(name, number)
        return tuple(
            Signature(e.digest, self._manifests.get(e.digest, b""), e.happened_at, e.actor)
            for e in self._of(name)
            if e.kind is EventKind.VERSION_SIGNED and e.version == number
        )

    def signature_bundles(self) -> Iterator[tuple[str, bytes]]:
        live = [(name, number) for name in self._names() for number in self._live(name)]
        found = {each.digest: each.bundle for key in live for each in self.signatures(*key)}
        yield from found.items()

    def limit_to(self, quotas: Quotas) -> None:
        self._quotas = quotas

    def check_quota(self, name: str, files: Mapping[str, int]) -> None:
        if files.keys() - self._files(_namespace(name)).keys():
            self._check_quota(name, files)

    def namespaces(self, limit: int, after: str) -> Slice[NamespaceUse]:
        live = [name for name in self._names() if not self._is_deleted(name)]
        found = list(dict.fromkeys(map(_namespace, sorted(live, key=lambda name: ("/" in name, name)))))
        uses = [self._use(each) for each in found[found.index(after) + 1 if after else 0 :]]
        return _slice(uses, limit, lambda use: use.namespace)

    def _check_quota(self, name: str, files: Mapping[str, int]) -> None:
        use = self._use(_namespace(name))
        held = self._files(use.namespace)
        refusals.check_room_for(use, sum(files[digest] for digest in files.keys() - held.keys()))

    def _use(self, namespace: str) -> NamespaceUse:
        names = [name for name in self._names() if _namespace(name) == namespace and self._live(name)]
        versions = sum(len(self._live(name)) for name in names)
        size = sum(self._files(namespace).values())
        return NamespaceUse(namespace, len(names), versions, size, self._quotas.of(namespace))

    def _files(self, namespace: str) -> dict[str, int]:
        names = [name for name in self._names() if _namespace(name) == namespace]
        manifests = [self._manifests[digest] for name in names for digest in self._live(name).values()]
        return {file.digest: file.size for each in manifests for file in Manifest.from_bytes(each).files}

    def set_alias(self, name: str, alias: str, version: int, actor: str, terms: Terms = NO_TERMS) -> Alias:
        with self._lock:
            digest = self.version(name, version).digest
            actual, canary = self._pointing(name).get(alias, 0), self._canary(name, alias)
            refusals.check_points_at(name, alias, terms.expected, actual)
            refusals.check_canary(name, alias, terms.canary, canary)
            if not actual:
                refusals.check_room(name, len(self._pointing(name)))
            if actual != version or canary is not None:
                self._check_gate(name, alias, terms, actual)
                move = {"alias": alias, "version": version, "digest": digest, "previous_version": actual}
                told = {"gate": terms.found, "canary": _end(canary, version)}
                self._happened(EventKind.ALIAS_SET, name, **move, actor=actor, **told)
            return self._the_alias(name, alias)

    def set_canary(self, name: str, alias: str, plan: CanaryPlan, actor: str, terms: Terms) -> Alias:
        with self._lock:
            there = self._the_alias(name, alias)
            digest = self.version(name, plan.version).digest
            refusals.check_points_at(name, alias, terms.expected, there.version)
            refusals.check_canary(name, alias, terms.canary, there.canary)
            refusals.check_second(name, alias, plan.version, there.version)
            if there.canary is None or there.canary.plan != plan:
                self._check_gate(name, alias, terms, there.version)
                told = {"gate": terms.found, "canary": plan.text_of(digest)}
                self._happened(EventKind.CANARY_SET, name, **_rest(there), actor=actor, **told)
            return self._the_alias(name, alias)

    def abort_canary(
        self, name: str, alias: str, number: int, actor: str, found: tuple[CanaryComparison, ...] = ()
    ) -> Alias:
        with self._lock:
            there = self._the_alias(name, alias)
            if there.canary is None:
                raise refusals.no_canary(name, alias)
            refusals.check_canary(name, alias, number, there.canary)
            end = CanaryEnd.of(there.canary, CanaryOutcome.ABORTED, found).to_text()
            self._happened(EventKind.CANARY_ABORTED, name, **_rest(there), actor=actor, canary=end)
            return self._the_alias(name, alias)

    def roll_back_alias(self, name: str, alias: str, actor: str, terms: Terms) -> Alias:
        with self._lock:
            self._require(name)
            moves = [(MOVE_KINDS[event.kind], event.version) for event in self._pointings(name, alias)]
            if not moves:
                raise refusals.no_alias(name, alias)
            actual = self._pointing(name).get(alias, 0)
            refusals.check_points_at(name, alias, terms.expected, actual)
            target = rollback_target(reversed(moves), self._live(name).__contains__)
            if target is None:
                raise refusals.nothing_to_roll_back(name, alias, actual)
            refusals.check_leads_to(name, alias, terms, target)
            if not actual:
                refusals.check_room(name, len(self._pointing(name)))
            self._check_gate(name, alias, terms, actual)
            digest = self._live(name)[target]
            move = {"alias": alias, "version": target, "digest": digest, "previous_version": actual}
            told = {"gate": terms.found, "canary": _end(self._canary(name, alias), target)}
            self._happened(EventKind.ALIAS_ROLLED_BACK, name, **move, actor=actor, **told)
            return self._the_alias(name, alias)

    def delete_alias(self, name: str, alias: str, expected: int | None, actor: str) -> None:
        with self._lock:
            self._require(name)
            actual = self._pointing(name).get(alias, 0)
            refusals.check_points_at(name, alias, expected, actual)
            if not actual:
                raise refusals.no_alias(name, alias)
            kind, end = EventKind.ALIAS_DELETED, _end(self._canary(name, alias), 0)
            self._happened(kind, name, alias=alias, previous_version=actual, actor=actor, canary=end)

    def gate(self, name: str, alias: str) -> Event | None:
        self._require(name)
        return self._gates(name).get(alias)

    def set_gate(self, name: str, alias: str, rules: str, actor: str) -> Event:
        with self._lock:
            there = self.gate(name, alias)
            if there is not None and there.gate == rules:
                return there
            if there is None:
                refusals.check_gate_room(name, len(self._gates(name)))
            self._happened(EventKind.GATE_SET, name, alias=alias, actor=actor, gate=rules)
            return self._events[-1]

    def clear_gate(self, name: str, alias: str, actor: str) -> None:
        with self._lock:
            if self.gate(name, alias) is None:
                raise refusals.no_gate(name, alias)
            self._happened(EventKind.GATE_CLEARED, name, alias=alias, actor=actor)

    def delete_version(self, name: str, number: int, actor: str) -> None:
        with self._lock:
            digest = self.version(name, number).digest
            held = [alias.alias for alias in self.aliases(name) if alias.holds(number)]
            if held:
                raise refusals.version_in_use(name, number, held)
            self._happened(EventKind.VERSION_DELETED, name, version=number, digest=digest, actor=actor)

    def delete_adapter(self, name: str, force: bool, actor: str) -> None:
        with self._lock:
            aliases = [alias.alias for alias in self.aliases(name)]
            if aliases and not force:
                raise refusals.adapter_in_use(name, aliases)
            for alias in aliases:
                self.delete_alias(name, alias, None, actor)
            for alias in sorted(self._gates(name)):
                self.clear_gate(name, alias, actor)
            for number in sorted(self._live(name)):
                self.delete_version(name, number, actor)
            self._happened(EventKind.ADAPTER_DELETED, name, actor=actor)

    def manifests(self) -> Iterator[tuple[str, bytes]]:
        yield from ((digest, self._manifests[digest]) for digest in self.live_digests())

    def live_digests(self) -> set[str]:
        return {digest for name in self._names() for digest in self._live(name).values()}

    def signature_digests(self) -> set[str]:
        return {digest for digest, _ in self.signature_bundles()}

    def events(self, after: int, limit: int) -> list[Event]:
        return self._events[after : after + limit]

    def last_sequence(self) -> int:
        return len(self._events)

    def event(self, sequence: int) -> Event | None:
        return next((event for event in self._events if event.sequence == sequence), None)

    def restore(self, events: Iterable[Event], manifests: Mapping[str, bytes]) -> None:
        self._events, self._manifests = [], dict(manifests)
        for event in events:
            self._events.append(self._sealed(event))

    def lease(self, owner: str, digests: Collection[str], seconds: float) -> None:
        ends_at = datetime.now(UTC) + timedelta(seconds=seconds)
        for digest in digests:
            self._leases[digest, owner] = max(ends_at, self._leases.get((digest, owner), ends_at))

    def leased(self, owner: str | None = None) -> set[str]:
        now = datetime.now(UTC)
        return {
            digest
            for (digest, holder), ends_at in self._leases.items()
            if ends_at >= now and owner in (None, holder)
        }

    def end_lease(self, owner: str, digests: Collection[str]) -> None:
        for digest in digests:
            self._leases.pop((digest, owner), None)

    def check(self) -> list[str]:
        return []

    @contextmanager
    def publishing(self) -> Iterator[None]:
        with self._publishing:
            yield

    @contextmanager
    def collecting(self) -> Iterator[None]:
        yield

    def _sign(self, version: Version, bundles: Sequence[bytes], actor: str) -> None:
        for bundle in bundles:
            known = {each.digest for each in self.signatures(version.name, version.version)}
            digest = digest_of(bundle)
            if digest in known:
                continue
            refusals.check_room_to_sign(version.name, version.version, len(known))
            self._manifests[digest] = bundle
            signed = {"version": version.version, "digest": digest, "actor": actor}
            self._happened(EventKind.VERSION_SIGNED, version.name, **signed)

    def _happened(self, kind: EventKind, name: str, **fields: object) -> None:
        event = Event(len(self._events) + 1, kind, name, datetime.now(UTC))
        self._events.append(self._sealed(replace(event, **fields)))  # type: ignore[arg-type]

    def _sealed(self, event: Event) -> Event:
        previous = self._events[-1].hash if self._events else ""
        return replace(event, hash=event.hash_after(previous))

    def _of(self, name: str) -> list[Event]:
        return [event for event in self._events if event.name == name]

    def _names(self) -> set[str]:
        return {event.name for event in self._events}

    def _is_deleted(self, name: str) -> bool:
        return self._of(name)[-1].kind is EventKind.ADAPTER_DELETED

    def _require(self, name: str) -> None:
        if not self._of(name) or self._is_deleted(name):
            raise refusals.no_adapter(name, was_deleted=bool(self._of(name)))

    def _published(self, name: str) -> dict[int, Event]:
        return {e.version: e for e in self._of(name) if e.kind is EventKind.VERSION_PUBLISHED}

    def _live(self, name: str) -> dict[int, str]:
        deleted = {e.version for e in self._of(name) if e.kind is EventKind.VERSION_DELETED}
        return {n: event.digest for n, event in self._published(name).items() if n not in deleted}

    def _live_with(self, name: str, digest: str) -> Version | None:
        return next((self.version(name, n) for n, d in self._live(name).items() if d == digest), None)

    def _version(self, event: Event) -> Version:
        data = self._manifests[event.digest]
        return Version(event.name, event.version, event.digest, data, event.happened_at)

    def _is_such(self, name: str, number: int, where: VersionFilter) -> bool:
        event = self._published(name)[number]
        manifest = self._version(event).manifest
        parent = manifest.provenance.parent if manifest.provenance else None
        pointing = {alias for alias, version in self._pointing(name).items() if version == number}
        texts = (name, manifest.contract.base.id, *manifest.tags)
        metrics = manifest.evaluation.metrics if manifest.evaluation else {}
        return (
            where.base in ("", manifest.contract.base.id)
            and where.parent in ("", parent)
            and where.actor in ("", event.actor)
            and (not where.alias or where.alias in pointing)
            and event.happened_at in where.published
            and all(any(word in text.casefold() for text in texts) for word in where.words)
            and set(where.tags) <= set(manifest.tags)
            and all(each.holds(metrics) for each in where.metrics)
        )

    def _moves(self, name: str, alias: str) -> list[Event]:
        return [e for e in self._of(name) if e.kind in MOVE_KINDS and alias in ("", e.alias)]

    def _pointings(self, name: str, alias: str) -> list[Event]:
        return [event for event in self._moves(name, alias) if event.kind in POINTING]

    def _canary(self, name: str, alias: str) -> Canary | None:
        moves = self._moves(name, alias)
        if not moves or moves[-1].kind is not EventKind.CANARY_SET:
            return None
        e = moves[-1]
        plan, digest = CanaryPlan.parse(e.canary)
        return Canary(name, alias, plan, digest, e.sequence, e.actor, e.happened_at)

    def _gates(self, name: str) -> dict[str, Event]:
        last = {e.alias: e for e in self._of(name) if e.kind in (EventKind.GATE_SET, EventKind.GATE_CLEARED)}
        return {alias: event for alias, event in last.items() if event.kind is EventKind.GATE_SET}

    def _check_gate(self, name: str, alias: str, terms: Terms, actual: int) -> None:
        gate = self.gate(name, alias)
        refusals.check_gate(name, alias, terms, 0 if gate is None else gate.sequence, actual)

    def _pointing(self, name: str) -> dict[str, int]:
        last = {event.alias: event.version for event in self._pointings(name, "")}
        return {alias: version for alias, version in last.items() if version}

    def _the_alias(self, name: str, alias: str) -> Alias:
        self._require(name)
        if alias not in self._pointing(name):
            raise refusals.no_alias(name, alias)
        e = self._pointings(name, alias)[-1]
        canary = self._canary(name, alias)
        return Alias(name, alias, e.version, e.digest, e.actor, e.happened_at, canary)

    def _summary(self, name: str) -> AdapterSummary:
        live, published = self._live(name), self._published(name)
        aliases = tuple(self.aliases(name))
        moments = [e.happened_at for e in published.values()] + [a.moved_at for a in aliases]
        created = published[min(published)].happened_at
        latest = max(live, default=0)
        return AdapterSummary(name, latest, len(live), created, max(moments), aliases)


def _slice(items: Sequence[Item], limit: int, key: Callable[[Item], str]) -> Slice[Item]:
    return Slice(tuple(items[:limit]), key(items[limit - 1]) if len(items) > limit else "")


def _end(canary: Canary | None, version: int) -> str:
    if canary is None:
        return ""
    promoted = canary.version == version
    return CanaryEnd.of(canary, CanaryOutcome.PROMOTED if promoted else CanaryOutcome.REPLACED).to_text()


def _rest(alias: Alias) -> dict[str, object]:
    """The fields of an event of an alias that stays where it is."""
    place = {"version": alias.version, "digest": alias.digest, "previous_version": alias.version}
    return {"alias": alias.alias, **place}


def _namespace(name: str) -> str:
    return AdapterName.parse(name).namespace
