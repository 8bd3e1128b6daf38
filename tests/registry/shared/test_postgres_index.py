"""The index in PostgreSQL: what it is on its own, and what it survives."""

import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fakes.registry.postgres_server import PostgresServer, postgres_server, why_no_postgres
from fakes.registry.publisher import numbered_adapter
from parfocal.registry import AliasMoved, Publication, SharedRegistry, StorageAddress
from parfocal.registry.errors import (
    IndexCorrupt,
    IndexLost,
    IndexUnreachable,
    RegistryBusy,
    RegistryForbidden,
    RegistryTooNew,
)

psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'parfocal[postgres]'")


@pytest.fixture(scope="module")
def mortal() -> Iterator[PostgresServer]:
    """A server that may be stopped."""
    if why := why_no_postgres():
        pytest.skip(why)
    with postgres_server() as server:
        yield server


@pytest.fixture
def url(mortal: PostgresServer) -> str:
    return mortal.url(f"test_{secrets.token_hex(6)}")


@pytest.fixture
def opened(url: str, tmp_path: Path) -> Callable[[], SharedRegistry]:
    """Returns a function that opens the same registry, as another process would."""
    address = StorageAddress(url, str(tmp_path / "blobs"))
    return lambda: SharedRegistry(address, cache=tmp_path / "cache")


def execute(url: str, statement: str) -> None:
    address, _, schema = url.rpartition("&schema=")
    with psycopg.connect(address, options=f"-c search_path={schema}", autocommit=True) as connection:
        connection.execute(statement)


def test_what_was_acknowledged_survives_a_crash_and_the_next_call_finds_the_server_again(
    opened: Callable[[], SharedRegistry], mortal: PostgresServer, publication: Publication, tmp_path: Path
) -> None:
    registry = opened()
    first = registry.publish("x", numbered_adapter(tmp_path, 1), publication)
    mortal.stop("immediate")
    mortal.start()
    assert registry.resolve("x") == first
    assert registry.publish("x", numbered_adapter(tmp_path, 2), publication).version == 2
    assert registry.verify().is_sound


def test_a_server_that_restarts_while_an_adapter_is_published_loses_nothing(
    opened: Callable[[], SharedRegistry], mortal: PostgresServer, publication: Publication, tmp_path: Path
) -> None:
    registry = opened()

    def restart(done: int, total: int) -> None:
        if done == total:
            mortal.stop("immediate")
            threading.Thread(target=mortal.start, daemon=True).start()

    version = registry.publish("x", numbered_adapter(tmp_path, 1), publication, restart)
    assert version.version == 1
    assert opened().resolve("x") == version
    assert registry.publish("x", numbered_adapter(tmp_path, 1), publication) == version


def test_what_was_collected_while_a_publisher_had_lost_its_lock_is_published_again(
    opened: Callable[[], SharedRegistry], mortal: PostgresServer, publication: Publication, tmp_path: Path
) -> None:
    registry, other, folder = opened(), opened(), numbered_adapter(tmp_path, 1)

    def lose_the_lock(done: int, total: int) -> None:
        if done == total:
            mortal.stop("immediate")
            mortal.start()
            other.collect_garbage(grace_s=0.0, most=True)

    with pytest.raises(RegistryBusy, match="publish it again"):
        registry.publish("x", folder, publication, lose_the_lock)
    assert registry.adapters().items == ()
    assert registry.publish("x", folder, publication).version == 1
    assert registry.verify().is_sound


def test_a_stopped_server_is_told_with_its_address(
    opened: Callable[[], SharedRegistry], mortal: PostgresServer
) -> None:
    from parfocal.registry.disk import be_patient_until

    registry = opened()
    mortal.stop()
    be_patient_until(0.0)
    try:
        with pytest.raises(IndexUnreachable, match="postgresql://parfocal@"):
            registry.adapters()
    finally:
        be_patient_until(float("inf"))
        mortal.start()
    assert registry.adapters().items == ()


def test_of_many_movers_with_one_expectation_one_moves_the_alias(
    opened: Callable[[], SharedRegistry], publication: Publication, tmp_path: Path
) -> None:
    for number in range(4):
        opened().publish("x", numbered_adapter(tmp_path, number), publication)
    moved, refused = list[int](), list[int]()

    def move(registry: SharedRegistry, version: int) -> None:
        try:
            moved.append(registry.set_alias("x", "prod", version, expected_version=0).version)
        except AliasMoved:
            refused.append(version)

    movers = [(opened(), version) for version in (1, 2, 3, 4)]
    threads = [threading.Thread(target=move, args=each, daemon=True) for each in movers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (len(moved), len(refused)) == (1, 3)
    assert opened().resolve("x@prod").version == moved[0]


def test_processes_that_found_one_index_at_a_time_find_one(opened: Callable[[], SharedRegistry]) -> None:
    registries = list[SharedRegistry]()

    def find() -> None:
        registries.append(opened())

    threads = [threading.Thread(target=find, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(registries) == 4


def test_history_can_neither_be_edited_nor_removed(
    opened: Callable[[], SharedRegistry], url: str, publication: Publication, tmp_path: Path
) -> None:
    opened().publish("x", numbered_adapter(tmp_path, 1), publication)
    for statement in (
        "UPDATE events SET actor = 'nobody'",
        "DELETE FROM events",
        "TRUNCATE events",
        "DELETE FROM versions",
        "UPDATE versions SET digest = 'sha256:0'",
        "UPDATE adapters SET next_version = 1",
    ):
        with pytest.raises(psycopg.IntegrityError):
            execute(url, statement)


def test_an_index_of_a_newer_parfocal_is_left_alone(opened: Callable[[], SharedRegistry], url: str) -> None:
    opened()
    execute(url, "UPDATE registry SET schema_version = 99")
    with pytest.raises(RegistryTooNew, match="schema 99"):
        opened()


def test_a_lost_index_is_not_made_anew_over_its_blobs(
    opened: Callable[[], SharedRegistry], url: str, publication: Publication, tmp_path: Path
) -> None:
    opened().publish("x", numbered_adapter(tmp_path, 1), publication)
    execute(url, f"DROP SCHEMA {url.rpartition('=')[2]} CASCADE")
    with pytest.raises(IndexLost):
        opened()


def test_a_damaged_index_and_a_user_without_rights_are_told_apart(
    opened: Callable[[], SharedRegistry], url: str, tmp_path: Path
) -> None:
    registry = opened()
    execute(url, "CREATE ROLE stranger LOGIN")
    address = StorageAddress(url.replace("//parfocal@", "//stranger@"), str(tmp_path / "blobs"))
    with pytest.raises(RegistryForbidden):
        SharedRegistry(address, cache=tmp_path / "cache")
    execute(url, "ALTER TABLE aliases RENAME TO others")
    with pytest.raises(IndexCorrupt):
        registry.adapters()
