"""How full the disks are is shown as measured, and a disk that hangs holds up no scrape."""

import errno
import shutil
import threading
from itertools import chain, repeat
from pathlib import Path

from prometheus_client import CollectorRegistry

from parfocal.server.metrics.disks import Disk, DiskCollector
from parfocal.server.settings import kept_folders


def shown(disks: DiskCollector, name: str, kept: str) -> float | None:
    registry = CollectorRegistry()
    registry.register(disks)
    return registry.get_sample_value(name, {"kept": kept})


def test_a_disk_is_shown_with_what_is_free_on_it(tmp_path: Path) -> None:
    disks = DiskCollector()
    disks.watch({"registry": tmp_path})
    disks.measured()

    size = shown(disks, "parfocal_disk_size_bytes", "registry")
    free = shown(disks, "parfocal_disk_free_bytes", "registry")
    assert size is not None
    assert free is not None
    assert abs(size - shutil.disk_usage(tmp_path).total) < 1
    assert 0 < free <= size


def test_a_folder_that_is_not_made_yet_counts_as_its_parent(tmp_path: Path) -> None:
    disks = DiskCollector()
    disks.watch({"bases": tmp_path / "not" / "yet"})
    disks.measured()

    assert shown(disks, "parfocal_disk_size_bytes", "bases") == shutil.disk_usage(tmp_path).total


def test_a_disk_that_hangs_holds_up_no_scrape(tmp_path: Path) -> None:
    answers, hangs = chain([Disk(100, 60)], repeat(Disk(100, 40))), threading.Event()
    hangs.set()

    def measure(folder: Path) -> Disk:
        assert hangs.wait(30)
        return next(answers)

    disks = DiskCollector(measure)
    assert shown(disks, "parfocal_disk_free_bytes", "registry") is None
    disks.watch({"registry": tmp_path})
    disks.measured()

    hangs.clear()
    assert shown(disks, "parfocal_disk_free_bytes", "registry") == 60
    assert shown(disks, "parfocal_disk_free_bytes", "registry") == 60
    hangs.set()
    disks.measured()
    assert shown(disks, "parfocal_disk_free_bytes", "registry") == 40


def test_a_disk_that_is_gone_shows_what_it_showed_last(tmp_path: Path) -> None:
    gone: list[bool] = []

    def measure(folder: Path) -> Disk:
        if gone:
            raise OSError(errno.ESTALE, "Stale file handle")
        return Disk(100, 60)

    disks = DiskCollector(measure)
    disks.watch({"registry": tmp_path})
    disks.measured()
    gone.append(True)
    shown(disks, "parfocal_disk_free_bytes", "registry")
    disks.measured()

    assert shown(disks, "parfocal_disk_free_bytes", "registry") == 60


def test_a_server_names_what_it_keeps(tmp_path: Path) -> None:
    here = kept_folders(str(tmp_path), "")
    remote = kept_folders("grpc://registry:50051", str(tmp_path / "bases"))

    assert here == {"registry": tmp_path}
    assert set(remote) == {"copies", "bases"}
    assert remote["bases"] == tmp_path / "bases"
