"""The growth of a step's time as document and tables, beside what the hardware allows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from parfocal.bench.limits import Hardware, Need, Stored, decode_need
from parfocal.bench.profiles.growth import Point, Visits
from parfocal.bench.reports import Document, Section, hardware_document, hardware_text, need_document
from parfocal.bench.workloads import Workload

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
        """What the steps were made of."""
        return self.visits.workload

    def need(self, point: Point) -> Need:
        """What a step of this kind needs at least."""
        work = replace(self.workload, requests=point.rows, max_requests=point.rows)
        return decode_need(work, self.stored, point.numbers())

    def document(self) -> Document:
        """Everything as JSON."""
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

    def sections(self) -> list[Section]:
        """As tables."""
        visits = self.visits
        measured = [
            ("base", f"{self.workload.shape} in {self.stored.text}; kernels {self.workload.kernels}"),
            ("adapters", f"rank {self.workload.rank} in {self.stored.adapters}"),
            ("limit", hardware_text(self.hardware)),
            *((name, str(value)) for name, value in self.machine.items() if value is not None),
        ]
        return [
            *(self._line(f"A decode step by rows, {name}", line) for name, line in visits.by_rows.items()),
            self._line("A decode step by distinct adapters", visits.by_adapters),
            Section("Measured on", measured),
        ]

    def limits(self) -> dict[Point, float]:
        """The seconds that a step of each kind takes at least."""
        return {point: self.need(point).seconds(self.hardware) for point in self.found}

    def _line(self, title: str, points: Sequence[Point]) -> Section:
        return Section(title, [self._row(point) for point in points], _HEADINGS)

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
