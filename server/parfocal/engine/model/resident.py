"""The one base that stays resident, and the backend that computes it, chosen before the base is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from parfocal.engine.config import EngineConfig
from parfocal.engine.devices import Device
from parfocal.engine.lora import ActiveAdapters, AdapterStore
from parfocal.engine.memory import DeviceNeeds
from parfocal.engine.model.forward import AheadForward, Forward
from parfocal.engine.model.kv_cache import KvCache, KvShape
from parfocal.engine.model.linears import LinearLayout
from parfocal.engine.model.profile import StepProfile
from parfocal.engine.observer import Observer
from parfocal.engine.sampling import Bends, Draws, Likeliest, PlainDraws, PlainLikeliest
from parfocal.engine.stopwatch import Stopwatch


@dataclass(frozen=True, slots=True)
class BaseInfo:
    """What callers may know of the resident base."""

    name: str
    architecture: str
    context_tokens: int
    vocabulary: int
    dtype: str
    device: str
    eos_ids: tuple[int, ...]
    memory_bytes: int
    layers: int


@dataclass(frozen=True, slots=True)
class ResidentBase:
    """A loaded base: `shapes` maps each adaptable linear to (in_features, out_features).

    `backend` computes its steps, with adapters in `adapter_dtype`.
    """

    model: nn.Module
    tokenizer: PreTrainedTokenizerBase
    info: BaseInfo
    kv_shape: KvShape
    shapes: Mapping[str, tuple[int, int]]
    active: ActiveAdapters
    device: torch.device
    dtype: torch.dtype
    adapter_dtype: torch.dtype
    backend: "Backend"


@dataclass(frozen=True, slots=True)
class StepMemory:
    """An empty cache, and the bytes that adapters may take."""

    cache: KvCache
    adapter_bytes: int


@dataclass(frozen=True, slots=True)
class Computing:
    """What computes the steps, the adapters' store, and what finds and draws tokens of logits.

    Without `bends`, torch applies rows' rules to their logits. `ahead` computes steps whose tokens the host
    does not know yet, where that is possible.
    """

    forward: Forward
    store: AdapterStore
    likeliest: Likeliest = field(default_factory=PlainLikeliest)
    draws: Draws = field(default_factory=PlainDraws)
    bends: Bends | None = None
    ahead: AheadForward | None = None


class Backend(Protocol):
    """What computes one base: on one device, in one dtype, by one kind of kernels.

    Before the base is loaded, it decides dtypes and how to hold linears; then it says what its steps need;
    then it builds what computes them.
    """

    @property
    def name(self) -> str:
        """Its display name: torch, native or cuda."""

    @property
    def device(self) -> Device:
        """Where it computes."""

    @property
    def watch(self) -> Stopwatch:
        """The stopwatch of the engine's parts, by the device's clock."""

    @property
    def kv_dtype(self) -> torch.dtype:
        """The dtype of the KV cache."""

    @property
    def adapter_dtype(self) -> torch.dtype:
        """The default dtype of adapters."""

    @property
    def linears(self) -> LinearLayout:
        """How it holds the base's linears."""

    def prepare(self, model: nn.Module) -> None:
        """Replaces, in place, a packed model's other modules by the fastest ones."""

    def needs(self, base: ResidentBase, config: EngineConfig, room_bytes: int) -> DeviceNeeds:
        """What its steps take of the `room_bytes` that the base leaves on the device.

        Raises:
            EngineMisconfigured: a configured size does not fit.
        """

    def computing(
        self, base: ResidentBase, config: EngineConfig, memory: StepMemory, observer: Observer
    ) -> Computing:
        """What computes the base's steps in `memory`; reports rejected kernels to `observer`."""

    def take_over(self, cpu_threads: int) -> None:
        """Prepares the calling thread to run steps, torch's own operations on up to `cpu_threads` threads."""

    def profile(self, base: ResidentBase) -> StepProfile:
        """The profile of the base's steps."""
