"""The index in a database. Each method is one transaction; rows and statements are beside it."""

# size: a method for each call of the protocol

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain, islice

from parfocal.registry.index import refusals
from parfocal.registry.index.protocol import NO_TERMS, Slice, Terms
from parfocal.registry.index.sql import gates, leases, lookups, usage
from parfocal.registry.index.sql.changes import apply, last_sequence, next_number, restore
from parfocal.registry.index.sql.filtering import names_of_such, of_moves, of_versions
from parfocal.registry.index.sql.rows import (
    EVENT_COLUMNS,
    MOVES,
    VERSION_COLUMNS,
    EventRow,
    VersionRow,
    event_of,
    fitting,
    fitting_moves,
    moment_in,
    now,
)
from parfocal.registry.index.sql.session import Database, Session
from parfocal.registry.index.sql.signatures import EVERY_BUNDLE, EVERY_SIGNATURE, of_version, sign
from parfocal.registry.quotas import NO_QUOTA, NO_QUOTAS, NamespaceUse, Quotas
from parfocal.registry.values import (
    ALL_MOVES,
    ALL_VERSIONS,
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
    MoveFilter,
    Signature,
    Version,
    VersionFilter,
    digest_of,
    rollback_target,
)

# A database may hand over all rows at once, and those of versions hold manifests.
_VERSIONS_AT_ONCE = 16
_NAMES = "SELECT name FROM adapters WHERE deleted_at IS NULL AND name > ? ORDER BY name LIMIT ?"
_SUMMARIES = """
SELECT a.name, a.created_at,
    coalesce(max(v.version) FILTER (WHERE v.deleted_at IS NULL), 0),
    count(v.version) FILTER (WHERE v.deleted_at IS NULL),
    coalesce(max(v.created_at), ''),
    coalesce((SELECT max(moved_at) FROM aliases WHERE name = a.name), '')
FROM ({names}) n JOIN adapters a ON a.name = n.name LEFT JOIN versions v ON v.name = a.name
GROUP BY a.name ORDER BY a.name
"""
# Of equal manifests under several names, the first.
_MANIFESTS = """
SELECT digest, manifest FROM versions v WHERE deleted_at IS NULL AND NOT EXISTS (
    SELECT 1 FROM versions e WHERE e.digest = v.digest AND e.deleted_at IS NULL
    AND (e.name < v.name OR (e.name = v.name AND e.version < v.version))
)
"""
_LIVE_DIGESTS = "SELECT DISTINCT digest FROM versions WHERE deleted_at IS NULL"


class SqlIndex:
    """The index in `database`, but for what is the database's own affair: its check, and its locks.

    `clock` says when events happen. Their order is that of their numbers, whatever the clock does.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime] = now) -> None:
        self._database = database
        self._now = clock
        self._quotas = NO_QUOTAS

    def moment(self) -> object | None:
        return self._database.moment()

    def version(self, name: str, number: int) -> Version:
        with self._database.read() as session:
            found = lookups.live_version(session, name, number)
        return found.checked()

    def latest(self, name: str) -> Version:
        with self._database.read() as session:
            lookups.require_adapter(session, name)
            found = lookups.version_where(
                session, "name = ? AND deleted_at IS NULL ORDER BY version DESC", name
            )
        if found is None:
            raise refusals.no_version_left(name)
        return found.checked()

    def version_with(self, name: str, digest: str) -> Version:
        with self._database.read() as session:
            lookups.require_adapter(session, name)
            found = lookups.live_with_digits(session, name, digest)
        if not found:
            raise refusals.no_digest(digest, name)
        if len(found) > 1:
            raise refusals.many_digests(digest, name)
        return found[0].checked()

    def target(self, name: str, alias: str) -> Version:
        with self._database.read() as session:
            lookups.require_adapter(session, name)
            there = lookups.the_alias(session, name, alias)
            found = lookups.live_version(session, name, there.version)
        return replace(found.checked(), canary=there.canary)

    def find(self, digest: str) -> Version:
        with self._database.read() as session:
            # A rebuilt index may have no manifest for a deleted version.
            found = lookups.version_where(
                session,
                "digest = ? AND length(manifest) > 0 ORDER BY deleted_at IS NOT NULL, name, version",
                digest,
            )
        if found is None:
            raise refusals.no_digest(digest)
        return found.checked()

    def is_live(self, digest: str) -> bool:
        return self._exists("SELECT 1 FROM versions WHERE digest = ? AND deleted_at IS NULL", digest)

    def is_known(self, digest: str) -> bool:
        return self._exists("SELECT 1 FROM versions WHERE digest = ?", digest)

    def versions(
        self, name: str, limit: int, after: str, where: VersionFilter = ALL_VERSIONS
    ) -> Slice[Version]:
        with self._database.read() as session:
            lookups.require_adapter(session, name)
            items, more = fitting(_downwards(session, name, _below(after), where), limit)
        return Slice(items, str(items[-1].version) if more else "")

    def adapters(self, limit: int, after: str, where: VersionFilter = ALL_VERSIONS) -> Slice[AdapterSummary]:
        names, values = (_NAMES, ()) if where == ALL_VERSIONS else names_of_such(where)
        with self._database.read() as session:
            rows = session.execute(_SUMMARIES.format(names=names), (*values, after, limit + 1)).fetchall()
            # One statement for all of them: to a database elsewhere, each is a way there and back.
            aliases = lookups.aliases_of(session, [row[0] for row in rows[:limit]])
        items = tuple(_summary(row, aliases.get(row[0], ())) for row in rows[:limit])
        return Slice(items, items[-1].name if len(rows) > limit else "")

    def aliases(self, name: str) -> list[Alias]:
        with self._database.read() as session:
            lookups.require_adapter(session, name)
            return lookups.all_aliases(session, name)

    def moves(
        self, name: str, alias: str, limit: int, after: str, where: MoveFilter = ALL_MOVES
    ) -> Slice[AliasMove]:
        with self._database.read() as session:
            rows = _moves(session, (name, alias), limit, after, where)
            if not rows and not after and not _moves(session, (name, alias), 0, "", ALL_MOVES):
                lookups.require_adapter(session, name)
                if alias:
                    raise refusals.no_alias(name, alias)
        found, more = fitting_moves(rows, limit)
        return Slice(tuple(event_of(row).move() for row in found), str(found[-1][0]) if more else "")

    def add_version(
        self, name: str, manifest: bytes, actor: str = "", signatures: Sequence[bytes] = ()
    ) -> Version:
        digest = digest_of(manifest)
        with self._database.write() as session:
            there = lookups.live_with_digest(session, name, digest)
            if there is not None:
                if signatures:
                    self._before_adding(session)
                    sign(session, self._signing(name, there.version, actor), signatures)
                # Its own bytes need not be read to be believed.
                return there if there.manifest_bytes == manifest else there.checked()
            self._before_adding(session)
            self._check_quota(session, name, usage.files_of(manifest))
            number = next_number(session, name)
            event = Event(0, EventKind.VERSION_PUBLISHED, name, self._now(), number, digest, actor=actor)
            apply(session, event, manifest)
            sign(session, self._signing(name, number, actor), signatures)
            return Version(name, number, digest, manifest, event.happened_at)

    def add_signature(self, name: str, number: int, bundle: bytes, actor: str) -> Signature:
        with self._database.write() as session:
            self._before_adding(session)
            lookups.require_version(session, name, number)
            sign(session, self._signing(name, number, actor), [bundle])
            digest = digest_of(bundle)
            return next(each for each in of_version(session, name, number) if each.digest == digest)

    def signatures(self, name: str, number: int) -> tuple[Signature, ...]:
        with self._database.read() as session:
            lookups.require_version(session, name, number)
            return of_version(session, name, number)

    def limit_to(self, quotas: Quotas) -> None:
        self._quotas = quotas

    def check_quota(self, name: str, files: Mapping[str, int]) -> None:
        with self._database.read() as session:
            if usage.new_bytes(session, AdapterName.parse(name).namespace, files):
                self._check_quota(session, name, files)

    def namespaces(self, limit: int, after: str) -> Slice[NamespaceUse]:
        with self._database.read() as session:
            found = list(islice(usage.namespaces(session, after), limit + 1))
            items = tuple(
                replace(usage.use_of(session, each), quota=self._quotas.of(each)) for each in found[:limit]
            )
        return Slice(items, found[limit - 1] if len(found) > limit else "")

    def set_alias(self, name: str, alias: str, version: int, actor: str, terms: Terms = NO_TERMS) -> Alias:
        with self._database.write() as session:
            digest = lookups.require_version(session, name, version)
            there = lookups.alias_or_none(session, name, alias)
            actual, canary = (0, None) if there is None else (there.version, there.canary)
            refusals.check_points_at(name, alias, terms.expected, actual)
            refusals.check_canary(name, alias, terms.canary, canary)
            if not actual:
                refusals.check_room(name, lookups.count_aliases(session, name))
            if actual != version or canary is not None:
                gates.check(session, name, alias, terms, actual)
                kind, place = EventKind.ALIAS_SET, (version, digest, alias, actual)
                event = Event(0, kind, name, self._now(), *place, actor, gate=terms.found)
                apply(session, replace(event, canary=_end_of(canary, version)))
            return lookups.the_alias(session, name, alias)

    def set_canary(self, name: str, alias: str, plan: CanaryPlan, actor: str, terms: Terms) -> Alias:
        with self._database.write() as session:
            lookups.require_adapter(session, name)
            there = lookups.the_alias(session, name, alias)
            digest = lookups.require_version(session, name, plan.version)
            refusals.check_points_at(name, alias, terms.expected, there.version)
            refusals.check_canary(name, alias, terms.canary, there.canary)
            refusals.check_second(name, alias, plan.version, there.version)
            if there.canary is None or there.canary.plan != plan:
                gates.check(session, name, alias, terms, there.version)
                event = _at_rest(EventKind.CANARY_SET, there, self._now(), actor, plan.text_of(digest))
                apply(session, replace(event, gate=terms.found))
            return lookups.the_alias(session, name, alias)

    def abort_canary(
        self, name: str, alias: str, number: int, actor: str, found: tuple[CanaryComparison, ...] = ()
    ) -> Alias:
        with self._database.write() as session:
            lookups.require_adapter(session, name)
            there = lookups.the_alias(session, name, alias)
            if there.canary is None:
                raise refusals.no_canary(name, alias)
            refusals.check_canary(name, alias, number, there.canary)
            end = CanaryEnd.of(there.canary, CanaryOutcome.ABORTED, found).to_text()
            apply(session, _at_rest(EventKind.CANARY_ABORTED, there, self._now(), actor, end))
            return lookups.the_alias(session, name, alias)

    def roll_back_alias(self, name: str, alias: str, actor: str, terms: Terms) -> Alias:
        with self._database.write() as session:
            lookups.require_adapter(session, name)
            moves = lookups.past_moves(session, name, alias)
            latest = next(moves, None)
            if latest is None:
                raise refusals.no_alias(name, alias)
            there = lookups.alias_or_none(session, name, alias)
            actual, canary = (0, None) if there is None else (there.version, there.canary)
            refusals.check_points_at(name, alias, terms.expected, actual)
            live = lookups.live_numbers(session, name)
            target = rollback_target(chain((latest,), moves), live.__contains__)
            if target is None:
                raise refusals.nothing_to_roll_back(name, alias, actual)
            refusals.check_leads_to(name, alias, terms, target)
            if not actual:
                refusals.check_room(name, lookups.count_aliases(session, name))
            gates.check(session, name, alias, terms, actual)
            place = target, live[target], alias, actual
            event = Event(0, EventKind.ALIAS_ROLLED_BACK, name, self._now(), *place, actor, gate=terms.found)
            apply(session, replace(event, canary=_end_of(canary, target)))
            return lookups.the_alias(session, name, alias)

    def delete_alias(self, name: str, alias: str, expected: int | None, actor: str) -> None:
        with self._database.write() as session:
            lookups.require_adapter(session, name)
            there = lookups.alias_or_none(session, name, alias)
            refusals.check_points_at(name, alias, expected, 0 if there is None else there.version)
            if there is None:
                raise refusals.no_alias(name, alias)
            _delete_alias(session, there, actor, self._now())

    def gate(self, name: str, alias: str) -> Event | None:
        with self._database.read() as session:
            lookups.require_adapter(session, name)
            return lookups.gate_of(session, name, alias)

    def set_gate(self, name: str, alias: str, rules: str, actor: str) -> Event:
        with self._database.write() as session:
            lookups.require_adapter(session, name)
            gate = Event(0, EventKind.GATE_SET, name, self._now(), alias=alias, actor=actor, gate=rules)
            return gates.put(session, gate)

    def clear_gate(self, name: str, alias: str, actor: str) -> None:
        with self._database.write() as session:
            lookups.require_adapter(session, name)
            if lookups.gate_of(session, name, alias) is None:
                raise refusals.no_gate(name, alias)
            apply(session, self._clearing(name, alias, actor))

    def delete_version(self, name: str, number: int, actor: str) -> None:
        with self._database.write() as session:
            digest = lookups.require_version(session, name, number)
            aliases = [a.alias for a in lookups.all_aliases(session, name) if a.holds(number)]
            if aliases:
                raise refusals.version_in_use(name, number, aliases)
            apply(session, self._deleting(name, number, digest, actor))

    def delete_adapter(self, name: str, force: bool, actor: str) -> None:
        with self._database.write() as session:
            lookups.require_adapter(session, name)
            aliases = lookups.all_aliases(session, name)
            if aliases and not force:
                raise refusals.adapter_in_use(name, [alias.alias for alias in aliases])
            for alias in aliases:
                _delete_alias(session, alias, actor, self._now())
            for gate in lookups.all_gates(session, name):
                apply(session, self._clearing(name, gate.alias, actor))
            for number, digest in lookups.live_numbers(session, name).items():
                apply(session, self._deleting(name, number, digest, actor))
            apply(session, Event(0, EventKind.ADAPTER_DELETED, name, self._now(), actor=actor))

    def manifests(self) -> Iterator[tuple[str, bytes]]:
        with self._database.read() as session:
            rows = session.execute(_MANIFESTS).fetchall()
        yield from rows

    def live_digests(self) -> set[str]:
        with self._database.read() as session:
            return {digest for (digest,) in session.execute(_LIVE_DIGESTS)}

    def signature_bundles(self) -> Iterator[tuple[str, bytes]]:
        with self._database.read() as session:
            rows = session.execute(EVERY_BUNDLE).fetchall()
        yield from rows

    def signature_digests(self) -> set[str]:
        with self._database.read() as session:
            return {digest for (digest,) in session.execute(EVERY_SIGNATURE)}

    def events(self, after: int, limit: int) -> list[Event]:
        with self._database.read() as session:
            rows = session.execute(
                f"SELECT {EVENT_COLUMNS} FROM events WHERE sequence > ? ORDER BY sequence LIMIT ?",
                (after, limit),
            ).fetchall()
        return [event_of(row) for row in rows]

    def last_sequence(self) -> int:
        with self._database.read() as session:
            return last_sequence(session)

    def event(self, sequence: int) -> Event | None:
        found = self.events(sequence - 1, 1)
        return found[0] if found and found[0].sequence == sequence else None

    def restore(self, events: Iterable[Event], manifests: Mapping[str, bytes]) -> None:
        with self._database.write() as session:
            restore(session, events, manifests)

    def lease(self, owner: str, digests: Collection[str], seconds: float) -> None:
        with self._database.write() as session:
            self._before_adding(session)
            begun = self._clock(session)
            leases.grant(session, owner, digests, begun, begun + timedelta(seconds=seconds))

    def leased(self, owner: str | None = None) -> set[str]:
        with self._database.read() as session:
            return leases.in_force(session, self._clock(session), owner)

    def end_lease(self, owner: str, digests: Collection[str]) -> None:
        with self._database.write() as session:
            leases.end(session, owner, digests)

    def check(self) -> list[str]:
        raise NotImplementedError

    def publishing(self) -> AbstractContextManager[None]:
        raise NotImplementedError

    def collecting(self) -> AbstractContextManager[None]:
        raise NotImplementedError

    def _before_adding(self, session: Session) -> None:
        """Raises where a version must not be added now, though its files were stored."""

    def _signing(self, name: str, number: int, actor: str) -> Event:
        return Event(0, EventKind.VERSION_SIGNED, name, self._now(), number, actor=actor)

    def _clearing(self, name: str, alias: str, actor: str) -> Event:
        return Event(0, EventKind.GATE_CLEARED, name, self._now(), alias=alias, actor=actor)

    def _deleting(self, name: str, number: int, digest: str, actor: str) -> Event:
        return Event(0, EventKind.VERSION_DELETED, name, self._now(), number, digest, actor=actor)

    def _clock(self, session: Session) -> datetime:
        """The time that leases go by: one clock for all who share the index."""
        return self._now()

    def _check_quota(self, session: Session, name: str, files: Mapping[str, int]) -> None:
        """Raises QuotaExceeded where a namespace would hold too much with a version of these files."""
        namespace = AdapterName.parse(name).namespace
        quota = self._quotas.of(namespace)
        if quota != NO_QUOTA:
            held = replace(usage.use_of(session, namespace), quota=quota)
            refusals.check_room_for(held, usage.new_bytes(session, namespace, files))

    def _exists(self, statement: str, digest: str) -> bool:
        with self._database.read() as session:
            return session.execute(statement, (digest,)).fetchone() is not None


def _downwards(session: Session, name: str, below: int, where: VersionFilter) -> Iterator[VersionRow]:
    """The live versions of an adapter with lower numbers, the newest first."""
    condition, values = of_versions(where)
    while True:
        rows: list[VersionRow] = session.execute(
            f"SELECT {VERSION_COLUMNS} FROM versions v WHERE name = ? AND deleted_at IS NULL"
            f" AND version < ?{condition} ORDER BY version DESC LIMIT ?",
            (name, below, *values, _VERSIONS_AT_ONCE),
        ).fetchall()
        yield from rows
        if len(rows) < _VERSIONS_AT_ONCE:
            return
        below = rows[-1][1]


def _moves(
    session: Session, whose: tuple[str, str], limit: int, after: str, where: MoveFilter
) -> list[EventRow]:
    """Moves of an adapter's alias, or of all where that is empty, before the one with a key.

    The newest first, and one more than `limit` if there are as many.
    """
    (name, alias), (condition, values) = whose, of_moves(where)
    # Whatever is asked for, an index has it in its order: the history may be of millions.
    of_alias = ("AND alias = ?", [alias]) if alias else ("", [])
    rows: list[EventRow] = session.execute(
        f"SELECT {EVENT_COLUMNS} FROM events WHERE name = ? AND {MOVES} {of_alias[0]}"
        f" AND sequence < ?{condition} ORDER BY sequence DESC LIMIT ?",
        (name, *of_alias[1], _below(after), *values, limit + 1),
    ).fetchall()
    return rows


def _delete_alias(session: Session, alias: Alias, actor: str, when: datetime) -> None:
    where, previous, ended = alias.alias, alias.version, _end_of(alias.canary, 0)
    event = Event(0, EventKind.ALIAS_DELETED, alias.name, when, alias=where, actor=actor, canary=ended)
    apply(session, replace(event, previous_version=previous))


def _end_of(canary: Canary | None, version: int) -> str:
    """How a canary ends when its alias is pointed at a version, 0 for none; empty where there is none."""
    if canary is None:
        return ""
    outcome = CanaryOutcome.PROMOTED if canary.version == version else CanaryOutcome.REPLACED
    return CanaryEnd.of(canary, outcome).to_text()


def _at_rest(kind: EventKind, alias: Alias, when: datetime, actor: str, canary: str) -> Event:
    """An event of an alias that goes on pointing where it points."""
    place = alias.version, alias.digest, alias.alias, alias.version
    return Event(0, kind, alias.name, when, *place, actor, canary=canary)


def _summary(row: tuple[str, str, int, int, str, str], aliases: Sequence[Alias]) -> AdapterSummary:
    name, created_at, latest, count, published_at, moved_at = row
    changed_at = moment_in(max(published_at, moved_at))
    return AdapterSummary(name, latest, count, moment_in(created_at), changed_at, tuple(aliases))


def _below(key: str) -> int:
    """The number that a key holds, or one above all of them."""
    return int(key) if key.isdecimal() and len(key) < 19 else lookups.ABOVE_ALL
