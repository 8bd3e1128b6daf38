"""The backend of torch's own operations: it runs on every device, and all others fall back on it."""

from collections.abc import Iterable, Mapping

import torch
from torch import nn

from parfocal.engine.backends.torch import bfloat16_cpu, unpacked_cpu
from parfocal.engine.backends.torch.needs import at_most, slab_bytes
from parfocal.engine.backends.torch.step_work import TorchStepWork
from parfocal.engine.config import EngineConfig
from parfocal.engine.devices import Device
from parfocal.engine.lora import SLAB_SLOTS, AdaptedLinear, LoraStore
from parfocal.engine.memory import DeviceNeeds
from parfocal.engine.model import (
    Computing,
    Forward,
    Kept,
    ModelForward,
    ModuleProfile,
    ResidentBase,
    StepMemory,
    StepProfile,
    TokenByToken,
)
from parfocal.engine.observer import Observer
from parfocal.engine.stopwatch import Stopwatch


class FourBitLinears:
    """bitsandbytes' own linears, unchanged: nothing is packed, and nothing is cached in another form."""

    facts: Mapping[str, object] = {}

    def pack(self, model: nn.Module) -> None:
        """Leaves the model as it is."""

    def keep(self, module: nn.Module) -> Kept | None:
        """Returns None: it has no modules of its own."""

    def make(self, kept: Kept) -> nn.Module:
        """Raises AssertionError: nothing was kept."""
        raise AssertionError(f"these linears cache nothing, but were given {kept.notes}")


class TorchBackend:
    """Computes with torch's own operations, in the base's numbers.

    `exact` forbids bfloat16 products on CPUs; `unpack_bytes` is what dequantised weights may take there.
    """

    name = "torch"

    def __init__(
        self, device: Device, dtype: torch.dtype, *, exact: bool = False, unpack_bytes: int | None = None
    ) -> None:
        self.device = device
        self.watch = Stopwatch(device.marks())
        self.linears = FourBitLinears()
        self.kv_dtype = self.adapter_dtype = dtype
        self._exact = exact
        self._unpack_bytes = unpack_bytes

    def prepare(self, model: nn.Module) -> None:
        """Gives a float32 model on a CPU faster linears; leaves others alone."""
        if self.kv_dtype is not torch.float32:
            return
        if not self._exact and bfloat16_cpu.is_fast_here(model):
            bfloat16_cpu.speed_up(model)
        else:
            unpacked_cpu.unpack_within(model, self._unpack_bytes)

    def needs(self, base: ResidentBase, config: EngineConfig, room_bytes: int) -> DeviceNeeds:
        """Returns bounds on what its steps and slabs take."""
        del room_bytes
        return DeviceNeeds(slab_bytes(base, config), at_most(base, config))

    def computing(
        self, base: ResidentBase, config: EngineConfig, memory: StepMemory, observer: Observer
    ) -> Computing:
        """Returns transformers' forward pass over torch's attention and LoRA.

        Libraries choose the order of a product's sums by its sizes: to be deterministic, tokens are computed
        one by one.
        """
        del observer
        store = LoraStore(base.shapes, base.adapter_dtype, base.device, min(SLAB_SLOTS, config.slots))
        work = TorchStepWork(memory.cache, store.slabs, base.device)
        forward: Forward = ModelForward(base, work)
        if config.deterministic:
            forward = TokenByToken(forward, memory.cache.block_tokens)
        return Computing(forward, store)

    def take_over(self, cpu_threads: int) -> None:
        """Gives the calling thread the device, and the CPUs that loading threads gave up."""
        torch.set_num_threads(cpu_threads)
        self.device.enter()

    def profile(self, base: ResidentBase) -> StepProfile:
        """Returns hooks on the model."""
        return ModuleProfile(base.model, adapted_linears, self.watch)


def adapted_linears(model: nn.Module) -> Iterable[nn.Module]:
    """Returns the base's own linears within the model's adapted ones."""
    return (module.base for module in model.modules() if isinstance(module, AdaptedLinear))
