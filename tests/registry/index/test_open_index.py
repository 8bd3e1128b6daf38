"""An index that changes under a process that has it open, and a journal that is behind it."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.registry.publisher import numbered_adapter
from fakes.registry.registry_server import serving_aside
from parfocal.registry import FolderRegistry, Publication, rebuild_folder
from parfocal.registry.errors import IndexCorrupt, IndexLost, RegistryBusy, StorageError
from parfocal.registry.index.sqlite import SqliteIndex
from parfocal.registry.remote import RemoteRegistry
from parfocal.registry.values import EventKind


@pytest.fixture
def used(path: Path, tmp_path: Path) -> Iterator[str]:
    """A server in another process that has the registry open; its address."""
    with serving_aside(path, tmp_path / "uploads") as address:
        yield address


def test_an_index_is_not_rebuilt_under_a_process_that_has_it_open(
    path: Path, older: Path, tmp_path: Path, publication: Publication
) -> None:
    registry = FolderRegistry(path)
    for name in ("index.sqlite", "index.sqlite-wal", "index.sqlite-shm"):
        (path / name).unlink(missing_ok=True)
    with pytest.raises(IndexLost):
        registry.resolve("team/x")
    with pytest.raises(IndexLost):
        registry.publish("y", numbered_adapter(tmp_path, 60), publication)
    there = sorted(path.rglob("*"))
    with pytest.raises(RegistryBusy, match="stop what uses it"):
        rebuild_folder(path)
    assert sorted(path.rglob("*")) == there
    del registry
    rebuild_folder(path)
    registry = FolderRegistry(path)
    assert registry.resolve("team/x").version == 3
    assert registry.publish("y", numbered_adapter(tmp_path, 60), publication).version == 1


def test_an_index_is_not_rebuilt_under_a_server(path: Path, used: str) -> None:
    with pytest.raises(RegistryBusy, match="parfocal serve"):
        rebuild_folder(path)
    remote = RemoteRegistry(used, cache=path.parent / "cache")
    assert remote.resolve("team/x@prod").version == 3


def test_a_registry_that_could_not_be_opened_does_not_hold_up_its_rebuild(path: Path) -> None:
    os.truncate(path / "index.sqlite", 0)
    with pytest.raises(IndexLost) as refused:
        FolderRegistry(path)
    rebuild_folder(path)
    assert refused.value.status == "DATA_LOSS"


@pytest.mark.parametrize("left", [0, 4096, 5000])
def test_an_index_that_is_cut_under_an_open_process_is_named_and_nothing_is_freed(
    path: Path, left: int
) -> None:
    registry = FolderRegistry(path)
    os.truncate(path / "index.sqlite", left)
    there = sorted((path / "blobs").rglob("*"))
    with pytest.raises((IndexCorrupt, IndexLost), match="parfocal registry rebuild"):
        registry.collect_garbage()
    with pytest.raises((IndexCorrupt, IndexLost), match="parfocal registry rebuild"):
        FolderRegistry(path)
    assert sorted((path / "blobs").rglob("*")) == there


def test_an_open_process_refuses_to_write_into_an_older_copy(
    path: Path, older: Path, tmp_path: Path, publication: Publication
) -> None:
    registry = FolderRegistry(path)
    os.replace(older, path / "index.sqlite")
    with pytest.raises(IndexLost, match="older than its journal"):
        registry.set_alias("team/x", "prod", 1)
    with pytest.raises(IndexLost):
        registry.collect_garbage()


def test_a_journal_that_is_gone_is_written_anew_to_its_end(path: Path) -> None:
    with closing(SqliteIndex(path / "index.sqlite", lambda: None)) as opened:
        last = opened.events(opened.last_sequence() - 1, 1)[0]
        move = next(event for event in opened.events(0, 100) if event.kind is EventKind.ALIAS_SET)
    columns = "kind, name, happened_at, version, digest, alias, previous_version, actor, gate, canary"
    index = sqlite3.connect(path / "index.sqlite", isolation_level=None)
    index.execute("BEGIN")
    for _ in range(2500):
        following = replace(move, sequence=last.sequence + 1)
        last = replace(following, hash=following.hash_after(last.hash))
        index.execute(
            f"INSERT INTO events ({columns}, hash) SELECT {columns}, ? FROM events WHERE sequence = ?",
            (last.hash, move.sequence),
        )
    index.execute("COMMIT")
    index.close()
    (path / "journal.jsonl").unlink()
    assert FolderRegistry(path).verify().is_sound
    assert len((path / "journal.jsonl").read_bytes().splitlines()) > 2500


def test_a_journal_that_cannot_be_written_follows_later(
    path: Path, tmp_path: Path, publication: Publication, caplog: pytest.LogCaptureFixture
) -> None:
    journal = path / "journal.jsonl"
    was = journal.read_bytes()
    registry = FolderRegistry(path)
    journal.unlink()
    journal.mkdir()
    with pytest.raises(StorageError):
        registry.publish("y", numbered_adapter(tmp_path, 60), publication)
    journal.rmdir()
    journal.write_bytes(was)
    index = SqliteIndex(path / "index.sqlite", lambda: None)
    index.set_alias("team/x", "beta", 1, "")
    FolderRegistry(path)
    assert journal.read_bytes().startswith(was)
    assert FolderRegistry(path).verify().is_sound
