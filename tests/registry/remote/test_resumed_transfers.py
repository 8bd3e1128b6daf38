"""Transfers between real processes that are killed: they go on where they were, and are whole."""

import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fakes.registry.large_adapter import begun_push, large_adapter
from fakes.registry.registry_server import ServerAside, serving
from parfocal.registry import FolderRegistry, Publication
from parfocal.registry.errors import BlobCorrupt
from parfocal.registry.remote import RemoteRegistry
from parfocal.rpc import RemoteError

WEIGHTS = "adapter_model.safetensors"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Publication]:
    return large_adapter(tmp_path_factory.mktemp("large"))


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mortal:
    """A registry's server that can be killed, and begins anew at the same address."""

    def __init__(self, folder: Path, port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self._folder = folder
        self._stack = ExitStack()
        self._server = self._begun()
        self.deaths = 0

    def kill(self) -> None:
        self._server.process.send_signal(signal.SIGKILL)
        self._stack.close()
        self.deaths += 1
        self._server = self._begun()

    def close(self) -> None:
        self._stack.close()

    def _begun(self) -> ServerAside:
        server = ServerAside.begun(self._folder / "registry", self._folder / "uploads", self.address)
        self._stack.enter_context(server)
        return server


@pytest.fixture
def mortal(tmp_path: Path, port: int) -> Iterator[Mortal]:
    server = Mortal(tmp_path, port)
    yield server
    server.close()


def test_a_push_goes_on_when_the_server_is_killed_and_comes_back(
    large: tuple[Path, Publication], mortal: Mortal, tmp_path: Path
) -> None:
    folder, publication = large
    sent = list[int]()
    size = (folder / WEIGHTS).stat().st_size

    def kill_halfway(count: int) -> None:
        sent.append(count)
        if not mortal.deaths and sum(sent) > size // 2:
            mortal.kill()

    remote = RemoteRegistry(mortal.address, cache=tmp_path / "cache")
    version = remote.publish("team/x", folder, publication, sent=kill_halfway)

    assert mortal.deaths == 1
    assert sum(sent) < 2 * size
    copy = RemoteRegistry(mortal.address, cache=tmp_path / "other").materialise(version.digest)
    assert (copy / WEIGHTS).read_bytes() == (folder / WEIGHTS).read_bytes()
    assert FolderRegistry(tmp_path / "registry").verify().is_sound


def test_a_push_that_was_killed_is_repeated_and_sends_only_the_rest(
    large: tuple[Path, Publication], tmp_path: Path
) -> None:
    folder, publication = large
    registry = FolderRegistry(tmp_path / "registry")
    with serving(registry, tmp_path / "uploads") as address:
        with begun_push(folder.parent, address, tmp_path / "cache", "team/x") as push:
            assert push.stdout is not None
            for _ in range(4):
                push.stdout.readline()
            push.kill()
        sent = list[int]()
        remote = RemoteRegistry(address, cache=tmp_path / "cache")
        version = remote.publish("team/x", folder, publication, sent=sent.append)
        size = sum(file.size for file in version.manifest.files)
        assert sum(sent) < size
        assert registry.verify().is_sound
        assert (registry.materialise(version.digest) / WEIGHTS).stat().st_size > 8 << 20


def test_a_download_goes_on_when_the_server_is_killed(
    large: tuple[Path, Publication], mortal: Mortal, tmp_path: Path
) -> None:
    folder, publication = large
    version = RemoteRegistry(mortal.address, cache=tmp_path / "one").publish("team/x", folder, publication)
    cache = tmp_path / "cache"
    remote = RemoteRegistry(mortal.address, cache=cache)
    order = (mortal, cache / "partial")
    killer = threading.Thread(target=_kill_once_something_came, args=order, daemon=True)
    killer.start()
    copy = remote.materialise(version.digest)
    killer.join(60)
    assert (copy / WEIGHTS).read_bytes() == (folder / WEIGHTS).read_bytes()
    assert list((cache / "partial").iterdir()) == []


def _kill_once_something_came(mortal: Mortal, partial: Path) -> None:
    while not any(path.stat().st_size > 1 << 20 for path in partial.glob("*") if path.exists()):
        if any(partial.parent.glob("materialised/*/*.safetensors")):
            return  # it was faster
        time.sleep(0.002)
    mortal.kill()


def test_what_an_earlier_download_left_is_gone_on_with_and_verified(
    large: tuple[Path, Publication], tmp_path: Path
) -> None:
    folder, publication = large
    registry = FolderRegistry(tmp_path / "registry")
    version = registry.publish("team/x", folder, publication)
    weights = version.manifest.files[1]
    name = weights.digest.removeprefix("sha256:")
    data = (registry.materialise(version.digest) / WEIGHTS).read_bytes()
    with serving(registry, tmp_path / "uploads") as address:
        for spoilt in (False, True):
            cache = tmp_path / f"cache-{spoilt}"
            remote = RemoteRegistry(address, cache=cache)
            remote.keep_manifest(version.manifest)
            (cache / "partial").mkdir()
            begun = bytes([data[0] ^ spoilt]) + data[1 : 5 << 20]
            (cache / "partial" / name).write_bytes(begun)
            copy = remote.materialise(version.digest)
            assert (copy / WEIGHTS).read_bytes() == data
            assert list((cache / "partial").iterdir()) == []


def test_a_server_that_does_not_come_back_is_given_up(
    large: tuple[Path, Publication], tmp_path: Path
) -> None:
    folder, publication = large
    registry = FolderRegistry(tmp_path / "registry")
    with ExitStack() as stack:
        address = stack.enter_context(serving(registry, tmp_path / "uploads"))
        remote = RemoteRegistry(address, cache=tmp_path / "cache", return_s=0.0)

        def end(count: int) -> None:
            stack.close()

        with pytest.raises(RemoteError) as failed:
            remote.publish("team/x", folder, publication, sent=end)
    assert failed.value.status in ("UNAVAILABLE", "CANCELLED")
    assert registry.adapters().items == ()


def test_bytes_that_are_spoilt_again_and_again_are_refused(
    large: tuple[Path, Publication], tmp_path: Path
) -> None:
    class Spoiling(FolderRegistry):
        def materialise(self, digest: str) -> Path:
            folder = super().materialise(digest)
            weights = folder / WEIGHTS
            data = weights.read_bytes()
            weights.unlink()
            weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
            return folder

    folder, publication = large
    registry = Spoiling(tmp_path / "registry")
    version = registry.publish("team/x", folder, publication)
    with serving(registry, tmp_path / "uploads") as address:
        remote = RemoteRegistry(address, cache=tmp_path / "cache")
        with pytest.raises(BlobCorrupt):
            remote.materialise(version.digest)
    assert list((tmp_path / "cache" / "partial").iterdir()) == []
