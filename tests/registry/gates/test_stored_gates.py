"""Gates where they are kept: beside other movers, in a sealed history, after a rebuild, in older indexes."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path

import pytest

from fakes.registry.memory_blobs import MemoryBlobs
from fakes.registry.memory_index import MemoryIndex
from fakes.registry.planted import SPOILS, plant
from parfocal.registry import (
    Alias,
    FolderRegistry,
    SharedRegistry,
    StorageAddress,
    StoredRegistry,
    Version,
    rebuild_folder,
    rebuild_shared,
    verify_events,
)
from parfocal.registry.copies import LocalCopies
from parfocal.registry.errors import GateMoved, GateNotFound, GateRefused
from parfocal.registry.gates import (
    BelowBase,
    Bound,
    Gate,
    NotAboveCurrent,
    Outcome,
    Override,
    Passage,
    Side,
)
from parfocal.registry.index import NO_TERMS, Terms
from parfocal.registry.remote import RemoteRegistry

Publish = Callable[..., Version]
BETTER = Gate((BelowBase(), NotAboveCurrent()))
# What makes an index one of before there were gates.
UNDONE = (
    "DROP INDEX events_of_gates",
    "DROP INDEX events_by_name",
    "ALTER TABLE aliases DROP COLUMN canary",
    "ALTER TABLE events DROP COLUMN canary",
    "ALTER TABLE events DROP COLUMN gate",
    "DROP TABLE version_files",
    "DROP TABLE signatures",
    "DROP TABLE version_metrics",
    "DROP TABLE version_tags",
    "DROP INDEX facts_by_base",
    "DROP INDEX facts_by_parent",
)


class Overtaken(MemoryIndex):
    """An index in which something happens just before an alias is moved."""

    def __init__(self) -> None:
        super().__init__()
        self.before: list[Callable[[], object]] = []

    def set_alias(self, name: str, alias: str, version: int, actor: str, terms: Terms = NO_TERMS) -> Alias:
        if self.before:
            self.before.pop(0)()
        return super().set_alias(name, alias, version, actor, terms)


@pytest.fixture
def overtaken() -> Overtaken:
    return Overtaken()


@pytest.fixture
def behind(overtaken: Overtaken, tmp_path: Path, publish: Publish) -> StoredRegistry:
    """A registry over it: version 1 has prod, 2 is better, 3 in between; prod takes only what is no worse."""
    registry = StoredRegistry("behind", overtaken, MemoryBlobs(), [LocalCopies(tmp_path / "copies")])
    for loss in (1.5, 1.3, 1.4):
        publish(registry, adapter_loss=loss, base_loss=2.0)
    registry.set_alias("team/x", "prod", 1)
    registry.set_gate("team/x", "prod", BETTER)
    return registry


def test_a_version_is_held_against_what_the_alias_points_at_when_it_moves(
    behind: StoredRegistry, overtaken: Overtaken
) -> None:
    overtaken.before = [lambda: behind.set_alias("team/x", "prod", 2)]
    with pytest.raises(GateRefused, match=r"1\.4 against 1\.3 of version 2"):
        behind.set_alias("team/x", "prod", 3)
    assert behind.resolve("team/x@prod").version == 2


def test_a_gate_that_is_set_meanwhile_is_asked(behind: StoredRegistry, overtaken: Overtaken) -> None:
    overtaken.before = [lambda: behind.set_gate("team/x", "dev", Gate((BelowBase(1.0),)))]
    with pytest.raises(GateRefused):
        behind.set_alias("team/x", "dev", 3)


def test_a_gate_that_is_cleared_meanwhile_refuses_nothing(
    behind: StoredRegistry, overtaken: Overtaken
) -> None:
    overtaken.before = [lambda: behind.clear_gate("team/x", "prod")]
    assert behind.set_alias("team/x", "prod", 3).version == 3
    assert behind.alias_history("team/x", "prod")[0].gate == ""


def test_who_is_overtaken_again_and_again_is_told(behind: StoredRegistry, overtaken: Overtaken) -> None:
    limits = iter(range(100))

    def set_another() -> None:
        behind.set_gate("team/x", "prod", Gate((Bound("adapter_loss", Side.AT_MOST, 5.0 + next(limits)),)))

    overtaken.before = [set_another] * 20
    with pytest.raises(GateMoved, match="try again"):
        behind.set_alias("team/x", "prod", 3)
    assert behind.resolve("team/x@prod").version == 1


def test_who_knows_no_gates_moves_no_alias_that_carries_one(
    behind: StoredRegistry, overtaken: Overtaken
) -> None:
    with pytest.raises(GateMoved):
        overtaken.set_alias("team/x", "prod", 2, "eve")
    with pytest.raises(GateMoved):
        overtaken.set_alias("team/x", "prod", 2, "eve", Terms(expected=1))
    assert behind.resolve("team/x@prod").version == 1


def test_of_many_movers_at_once_none_makes_an_alias_worse(
    any_storage: StoredRegistry, publish: Publish
) -> None:
    losses = {publish(any_storage, adapter_loss=loss, base_loss=3.0).version: loss for loss in (2, 1, 0, 1.5)}
    any_storage.set_gate("team/x", "prod", BETTER)

    def move(version: int) -> None:
        with suppress(GateRefused, GateMoved):
            any_storage.set_alias("team/x", "prod", version)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(move, list(losses) * 3))
    moved = [losses[move.version] for move in reversed(any_storage.alias_history("team/x", "prod"))]
    assert moved
    assert moved == sorted(moved, reverse=True)
    assert any_storage.verify_history().is_sound


def test_an_alias_moves_away_from_what_nobody_can_read(tmp_path: Path) -> None:
    registry = plant(tmp_path, SPOILS["no JSON"])
    registry.set_gate("x", "bad", Gate((NotAboveCurrent(),)))
    with pytest.raises(GateRefused, match="version 2, where the alias points, cannot be read"):
        registry.set_alias("x", "bad", 3)
    assert registry.override_gate("x", "bad", 3, Override("it is rotten")).version == 3


@pytest.fixture
def write(publish: Publish) -> Callable[[StoredRegistry], None]:
    """Returns a function that makes eight events: versions, a gate, moves through it and past it."""

    def happen(registry: StoredRegistry) -> None:
        for loss in (1.5, 1.9):
            publish(registry, adapter_loss=loss, base_loss=2.0)
        registry.set_gate("team/x", "prod", BETTER, "ann")
        registry.set_alias("team/x", "prod", 1, actor="ann")
        registry.override_gate("team/x", "prod", 2, Override("no time", "ben"))
        registry.rollback_alias("team/x", "prod", 2, actor="cy")
        registry.set_gate("team/x", "dev", BETTER)
        registry.clear_gate("team/x", "dev")

    return happen


def check(registry: StoredRegistry) -> None:
    assert registry.gate("team/x", "prod").gate == BETTER
    with pytest.raises(GateNotFound):
        registry.gate("team/x", "dev")
    with pytest.raises(GateRefused):
        registry.set_alias("team/x", "prod", 2)
    moves = [Passage.parse(move.gate) for move in registry.alias_history("team/x", "prod")]
    assert [move.outcome for move in moves] == [Outcome.ROLLED_BACK, Outcome.OVERRIDDEN, Outcome.PASSED]
    assert moves[1].reason == "no time"
    assert registry.verify().is_sound


def test_every_index_keeps_gates_in_its_sealed_history(
    any_storage: StoredRegistry, write: Callable[[StoredRegistry], None]
) -> None:
    write(any_storage)
    check(any_storage)
    assert any_storage.verify_history().events == 8


def test_gates_are_proved_from_elsewhere(
    registry: FolderRegistry, remote: RemoteRegistry, write: Callable[[StoredRegistry], None]
) -> None:
    write(registry)
    watch = remote.watch(after=0)
    found = verify_events(islice(watch, 8))
    watch.close()
    assert (found.events, found.faults, found.last) == (8, (), registry.verify_history().last)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET gate = replace(gate, 'no time', 'all well') WHERE sequence = 5",
        "UPDATE events SET gate = '' WHERE sequence = 5",
        "UPDATE events SET gate = '{}' WHERE sequence = 3",
    ],
)
def test_a_mark_that_somebody_takes_away_is_told(
    registry: FolderRegistry, write: Callable[[StoredRegistry], None], statement: str
) -> None:
    write(registry)
    index = sqlite3.connect(registry.path / "index.sqlite", isolation_level=None)
    index.execute("DROP TRIGGER events_are_not_changed")
    index.execute(statement)
    index.close()
    [fault] = registry.verify_history().faults
    assert fault.sequence == (3 if statement.endswith("3") else 5)


def test_a_rebuilt_index_has_the_gates_and_what_they_found(
    tmp_path: Path, write: Callable[[StoredRegistry], None]
) -> None:
    path = tmp_path / "registry"
    registry = FolderRegistry(path)
    write(registry)
    seal = registry.verify_history().last
    del registry  # nobody may have it open
    (path / "index.sqlite").unlink()
    rebuild_folder(path)
    rebuilt = FolderRegistry(path)
    check(rebuilt)
    assert rebuilt.verify_history(seal).is_sound


def test_an_index_in_postgresql_comes_back_with_its_gates(
    shared_address: StorageAddress, write: Callable[[StoredRegistry], None], tmp_path: Path
) -> None:
    registry = SharedRegistry(shared_address, cache=tmp_path / "cache")
    write(registry)
    seal = registry.verify_history().last
    _execute(shared_address, "DROP SCHEMA SCHEMA_ CASCADE")
    rebuild_shared(shared_address, tmp_path / "cache")
    check(SharedRegistry(shared_address, cache=tmp_path / "cache"))
    assert registry.verify_history(seal).is_sound


def test_an_index_of_before_there_were_gates_takes_them(tmp_path: Path, publish: Publish) -> None:
    path = tmp_path / "registry"
    registry = FolderRegistry(path)
    for loss in (1.5, 1.9):
        publish(registry, adapter_loss=loss, base_loss=2.0)
    registry.set_alias("team/x", "prod", 1, actor="ann")
    before = registry.verify_history().last
    history = registry.alias_history("team/x", "prod")
    del registry
    index = sqlite3.connect(path / "index.sqlite", isolation_level=None)
    for statement in UNDONE:
        index.execute(statement)
    index.execute("PRAGMA user_version = 5")
    index.close()
    migrated = FolderRegistry(path)
    assert migrated.verify_history(before).is_sound
    assert migrated.alias_history("team/x", "prod") == history
    migrated.set_gate("team/x", "prod", BETTER)
    with pytest.raises(GateRefused):
        migrated.set_alias("team/x", "prod", 2)
    # An earlier Parfocal that is still running would not ask the gate.
    index = sqlite3.connect(path / "index.sqlite", isolation_level=None)
    with pytest.raises(sqlite3.IntegrityError, match=r"events\.gate"):
        index.execute(
            "INSERT INTO events (kind, name, happened_at, version, digest, alias, previous_version, actor,"
            " hash) VALUES ('alias_set', 'team/x', '', 2, '', 'prod', 1, '', '')"
        )
    index.close()


def test_an_index_in_postgresql_of_before_there_were_gates_takes_them(
    shared_address: StorageAddress, publish: Publish, tmp_path: Path
) -> None:
    psycopg = pytest.importorskip("psycopg")
    registry = SharedRegistry(shared_address, cache=tmp_path / "cache")
    for loss in (1.5, 1.9):
        publish(registry, adapter_loss=loss, base_loss=2.0)
    registry.set_alias("team/x", "prod", 1)
    before = registry.verify_history().last
    for statement in UNDONE:
        _execute(shared_address, statement)
    _execute(shared_address, "UPDATE registry SET schema_version = 4")
    migrated = SharedRegistry(shared_address, cache=tmp_path / "cache")
    assert migrated.verify_history(before).is_sound
    migrated.set_gate("team/x", "prod", BETTER)
    with pytest.raises(GateRefused):
        migrated.set_alias("team/x", "prod", 2)
    with pytest.raises(psycopg.errors.NotNullViolation):
        _execute(
            shared_address,
            "INSERT INTO events (sequence, kind, name, happened_at, version, digest, alias, previous_version,"
            " actor, hash) VALUES (99, 'alias_set', 'team/x', '', 2, '', 'prod', 1, '', '')",
        )


def _execute(address: StorageAddress, statement: str) -> None:
    """Runs a statement in the schema of the index."""
    psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed")
    url, _, schema = address.index.rpartition("&schema=")
    with psycopg.connect(url, options=f"-c search_path={schema}", autocommit=True) as connection:
        connection.execute(statement.replace("SCHEMA_", schema))
