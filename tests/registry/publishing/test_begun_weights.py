"""Weights are stored beside their check: kept where both go well, gone where not."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fakes.registry.memory_blobs import MemoryBlobs, StagedBytes
from fakes.registry.peft_folders import Adapter, Tensor, write_adapter
from parfocal.registry import FolderRegistry, Publication
from parfocal.registry.blobs import Blob, FolderBlobs
from parfocal.registry.errors import AdapterRefused, StorageError
from parfocal.registry.publishing import BegunWeights, draft
from parfocal.registry.values import CONFIG_FILE, WEIGHTS_FILE, Readable, digest_of

Write = Callable[..., Path]
WEIGHT = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"


def infinite(folder: Path) -> None:
    write_adapter(folder, Adapter(tensors={WEIGHT: Tensor((4, 16), fill=0xFF)}))


def without_a_configuration(folder: Path) -> None:
    (write_adapter(folder) / CONFIG_FILE).unlink()


def without_weights(folder: Path) -> None:
    (write_adapter(folder) / WEIGHTS_FILE).unlink()


def with_a_link(folder: Path) -> None:
    weights = write_adapter(folder) / WEIGHTS_FILE
    weights.rename(folder / "elsewhere")
    weights.symlink_to("elsewhere")


def stored_files(path: Path) -> list[Path]:
    return [each for place in ("blobs", "staging") for each in (path / place).rglob("*") if each.is_file()]


@pytest.mark.parametrize("write", [infinite, without_a_configuration, without_weights, with_a_link])
def test_a_refused_adapter_leaves_nothing(
    tmp_path: Path, registry: FolderRegistry, publication: Publication, write: Callable[[Path], None]
) -> None:
    write(tmp_path / "adapter")
    with pytest.raises(AdapterRefused):
        registry.publish("x", tmp_path / "adapter", publication)
    assert stored_files(registry.path) == []


def test_a_registry_that_was_removed_is_not_made_anew(
    registry: FolderRegistry, adapter: Write, publication: Publication
) -> None:
    shutil.rmtree(registry.path)
    with pytest.raises(StorageError):
        registry.publish("x", adapter(), publication)
    assert not registry.path.exists()


@pytest.fixture
def folder(adapter: Write) -> Path:
    """An adapter that was written long ago: a file's time may not tell two writes from each other."""
    folder = adapter()
    os.utime(folder / WEIGHTS_FILE, ns=(0, 0))
    return folder


def written_in_place(folder: Path) -> None:
    """Changes the last byte, and nothing that the header says."""
    with (folder / WEIGHTS_FILE).open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x11")


def replaced(folder: Path) -> None:
    other = write_adapter(folder.with_name("other"), Adapter(fill=2))
    os.utime(other / WEIGHTS_FILE, ns=(0, (folder / WEIGHTS_FILE).stat().st_mtime_ns))
    (other / WEIGHTS_FILE).replace(folder / WEIGHTS_FILE)


def given_another_header(folder: Path) -> None:
    """Hides the change from whoever looks at the file's time."""
    before = (folder / WEIGHTS_FILE).stat()
    with (folder / WEIGHTS_FILE).open("r+b") as file:
        file.seek(8)
        file.write(b" ")
    os.utime(folder / WEIGHTS_FILE, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", [written_in_place, replaced, given_another_header])
def test_weights_that_change_after_their_check_are_refused(
    tmp_path: Path, folder: Path, publication: Publication, change: Callable[[Path], None]
) -> None:
    blobs = FolderBlobs(tmp_path)
    ready = draft(folder, publication)
    change(folder)
    with (
        BegunWeights(blobs, folder) as begun,
        pytest.raises(AdapterRefused, match=r"adapter_model\.safetensors changed while it was published"),
    ):
        ready.store(blobs, begun=begun)
    with pytest.raises(AdapterRefused, match="changed while it was published"):
        ready.store(blobs)
    assert [blob.digest for blob in blobs.stored()] == [digest_of(ready.config)]
    assert list((tmp_path / "staging").iterdir()) == []


@pytest.mark.parametrize("change", [written_in_place, replaced])
def test_weights_that_change_before_their_check_are_refused_where_they_were_stored_already(
    tmp_path: Path, folder: Path, publication: Publication, change: Callable[[Path], None]
) -> None:
    blobs = FolderBlobs(tmp_path)
    with BegunWeights(blobs, folder) as begun:
        begun.filled(lambda count: None)
        change(folder)
        with pytest.raises(AdapterRefused, match="changed while it was published"):
            draft(folder, publication).store(blobs, begun=begun)


def test_what_was_begun_is_kept_as_if_it_were_stored_afterwards(
    folder: Path, publication: Publication
) -> None:
    here, there = MemoryBlobs(), MemoryBlobs()
    ready = draft(folder, publication)
    with BegunWeights(here, folder) as begun:
        manifest = ready.store(here, begun=begun)
    assert manifest == ready.store(there)
    assert sorted(blob.digest for blob in here.stored()) == sorted(blob.digest for blob in there.stored())


def test_progress_is_told_to_the_thread_that_publishes(
    registry: FolderRegistry, adapter: Write, publication: Publication
) -> None:
    told: list[tuple[int, int]] = []
    threads = set()

    def progress(done: int, total: int) -> None:
        told.append((done, total))
        threads.add(threading.current_thread())

    version = registry.publish("x", adapter(), publication, progress)
    assert threads == {threading.current_thread()}
    assert told == sorted(told)
    assert told[-1] == (version.manifest.size, version.manifest.size)


class EndlessBlobs(MemoryBlobs):
    """Blobs that never have enough."""

    @contextmanager
    def stage(self) -> Iterator[StagedBytes]:
        yield Endless({})


class Endless(StagedBytes):
    def fill(self, source: Readable, advanced: Callable[[int], None] | None = None) -> Blob:
        assert advanced is not None
        while True:
            advanced(1)


def test_what_is_not_wanted_any_more_is_not_stored_to_its_end(folder: Path) -> None:
    with pytest.raises(KeyError), BegunWeights(EndlessBlobs(), folder):
        raise KeyError
