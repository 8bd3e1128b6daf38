"""The growth of a step's time as document, table and picture, beside what the hardware allows."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from parfocal.bench.document import Document, hardware_document, need_document
from parfocal.bench.growth import Point, Visits
from parfocal.bench.hardware import Hardware
from parfocal.bench.roofline import Need, decode_need
from parfocal.bench.stored import Stored
from parfocal.bench.table import hardware_text
from parfocal.bench.workload import Workload
from parfocal.cli.display import show_heading, show_pairs, show_table

_HEADINGS = ("rows", "adapters", "ms a step", "tokens/s", "at least", "bound by", "share of limit")


@dataclass(frozen=True, slots=True)
class GrowthProfile:
    """What a step of each kind takes, and what it needs at least."""

    visits: Visits
    stored: Stored
    found: Mapping[Point, float]
    hardware: Hardware
    machine: Mapping[str, object]
    versions: Mapping[str, str]

    @property
    def workload(self) -> Workload:
        """Returns what the steps were made of."""
        return self.visits.workload

    def need(self, point: Point) -> Need:
        """Returns what a step of this kind needs at least."""
        work = replace(self.workload, requests=point.rows, max_requests=point.rows)
        return decode_need(work, self.stored, point.numbers())

    def document(self) -> Document:
        """Returns everything, for machines."""
        visits = self.visits
        return {
            "profile": "growth",
            "by_rows": {name: [self._point(p) for p in line] for name, line in visits.by_rows.items()},
            "by_adapters": [self._point(point) for point in visits.by_adapters],
            "hardware": hardware_document(self.hardware),
            "stored": asdict(self.stored),
            "workload": asdict(self.workload) | {"sizes": asdict(self.workload.sizes())},
            "machine": dict(self.machine),
            "versions": dict(self.versions),
        }

    def show(self) -> None:
        """Prints it for people."""
        visits = self.visits
        for name, line in visits.by_rows.items():
            show_heading(f"A decode step by rows, {name}")
            show_table(_HEADINGS, [self._row(point) for point in line])
        show_heading("A decode step by distinct adapters")
        show_table(_HEADINGS, [self._row(point) for point in visits.by_adapters])
        show_heading("Measured on")
        show_pairs(
            [
                ("base", f"{self.workload.shape} in {self.stored.text}; kernels {self.workload.kernels}"),
                ("adapters", f"rank {self.workload.rank} in {self.stored.adapters}"),
                ("limit", hardware_text(self.hardware)),
                *((name, str(value)) for name, value in self.machine.items() if value is not None),
            ]
        )

    def draw(self, path: Path) -> None:
        """Writes the picture."""
        # Drawing takes a second to import.
        from parfocal.bench.drawing import write_png
        from parfocal.bench.growth_picture import growth_figure

        limits = {point: self.need(point).seconds(self.hardware) for point in self.found}
        adapters = f"adapters of rank {self.workload.rank} in {self.stored.adapters}"
        title = f"{self.workload.shape}, {self.stored.text}; {adapters}"
        write_png(growth_figure(self.visits, self.found, limits, title), path)

    def _point(self, point: Point) -> Document:
        need = self.need(point)
        return {
            **asdict(point),
            "seconds": self.found[point],
            "limit": need_document(need, self.hardware),
            "share_of_limit": need.seconds(self.hardware) / self.found[point],
        }

    def _row(self, point: Point) -> tuple[str, ...]:
        need, seconds = self.need(point), self.found[point]
        least = need.seconds(self.hardware)
        return (
            str(point.rows),
            str(point.adapters),
            f"{1000 * seconds:.2f}",
            f"{point.rows / seconds:.0f}",
            f"{1000 * least:.2f} ms",
            need.bound(self.hardware),
            f"{least / seconds:.0%}",
        )
