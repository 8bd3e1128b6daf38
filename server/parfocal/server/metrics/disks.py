"""Shows how full the disks are that the server writes to. Knows no registry and no cache."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class Disk:
    """What a file system holds, in bytes; `free` is what an unprivileged process may still write."""

    size: int
    free: int


def disk_of(folder: Path) -> Disk:
    """The disk of a folder, or of the nearest parent that exists; raises OSError."""
    existing = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    found = os.statvfs(existing)
    return Disk(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize)


class DiskCollector(Collector):
    """The gauges `parfocal_disk_free_bytes` and `parfocal_disk_size_bytes`, by what is kept there.

    A network disk may hang for minutes. So a scrape shows what was measured last and has it measured again
    beside it, by `measure`; `measured` waits for that.
    """

    def __init__(self, measure: Callable[[Path], Disk] | None = None) -> None:
        self._measure_disk = measure or disk_of
        self._folders: Mapping[str, Path] = {}
        self._disks: dict[str, Disk] = {}
        self._measuring: threading.Thread | None = None

    def watch(self, folders: Mapping[str, Path]) -> None:
        """Shows the disks of `folders` from now on; one that is not made yet counts as its parent."""
        self._folders = folders
        self._measure_aside()

    def measured(self) -> None:
        """Waits until what is being measured is known."""
        if self._measuring is not None:
            self._measuring.join()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yields both families as they were measured last."""
        disks = dict(self._disks)
        self._measure_aside()
        free = GaugeMetricFamily(
            "parfocal_disk_free_bytes", "What may still be written, by what is kept there.", labels=("kept",)
        )
        size = GaugeMetricFamily("parfocal_disk_size_bytes", "What the disk holds.", labels=("kept",))
        for kept, disk in disks.items():
            free.add_metric((kept,), disk.free)
            size.add_metric((kept,), disk.size)
        yield from (free, size)

    def _measure_aside(self) -> None:
        if self._folders and (self._measuring is None or not self._measuring.is_alive()):
            self._measuring = threading.Thread(target=self._measure, name="parfocal-disks", daemon=True)
            self._measuring.start()

    def _measure(self) -> None:
        for kept, folder in self._folders.items():
            # A disk that is gone keeps what it showed last: the alert is for one that fills up.
            with contextlib.suppress(OSError):
                self._disks[kept] = self._measure_disk(folder)
