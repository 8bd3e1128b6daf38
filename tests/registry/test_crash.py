"""kill -9 at any instant of a publish leaves either the old state or the new one."""

import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from fakes.registry.publisher import Order, Publisher, numbered_adapter, publisher, small_publication
from parfocal.registry import FolderRegistry, Publication, rebuild_folder
from parfocal.registry.errors import IndexLost


@pytest.fixture(scope="module")
def process() -> Iterator[Publisher]:
    with publisher() as process:
        yield process


@pytest.fixture
def publication(tmp_path: Path) -> Publication:
    return small_publication(tmp_path)


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """Returns a folder in memory where there is one: a killed process loses nothing that it has written."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


def visible_versions(registry: FolderRegistry) -> list[int]:
    """Returns the numbers of all versions after verifying every byte of each."""
    found = []
    for summary in registry.adapters().items:
        page = registry.versions(summary.name, page_size=1000)
        for version in page.items:
            folder = registry.materialise(version.digest)
            assert {path.name for path in folder.iterdir()} == {file.path for file in version.manifest.files}
            found.append(version.version)
    return sorted(found)


def published(registry: FolderRegistry) -> int:
    """Returns how many versions are visible."""
    return sum(summary.version_count for summary in registry.adapters().items)


def test_fifty_publishes_killed_at_random_instants(
    tmp_path: Path, process: Publisher, publication: Publication
) -> None:
    instants = random.Random(0)
    path = tmp_path / "registry"
    told: list[int] = []
    registry = FolderRegistry(path)
    for crash in range(50):
        before = published(registry)
        child = process.begin(Order(str(path), "x", first=1000 * crash, count=999))
        # Every other one in a publish after the first.
        while published(registry) == before if crash % 2 else not list((path / "staging").glob("*")):
            os.kill(child, 0)  # raises if it has ended
            time.sleep(0.001)
        time.sleep(instants.uniform(0, 0.02))
        os.kill(child, signal.SIGKILL)
        status, versions = process.end()
        assert status == -signal.SIGKILL
        told += versions
        FolderRegistry(path)
        assert list((path / "staging").glob("*")) == []
    del registry
    last = FolderRegistry(path).publish("x", numbered_adapter(tmp_path, 10**6), publication)
    numbers = visible_versions(FolderRegistry(path))
    assert len(numbers) > 25
    assert set(told) < set(numbers)
    assert numbers == list(range(1, last.version + 1))
    assert FolderRegistry(path).verify().is_sound
    (path / "index.sqlite").unlink()
    rebuild_folder(path)
    names = {summary.name: summary.version_count for summary in FolderRegistry(path).adapters().items}
    assert names.pop("x") == last.version
    # What was whole but never acknowledged comes back under a name of its own.
    assert all(name.startswith("recovered/") for name in names)


def test_a_publish_killed_at_each_of_its_steps(
    quick_path: Path, process: Publisher, publication: Publication
) -> None:
    first, third = numbered_adapter(quick_path, 1), numbered_adapter(quick_path, 3)
    step, status = 0, -1
    while status:
        step += 1
        path = quick_path / f"registry-{step}"
        FolderRegistry(path).publish("x", first, publication)
        process.begin(Order(str(path), "x", first=2, count=1, kill_at=step))
        status, told = process.end()
        registry = FolderRegistry(path)
        assert visible_versions(registry) in ([[1, 2]] if told else [[1], [1, 2]])
        assert registry.verify().is_sound
        last = registry.publish("x", third, publication)
        registry.collect_garbage()
        assert visible_versions(registry) == list(range(1, last.version + 1))
    assert step > 50


def test_a_registry_killed_while_it_was_made_opens(
    quick_path: Path, process: Publisher, publication: Publication
) -> None:
    first = numbered_adapter(quick_path, 1)
    step, status = 0, -1
    while status:
        step += 1
        path = quick_path / f"registry-{step}"
        process.begin(Order(str(path), "x", first=1, count=0, kill_at=step))
        status, _ = process.end()
        assert FolderRegistry(path).publish("x", first, publication).version == 1
    assert step > 5


def small_registry(path: Path, folder: Path, publication: Publication) -> FolderRegistry:
    """Two versions and an alias that moved."""
    registry = FolderRegistry(path)
    for number in (1, 2):
        registry.publish("x", numbered_adapter(folder, number), publication)
        registry.set_alias("x", "prod", number)
    return registry


def test_a_rebuild_killed_at_every_third_of_its_steps_can_be_done_again(
    quick_path: Path, process: Publisher, publication: Publication
) -> None:
    lost = quick_path / "lost"
    moves = small_registry(lost, quick_path, publication).alias_history("x", "prod")
    (lost / "index.sqlite").write_bytes(b"")
    step, status = 0, -1
    while status:
        step += 3
        path = shutil.copytree(lost, quick_path / f"registry-{step}")
        process.begin(Order(str(path), "", first=0, count=0, kill_at=step, deed="rebuild"))
        status, _ = process.end()
        if status:
            with suppress(IndexLost):
                FolderRegistry(path)
            rebuild_folder(path)
        registry = FolderRegistry(path)
        assert visible_versions(registry) == [1, 2]
        assert registry.alias_history("x", "prod") == moves
        assert registry.verify().is_sound
    assert step > 50


def test_a_backup_killed_at_each_of_its_steps_is_whole_or_not_there(
    quick_path: Path, process: Publisher, publication: Publication
) -> None:
    path = quick_path / "registry"
    registry = small_registry(path, quick_path, publication)
    step, status, was_absent = 0, -1, 0
    while status:
        step += 1
        target = quick_path / f"copy-{step}"
        process.begin(Order(str(path), str(target), first=0, count=0, kill_at=step, deed="back up"))
        status, _ = process.end()
        if target.exists():
            copy = FolderRegistry(target)
            assert visible_versions(copy) == [1, 2]
            assert copy.alias_history("x", "prod") == registry.alias_history("x", "prod")
        else:
            assert status
            was_absent += 1
    assert was_absent > 50
    assert registry.verify().is_sound


def test_a_collection_killed_at_each_of_its_steps_frees_only_garbage_and_can_be_done_again(
    quick_path: Path, process: Publisher, publication: Publication
) -> None:
    littered = quick_path / "littered"
    registry = small_registry(littered, quick_path, publication)
    registry.publish("x", numbered_adapter(quick_path, 3), publication)
    registry.delete_version("x", 3)
    (littered / "staging" / "dead").mkdir()
    (littered / "staging" / "dead.lock").touch()
    del registry
    step, status = 0, -1
    while status:
        step += 1
        path = shutil.copytree(littered, quick_path / f"registry-{step}")
        process.begin(Order(str(path), "", first=0, count=0, kill_at=step, deed="collect"))
        status, _ = process.end()
        registry = FolderRegistry(path)
        assert registry.verify().is_sound
        registry.collect_garbage(most=True)
        assert registry.collect_garbage().blobs == ()
        assert visible_versions(registry) == [1, 2]
        assert list((path / "staging").iterdir()) == []
    assert step > 20
