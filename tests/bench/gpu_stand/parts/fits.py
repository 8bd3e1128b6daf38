"""A base of 70 B in NF4 on one card: a QLoRA step, then requests on 16 adapters; the most memory of each.

The limit beside it is QLoRA's claim (arXiv 2305.14314): 65 B learnt on a card of 48 GB.
"""

import gc
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from bench.gpu_stand.device_base import random_bases, random_in_pieces
from bench.gpu_stand.engine_target import EngineTarget
from bench.gpu_stand.notes import Notes
from bench.gpu_stand.scale import Large
from bench.gpu_stand.setting import Setting
from oracle.resident_training import train_steps, trainable_base, with_fresh_adapter
from parfocal.bench.load.figures import figures_of
from parfocal.bench.made.adapters import write_adapter
from parfocal.bench.made.base import write_settings
from parfocal.bench.workloads.calls import Call
from parfocal.engine import EngineConfig
from parfocal.engine.loading import load_base
from parfocal.engine.model import ResidentBase

# What a card of 48 GB has.
CARD_BYTES = 48 << 30
_RATE = 1e-4
# What a context, its kernels and cuBLAS take beside torch's memory.
_OUTSIDE_BYTES = 1 << 30

Found = dict[str, object]


@dataclass(frozen=True, slots=True)
class _Memory:
    """The most memory since it was made, on a GPU; of a CPU nothing is known."""

    device: str

    def __post_init__(self) -> None:
        gc.collect()
        if self.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def found(self) -> Found:
        """The peaks in bytes, and whether they fit on a card of 48 GB with what torch does not count."""
        if self.device != "cuda":
            return {"peak_bytes": None, "limit_bytes": CARD_BYTES, "fits": None}
        torch.cuda.synchronize()
        peak = torch.cuda.max_memory_allocated()
        return {
            "peak_bytes": peak,
            "peak_reserved_bytes": torch.cuda.max_memory_reserved(),
            "outside_bytes": _OUTSIDE_BYTES,
            "limit_bytes": CARD_BYTES,
            "fits": peak + _OUTSIDE_BYTES <= CARD_BYTES,
        }


def measure(setting: Setting, notes: Notes) -> None:
    """Makes the base, trains one step through it, then serves it; keeps each as it is found."""
    large, device = setting.scale.large, setting.scale.device
    folder = setting.scratch / "large"
    folder.mkdir()
    write_settings(large.shape, folder)
    notes.begin(f"Making a random {large.shape.name}, linear by linear")
    config = _config(setting)
    memory, begun = _Memory(device), time.monotonic()
    with random_bases(random_in_pieces):
        base = load_base(folder, config)
    facts = {"parameters": _parameters(large), "base_bytes": base.info.memory_bytes}
    notes.sum_up(making={**facts, "seconds": time.monotonic() - begun, **memory.found()})
    # First, for an engine switches the linears to its own ways of computing on the same tensors.
    notes.begin(f"A QLoRA step on {large.train_rows[0]} x {large.train_rows[1]} tokens")
    notes.sum_up(training=_trained(setting, base, folder))
    notes.begin(f"Writing an adapter of rank {large.rank}")
    adapter = write_adapter(large.shape, large.rank, setting.scratch / "large-adapter", 0)
    notes.begin(f"Serving {large.adapters} adapters")
    notes.sum_up(serving=_served(setting, base, config, adapter))


def _config(setting: Setting) -> EngineConfig:
    """Room for every adapter, and for every request once."""
    scale, large = setting.scale, setting.scale.large
    block = EngineConfig().block_tokens
    tokens = large.adapters * block * (1 + -(-(large.prompt_tokens + large.new_tokens) // block))
    return EngineConfig(
        device=scale.device,
        dtype="auto" if scale.kv_width == 2 else "float32",
        kernels=scale.kernels,
        slots=large.adapters,
        max_rank=large.rank,
        max_requests=large.adapters,
        max_batch_tokens=512,
        context_tokens=large.prompt_tokens + large.new_tokens,
        kv_cache_bytes=tokens * large.shape.kv_values() * scale.kv_width,
        adapter_bytes=None,
        host_cache_bytes=0,
        unpack_bytes=0,
        load_threads=2,
    )


def _trained(setting: Setting, base: ResidentBase, folder: Path) -> Found:
    """One step; layers are computed again on the way back, as QLoRA does."""
    large, device = setting.scale.large, setting.scale.device
    memory = _Memory(device)
    model = with_fresh_adapter(trainable_base(base, folder), large.rank)
    model.enable_input_require_grads()
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    rows = torch.randint(large.shape.vocabulary, large.train_rows, generator=torch.Generator().manual_seed(0))
    (step,) = train_steps(model, rows.to(device), 1, _RATE)
    return {"loss": step.loss, "seconds": step.seconds, "rank": large.rank, **memory.found()}


def _served(setting: Setting, base: ResidentBase, config: EngineConfig, adapter: Path) -> Found:
    """Each request on its own adapter, of which all have the same numbers and each has its own memory."""
    large = setting.scale.large
    memory = _Memory(setting.scale.device)
    names = [f"adapter-{number}" for number in range(large.adapters)]
    target = EngineTarget(base, config, dict.fromkeys(names, adapter))
    try:
        target.bring_in(names)
        calls = [Call(_prompt(large, number), name) for number, name in enumerate(names)]
        figures = figures_of([target.run_round(calls, large.new_tokens)])
    finally:
        target.close()
    speed = {"adapters": large.adapters, "tokens_per_second": figures.tokens_per_second}
    return {**speed, "rank": large.rank, **memory.found()}


def _prompt(large: Large, number: int) -> tuple[int, ...]:
    return tuple((7 * number + token) % large.shape.vocabulary for token in range(large.prompt_tokens))


def _parameters(large: Large) -> int:
    shape = large.shape
    heads = shape.head_parameters * (1 if shape.tied else 2)
    return sum(linear.parameters for linear in shape.linears) + heads
