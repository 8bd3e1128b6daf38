"""The profile of steps as document, table and picture."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from parfocal.bench.calls import adapters_of_batch
from parfocal.bench.document import Document, hardware_document, need_document
from parfocal.bench.hardware import Hardware
from parfocal.bench.roofline import Need, decode_need, prompts_need
from parfocal.bench.step_parts import DECODE, PROMPTS, StepTime
from parfocal.bench.stored import Stored
from parfocal.bench.table import hardware_text
from parfocal.bench.workload import Workload
from parfocal.cli.display import show_heading, show_pairs, show_table


@dataclass(frozen=True, slots=True)
class StepsProfile:
    """Where the time of each kind of step goes, and what it needs at least."""

    workload: Workload
    stored: Stored
    found: Mapping[str, StepTime]
    hardware: Hardware
    machine: Mapping[str, object]
    versions: Mapping[str, str]

    def document(self) -> Document:
        """Returns everything, for machines."""
        return {
            "profile": "steps",
            "steps": {
                name: {
                    **asdict(time),
                    "other": time.other,
                    "limit": need_document(self.need(name), self.hardware),
                    "share_of_limit": self.share(name),
                }
                for name, time in self.found.items()
            },
            "hardware": hardware_document(self.hardware),
            "stored": asdict(self.stored),
            "workload": asdict(self.workload) | {"sizes": asdict(self.workload.sizes())},
            "machine": dict(self.machine),
            "versions": dict(self.versions),
        }

    def need(self, name: str) -> Need:
        """Returns what a step of this kind needs at least."""
        work, rows = self.workload, adapters_of_batch(self.workload)
        if name != PROMPTS:
            return decode_need(work, self.stored, rows if name == DECODE else ())
        mean = (work.shortest + work.prompt_tokens) / 2
        prompts = max(1, round(self.found[name].tokens / mean))
        return prompts_need(replace(work, requests=prompts, shared_prefix=0), self.stored, rows[:prompts])

    def share(self, name: str) -> float:
        """Returns the part of a step's time that the hardware needs at least."""
        return self.need(name).seconds(self.hardware) / self.found[name].seconds

    def show(self) -> None:
        """Prints it for people."""
        names = list(self.found)
        show_heading("Where a step's time goes: medians, milliseconds (share)")
        parts = list(next(iter(self.found.values())).all_parts)
        rows = [(part, *(_cell(self.found[name], part) for name in names)) for part in parts]
        rows.append(("together", *(_ms(self.found[name].clocked_seconds) for name in names)))
        rows.append(("without a clock", *(_ms(self.found[name].seconds) for name in names)))
        rows.append(("at least", *(_ms(self.need(name).seconds(self.hardware)) for name in names)))
        rows.append(("share of the limit", *(f"{self.share(name):.0%}" for name in names)))
        show_table(("", *(f"{name}, {self.found[name].tokens} tokens" for name in names)), rows)
        show_heading("Measured on")
        work = self.workload
        adapters = f"{len(set(adapters_of_batch(work)))} adapters in {self.stored.adapters}"
        show_pairs(
            [
                ("base", f"{work.shape} in {self.stored.text}; kernels {work.kernels}; {adapters}"),
                ("limit", hardware_text(self.hardware)),
                *((name, str(value)) for name, value in self.machine.items() if value is not None),
            ]
        )

    def draw(self, path: Path) -> None:
        """Writes the picture."""
        # Drawing takes a second to import.
        from parfocal.bench.drawing import write_png
        from parfocal.bench.steps_picture import steps_figure

        limits = {name: self.need(name).seconds(self.hardware) for name in self.found}
        title = f"{self.workload.shape}, {self.stored.text}, kernels {self.workload.kernels}"
        write_png(steps_figure(self.found, limits, title), path)


def _cell(time: StepTime, part: str) -> str:
    seconds = time.all_parts[part]
    return f"{_ms(seconds)} ({seconds / time.clocked_seconds:.0%})"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.2f}"
