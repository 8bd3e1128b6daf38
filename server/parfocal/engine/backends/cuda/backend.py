"""The backend of our kernels for CUDA: adapters in pages, decode steps as graphs, steps measured."""

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import nn

from parfocal.engine.backends.cuda.assembly import cuda_parts, measured_workspace
from parfocal.engine.backends.cuda.attention import shares_bytes
from parfocal.engine.backends.cuda.card import Card
from parfocal.engine.backends.cuda.fallback import Report, reports_to
from parfocal.engine.backends.cuda.four_bit import BlockedLinears
from parfocal.engine.backends.cuda.lora import GroupedLinear, StoreShape
from parfocal.engine.backends.cuda.steps import input_bytes
from parfocal.engine.backends.torch import at_most
from parfocal.engine.config import EngineConfig
from parfocal.engine.devices import Device
from parfocal.engine.errors import EngineMisconfigured
from parfocal.engine.memory import DeviceNeeds
from parfocal.engine.model import (
    Computing,
    ModuleProfile,
    ResidentBase,
    StepMemory,
    StepProfile,
    query_heads,
)
from parfocal.engine.observer import Observer
from parfocal.engine.stopwatch import PARTS, ROWS, Stopwatch

# The largest share of what the base leaves that adapters take by default.
_ADAPTER_SHARE = 1 / 3
_PARTS = tuple(part for part in PARTS if part != ROWS)


class CudaBackend:
    """Computes with the kernels that pass their trial on the card, and with torch where one fails."""

    name = "cuda"

    def __init__(self, device: Device, card: Card, dtype: torch.dtype) -> None:
        self.device = device
        self.watch = Stopwatch(device.marks())
        self.linears = BlockedLinears()
        self.kv_dtype = self.adapter_dtype = dtype
        self._card = card
        self._rejected: dict[str, str] = {}

    def prepare(self, model: nn.Module) -> None:
        """Leaves the model as it is: its linears are replaced where steps are measured or computed."""

    def needs(self, base: ResidentBase, config: EngineConfig, room_bytes: int) -> DeviceNeeds:
        """Returns the pages of all adapters, the largest steps' measured workspace, and a bound on graphs.

        All captured steps share the memory of the largest decode step, its logits and inputs among it.
        """
        decode = replace(config, max_batch_tokens=config.max_requests)
        inputs = input_bytes(config.max_requests, -(-base.info.context_tokens // config.block_tokens))
        shares = shares_bytes(config.max_requests, query_heads(base), base.kv_shape.head_dim)
        return DeviceNeeds(
            adapter_bytes=_page_bytes(base, config, room_bytes),
            workspace=measured_workspace(self._card, self._reject)(base, config),
            graph_bytes=at_most(base, decode).fixed_bytes + inputs + shares,
        )

    def computing(
        self, base: ResidentBase, config: EngineConfig, memory: StepMemory, observer: Observer
    ) -> Computing:
        """Returns the fastest parts that are correct on the card."""
        report = self._with_earlier(reports_to(observer))
        return cuda_parts(base, config, memory, report, self._card)

    def take_over(self, cpu_threads: int) -> None:
        """Gives the calling thread the device, and the CPUs that loading threads gave up."""
        torch.set_num_threads(cpu_threads)
        self.device.enter()

    def profile(self, base: ResidentBase) -> StepProfile:
        """Returns hooks on the model, timed by the device's clock; a captured step is timed as a whole."""
        return ModuleProfile(base.model, _linears, self.watch, _PARTS)

    def _reject(self, kernel: str, reason: str) -> None:
        """Keeps what was rejected before there was an observer to tell."""
        self._rejected[kernel] = reason

    def _with_earlier(self, report: Report) -> Report:
        """Reports what was rejected earlier, and returns what reports everything else."""
        earlier, self._rejected = self._rejected, {}
        for kernel, reason in earlier.items():
            report(kernel, reason)

        def told(kernel: str, reason: str) -> None:
            if kernel not in earlier:
                report(kernel, reason)

        return told


def _linears(model: nn.Module) -> Iterable[nn.Module]:
    groups = {module.group for module in model.modules() if isinstance(module, GroupedLinear)}
    return (module for group in groups for module in group.computing)


def _page_bytes(base: ResidentBase, config: EngineConfig, room_bytes: int) -> int:
    """Returns the bytes of all adapter pages: as configured, or enough for all slots, within a share."""
    shape = StoreShape(base.shapes, base.adapter_dtype, config.max_rank, base.device)
    largest = shape.most_pages * shape.page_bytes
    if config.adapter_bytes is not None:
        if config.adapter_bytes < largest:
            raise EngineMisconfigured(
                f"adapter_bytes {config.adapter_bytes} cannot hold one adapter of rank {config.max_rank} on "
                f"all linears, which takes {largest}; raise it or lower max_rank",
                field="adapter_bytes",
            )
        return config.adapter_bytes // shape.page_bytes * shape.page_bytes
    share = int(_ADAPTER_SHARE * room_bytes)
    return min(config.slots * largest, max(largest, share // shape.page_bytes * shape.page_bytes))
