"""The profile of steps as document and tables."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from parfocal.bench.limits import Hardware, Need, Stored, decode_need, prompts_need
from parfocal.bench.profiles.step_parts import DECODE, PROMPTS, StepTime
from parfocal.bench.reports import Document, Section, hardware_document, hardware_text, need_document
from parfocal.bench.workloads import Workload, adapters_of_batch


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
        """Everything as JSON."""
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
        """What a step of this kind needs at least."""
        work, rows = self.workload, adapters_of_batch(self.workload)
        if name != PROMPTS:
            return decode_need(work, self.stored, rows if name == DECODE else ())
        mean = (work.shortest + work.prompt_tokens) / 2
        prompts = max(1, round(self.found[name].tokens / mean))
        return prompts_need(replace(work, requests=prompts, shared_prefix=0), self.stored, rows[:prompts])

    def share(self, name: str) -> float:
        """The part of a step's time that the hardware needs at least."""
        return self.need(name).seconds(self.hardware) / self.found[name].seconds

    def sections(self) -> list[Section]:
        """As tables."""
        names = list(self.found)
        parts = list(next(iter(self.found.values())).all_parts)
        rows = [(part, *(_cell(self.found[name], part) for name in names)) for part in parts]
        rows.append(("together", *(_ms(self.found[name].clocked_seconds) for name in names)))
        rows.append(("without a clock", *(_ms(self.found[name].seconds) for name in names)))
        rows.append(("at least", *(_ms(limit) for limit in self.limits().values())))
        rows.append(("share of the limit", *(f"{self.share(name):.0%}" for name in names)))
        headings = ("", *(f"{name}, {self.found[name].tokens} tokens" for name in names))
        title = "Where a step's time goes: medians, milliseconds (share)"
        return [Section(title, rows, headings), Section("Measured on", self._measured_on())]

    def limits(self) -> dict[str, float]:
        """The seconds that each kind of step takes at least."""
        return {name: self.need(name).seconds(self.hardware) for name in self.found}

    def _measured_on(self) -> list[tuple[str, str]]:
        work = self.workload
        adapters = f"{len(set(adapters_of_batch(work)))} adapters in {self.stored.adapters}"
        return [
            ("base", f"{work.shape} in {self.stored.text}; kernels {work.kernels}; {adapters}"),
            ("limit", hardware_text(self.hardware)),
            *((name, str(value)) for name, value in self.machine.items() if value is not None),
        ]


def _cell(time: StepTime, part: str) -> str:
    seconds = time.all_parts[part]
    return f"{_ms(seconds)} ({seconds / time.clocked_seconds:.0%})"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.2f}"
