"""What every part is told: how large to measure, and where base, adapters and results lie."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bench.gpu_stand.notes import write_json
from bench.gpu_stand.scale import DRY, GPU, Scale
from parfocal.bench.limits.hardware import Hardware
from parfocal.bench.made.base import write_settings
from parfocal.bench.made.published import registry_folder
from parfocal.bench.workloads.shapes import shape_named
from parfocal.bench.workloads.workload import Workload
from parfocal.engine import EngineConfig

# What pages are larger than the matrices in them.
_PAGE_MARGIN = 1.15


@dataclass(frozen=True, slots=True)
class Setting:
    """One run of the stand. `scratch` vanishes after it."""

    is_dry: bool
    scratch: Path
    results: Path

    @property
    def scale(self) -> Scale:
        """Returns the sizes."""
        return DRY if self.is_dry else GPU

    @property
    def base(self) -> Path:
        """Returns the base's folder: configuration and tokenizer; its weights are made where they compute."""
        return self.scratch / self.scale.shape

    @property
    def registry(self) -> Path:
        """Returns the folder of the registry that holds the adapters."""
        return registry_folder(self.scale.mixed, self.base, self.scratch)

    def write_base(self) -> None:
        """Writes the base's folder."""
        self.base.mkdir()
        write_settings(shape_named(self.scale.shape), self.base)

    def note_adapters(self, folders: Mapping[str, Path]) -> None:
        """Keeps where the published adapters lie, so that no part verifies gigabytes once more."""
        write_json(self._adapters, {name: str(folder) for name, folder in folders.items()})

    def adapters(self, count: int | None = None) -> dict[str, Path]:
        """Returns the first adapters' folders by name; all that were published if no count is given."""
        found = json.loads(self._adapters.read_text("utf-8"))
        return {name: Path(folder) for name, folder in list(found.items())[:count]}

    def engine(self, workload: Workload, **changes: object) -> EngineConfig:
        """Returns an engine with room for the workload, twice, whose adapters load on many threads."""
        scale = self.scale
        usual = EngineConfig(
            device=scale.device,
            dtype=workload.dtype,
            adapter_dtype=workload.adapter_dtype,
            kernels=scale.kernels,
            slots=workload.server_slots,
            max_rank=workload.rank,
            max_requests=workload.batch,
            max_waiting=max(1024, workload.requests),
            kv_cache_bytes=self.kv_bytes(workload, 2 * workload.batch),
            host_cache_bytes=0,
            load_threads=scale.load_threads,
        )
        config = replace(usual, **changes)  # type: ignore[arg-type]  # fields of EngineConfig by name
        if scale.device != "cuda":
            return config
        each = shape_named(scale.shape).adapter_parameters(workload.rank) * scale.kv_width
        return replace(config, adapter_bytes=int(_PAGE_MARGIN * config.slots * each))

    def hardware(self) -> tuple[Hardware, Mapping[str, float]]:
        """Returns what the part `hardware` measured: the device, and the way to it in bytes per second.

        Raises FileNotFoundError if it has not.
        """
        found = json.loads((self.results / "hardware.json").read_text("utf-8"))
        device = found["device"]
        hardware = Hardware(device["copy_bytes_per_second"], device["read_bytes_per_second"], device["flops"])
        return hardware, found["bus"]

    def kv_bytes(self, workload: Workload, rows: int) -> int:
        """Returns the KV cache of so many rows, at their longest."""
        tokens = workload.prompt_tokens + workload.new_tokens + EngineConfig().block_tokens
        return rows * tokens * shape_named(self.scale.shape).kv_values() * self.scale.kv_width

    @property
    def _adapters(self) -> Path:
        return self.scratch / "adapters.json"
