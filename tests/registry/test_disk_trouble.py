"""A disk that is full or cannot be written: a clean error, nothing half done, reads go on."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fakes.registry.publisher import Order, publisher
from parfocal.registry import FolderRegistry, Publication
from parfocal.registry.blobs import Blob, FolderBlobs, StagedBlob
from parfocal.registry.errors import RegistryForbidden, RegistryFull, RegistryReadOnly, StorageError
from parfocal.registry.values import Readable

Write = Callable[..., Path]
READ_ONLY = "FAILED_PRECONDITION REGISTRY_READ_ONLY"


class FailingBlobs(FolderBlobs):
    """Blobs on a disk that fails after the first piece of a file that is larger than `spared` bytes."""

    def __init__(self, root: Path, code: int, spared: int = 0) -> None:
        super().__init__(root)
        self._code = code
        self._spared = spared

    @contextmanager
    def stage(self) -> Iterator[StagedBlob]:
        with super().stage() as staged:
            yield FailingBlob(staged, self._fail)

    def _fail(self, count: int) -> None:
        if count > self._spared:
            raise OSError(self._code, os.strerror(self._code))


class FailingBlob:
    """A blob of theirs, on its way."""

    def __init__(self, staged: StagedBlob, fail: Callable[[int], None]) -> None:
        self.open, self.keep = staged.open, staged.keep
        self._staged = staged
        self._fail = fail

    def fill(self, source: Readable, advanced: Callable[[int], None] | None = None) -> Blob:
        return self._staged.fill(source, self._fail)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no folder in which nobody makes any")
def test_a_registry_that_cannot_be_made_is_refused_with_advice() -> None:
    with pytest.raises(StorageError, match=r"registry /proc/absent failed: .*; .*choose another place"):
        FolderRegistry(Path("/proc/absent"))


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (errno.ENOSPC, RegistryFull),
        (errno.EDQUOT, RegistryFull),
        (errno.EFBIG, RegistryFull),
        (errno.EROFS, RegistryReadOnly),
        (errno.EACCES, RegistryForbidden),
        (errno.EPERM, RegistryForbidden),
        (errno.EIO, StorageError),
    ],
)
def test_a_disk_that_fails_while_publishing_is_a_clean_error(
    tmp_path: Path, adapter: Write, publication: Publication, code: int, error: type[StorageError]
) -> None:
    path = tmp_path / "registry"
    with pytest.raises(StorageError) as refused:
        FolderRegistry(path, blobs=FailingBlobs(path, code)).publish("x", adapter(), publication)
    assert type(refused.value) is error
    assert list((path / "staging").iterdir()) == []
    assert FolderRegistry(path).publish("x", adapter(), publication).version == 1


def test_a_disk_that_fails_only_for_the_weights_is_a_clean_error(
    tmp_path: Path, adapter: Write, publication: Publication
) -> None:
    path, folder = tmp_path / "registry", adapter()
    spared = (folder / "adapter_model.safetensors").stat().st_size - 1
    assert (folder / "adapter_config.json").stat().st_size < spared
    with pytest.raises(RegistryFull, match="no space left"):
        FolderRegistry(path, blobs=FailingBlobs(path, errno.ENOSPC, spared)).publish("x", folder, publication)
    assert list((path / "staging").iterdir()) == []
    assert len([file for file in (path / "blobs").rglob("*") if file.is_file()]) == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RegistryFull, "RESOURCE_EXHAUSTED"),
        (RegistryReadOnly, "FAILED_PRECONDITION"),
        (StorageError, "UNAVAILABLE"),
    ],
)
def test_a_trouble_of_the_disk_has_its_status(error: type[StorageError], status: str) -> None:
    assert error.status == status


def test_a_file_that_may_not_grow_is_a_full_registry(tmp_path: Path) -> None:
    happened = trouble("limited", tmp_path)
    assert happened["refusal"] == "RESOURCE_EXHAUSTED REGISTRY_FULL"
    assert happened["left"] == []
    assert (happened["before"], happened["after"], happened["verified"]) == (1, 2, 2)


def test_a_full_disk_refuses_and_recovers(tmp_path: Path) -> None:
    happened = trouble("full", tmp_path, mounting=True)
    assert happened["refusal"] == "RESOURCE_EXHAUSTED REGISTRY_FULL"
    assert happened["left"] == []
    assert happened["before"] + 1 == happened["after"] == happened["verified"]


def test_a_disk_without_a_page_left_is_read_served_from_and_collected(tmp_path: Path) -> None:
    happened = trouble("packed", tmp_path, mounting=True)
    assert (happened["versions"], happened["prod"]) == ([*range(12, 0, -1)], 1)
    assert happened["copy"].startswith("cache/parfocal/materialised/")
    assert {happened[write] for write in ("publish", "alias", "delete")} == {
        "RESOURCE_EXHAUSTED REGISTRY_FULL"
    }
    assert f"no space left for {tmp_path / 'disk' / 'registry'}" in happened["named"]
    assert f"no space left for {tmp_path / 'small'}" in happened["cache named"]
    assert happened["freed"]
    assert happened["after"] == 13


def test_a_machine_whose_only_disk_is_full_still_reads(tmp_path: Path) -> None:
    full = "RESOURCE_EXHAUSTED REGISTRY_FULL"
    assert trouble("crammed", tmp_path, mounting=True) == {
        "commits waited": True,
        "versions": [3, 2, 1],
        "publish": full,
        "copy": full,
        "gc": 0,
    }


def test_what_a_user_may_not_do_is_named_as_that(open_path: Path) -> None:
    happened = trouble("forbidden", open_path, becoming=True)
    assert happened["versions"] == [2, 1]
    assert happened["copy"].startswith("home/parfocal/materialised/")
    assert {happened[deed] for deed in ("publish", "alias", "gc", "shut")} == {
        "FAILED_PRECONDITION REGISTRY_FORBIDDEN"
    }
    assert happened["named"].startswith("permission denied")
    assert str(open_path / "registry") in happened["named"]
    assert happened["blob"].startswith("permission denied")
    assert happened["config"] in happened["blob"]
    # Whoever may only read cannot hold up those who write.
    assert happened["lock"] == "PermissionError"


def test_who_may_only_read_a_registry_can_copy_it(open_path: Path) -> None:
    happened = trouble("backing_up", open_path, becoming=True)
    assert happened == {"bad": 0, "versions": [2, 1], "prod": 1, "sound": True}


def test_what_root_did_in_a_users_registry_does_not_shut_the_user_out(open_path: Path) -> None:
    happened = trouble("after_root", open_path, becoming=True)
    assert happened == {"version": 2, "freed": True, "copy": True, "sound": True}


def test_users_of_one_group_share_a_registry_and_each_others_crashes(open_path: Path) -> None:
    happened = trouble("shared", open_path, becoming=True)
    assert happened == {
        "first": {"versions": [1]},
        "killed": {},
        "second": {"versions": [2, 3]},
        "tended": {"freed": True, "sound": True},
        "again": {"versions": [4]},
    }


def test_the_mode_of_the_folder_counts_and_not_the_umask_of_its_users(open_path: Path) -> None:
    happened = trouble("careful", open_path, becoming=True)
    assert happened["done"] == [
        {"version": 1, "copy": True},
        {},
        {"version": 2, "copy": True},
        {"versions": 2},
        {"version": 3, "copy": True},
        {"versions": 3},
        {"freed": True, "sound": True},
    ]
    assert set(happened["modes"]) <= {"0o660", "0o440"}
    assert happened["seen"] == "FAILED_PRECONDITION REGISTRY_FORBIDDEN"


def test_whoever_may_only_read_holds_nobody_up(open_path: Path) -> None:
    happened = trouble("holding", open_path, becoming=True)
    assert happened == {"some are locked": True, "version": 3, "freed": True, "rebuilt": 2}


@pytest.mark.parametrize(
    "state", ["closed", "open", "killed", "killed and restored without its shared memory"]
)
def test_a_read_only_registry_serves_reads_and_refuses_writes(tmp_path: Path, state: str) -> None:
    path = tmp_path / "registry"
    publish(path, killed=state.startswith("killed"))
    keeper = FolderRegistry(path) if state == "open" else None
    if state.endswith("memory"):
        (path / "index.sqlite-shm").unlink()
    assert (path / "index.sqlite-wal").exists() == (state != "closed")
    happened = trouble("read_only", tmp_path, mounting=True)
    assert happened["versions"] == [2, 1]
    assert happened["files"] == 2
    assert happened["backup"] == 2
    assert {happened[write] for write in ("publish", "alias", "delete", "gc", "new")} == {READ_ONLY}
    del keeper


def publish(path: Path, killed: bool) -> None:
    """Publishes two versions in another process; a killed one leaves the index's -wal file behind."""
    with publisher() as process:
        process.begin(Order(str(path), "x", first=0, count=2, dies=killed))
        status, _ = process.end()
        assert status == (-signal.SIGKILL if killed else 0)


def can(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def trouble(kind: str, folder: Path, mounting: bool = False, becoming: bool = False) -> dict[str, Any]:
    """Returns what happened in a process with that trouble; skips where this user may not make it."""
    if becoming and os.geteuid() != 0:
        pytest.skip("this user may not become another")
    apart = ["unshare", "-m"] if mounting else []
    mount = [*apart, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    if mounting and not can(mount):
        pytest.skip("this user may not mount")
    troubles = "fakes.registry.user_trouble" if becoming else "fakes.registry.disk_trouble"
    command = [*apart, sys.executable, "-m", troubles, kind, str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    happened: dict[str, Any] = json.loads(done.stdout)
    return happened
