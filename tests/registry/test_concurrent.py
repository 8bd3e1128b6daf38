"""Several processes and threads on one folder at the same time."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, ClassVar

import pytest

from fakes.registry.publisher import Order, numbered_adapter, publisher
from parfocal.registry import FolderRegistry, Publication
from parfocal.registry.blobs import FolderBlobs
from parfocal.registry.disk import FolderLock
from parfocal.registry.errors import AliasMoved

Write = Callable[..., Path]


def test_two_processes_that_publish_one_name_share_out_the_numbers(tmp_path: Path) -> None:
    path = str(tmp_path / "registry")
    with publisher() as one, publisher() as two:
        one.begin(Order(path, "x", first=0, count=8))
        two.begin(Order(path, "x", first=1000, count=8))
        (status_one, mine), (status_two, yours) = one.end(), two.end()
    assert (status_one, status_two) == (0, 0)
    assert sorted(mine + yours) == list(range(1, 17))
    assert mine == sorted(mine)
    assert yours == sorted(yours)


def test_two_processes_that_publish_equal_content_get_one_version(tmp_path: Path) -> None:
    path = str(tmp_path / "registry")
    with publisher() as one, publisher() as two:
        one.begin(Order(path, "x", first=0, count=10))
        two.begin(Order(path, "x", first=0, count=10))
        assert one.end()[0] == two.end()[0] == 0
    versions = FolderRegistry(Path(path)).versions("x").items
    assert [version.version for version in versions] == list(range(10, 0, -1))
    assert len({version.digest for version in versions}) == 10


def test_of_many_movers_with_one_expectation_exactly_one_wins(
    tmp_path: Path, registry: FolderRegistry, publication: Publication
) -> None:
    for number in range(8):
        registry.publish("x", numbered_adapter(tmp_path, number), publication)
    registry.set_alias("x", "prod", 1)
    barrier = threading.Barrier(7)

    def move(version: int) -> int:
        barrier.wait()
        try:
            return (
                FolderRegistry(tmp_path / "registry")
                .set_alias("x", "prod", version, expected_version=1)
                .version
            )
        except AliasMoved:
            return 0

    with ThreadPoolExecutor(7) as pool:
        winners = [version for version in pool.map(move, range(2, 9)) if version]
    assert len(winners) == 1
    assert registry.resolve("x@prod").version == winners[0]
    assert len(registry.alias_history("x", "prod")) == 2


def test_threads_materialise_one_adapter_side_by_side(
    registry: FolderRegistry, adapter: Write, publication: Publication
) -> None:
    version = registry.publish("x", adapter(), publication)
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(registry.materialise, [version.digest] * 24))
    assert len(set(folders)) == 1
    assert len(list(folders[0].iterdir())) == 2


def test_of_threads_that_ask_for_a_new_version_one_reads_it_from_the_store(
    tmp_path: Path, adapter: Write, publication: Publication
) -> None:
    class Counting(FolderBlobs):
        """Blobs far away, which are slow to come."""

        opened: ClassVar[list[str]] = []

        def link(self, digest: str, target: Path, to_read: bool = False) -> bool:
            return False

        def open(self, digest: str) -> BinaryIO:
            self.opened.append(digest)
            barrier.wait(30)
            return super().open(digest)

    folder = tmp_path / "counted"
    version = FolderRegistry(folder).publish("x", adapter(), publication)
    registry = FolderRegistry(folder, blobs=Counting(folder))
    barrier = threading.Barrier(2)  # the one that reads, and this test

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(registry.materialise, version.digest) for _ in range(4)]
        for _ in version.manifest.files:
            barrier.wait(30)
        assert len({each.result(30) for each in asked}) == 1

    assert Counting.opened == [file.digest for file in version.manifest.files]


def test_an_open_registry_sees_what_another_process_publishes(
    tmp_path: Path, registry: FolderRegistry
) -> None:
    with publisher() as other:
        other.begin(Order(str(tmp_path / "registry"), "x", first=0, count=1))
        other.end()
    assert registry.resolve("x").version == 1


@pytest.mark.parametrize("first", ["shared", "exclusive"])
def test_a_lock_that_is_held_alone_lets_nobody_in(tmp_path: Path, first: str) -> None:
    holder, other = FolderLock(tmp_path / "lock"), FolderLock(tmp_path / "lock", patience_s=0)
    with getattr(holder, first)(), pytest.raises(Exception, match="try again later"), other.exclusive():
        pass
    with other.exclusive():
        pass


def test_a_lock_is_shared_by_publishes(tmp_path: Path) -> None:
    inside = []
    with FolderLock(tmp_path / "lock").shared():
        inside.append("first")
        with FolderLock(tmp_path / "lock", patience_s=0).shared():
            inside.append("second")
    assert inside == ["first", "second"]
