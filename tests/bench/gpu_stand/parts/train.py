"""QLoRA through the resident base, against loading the same base once more as transformers and TRL do.

The other ways get a checkpoint of the same weights in 16 bits, just written and so still in memory, and
quantise it as they load.
"""

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from peft import PeftModel
from transformers.utils import logging as transformers_logging

from bench.gpu_stand.device_base import random_bases, write_checkpoint
from bench.gpu_stand.notes import Notes
from bench.gpu_stand.setting import Setting
from bench.gpu_stand.training_ways import other_ways
from oracle.resident_training import (
    NotShared,
    TrainingStep,
    train_steps,
    trainable_base,
    with_fresh_adapter,
)
from parfocal.bench.workloads.shapes import shape_named
from parfocal.engine import EngineConfig
from parfocal.engine.loading import Loading, load_base

_RATE = 1e-3
_RANK = 16

Found = dict[str, float | list[float]]


def measure(setting: Setting, notes: Notes) -> None:
    """Trains a few steps each way, on the same rows."""
    transformers_logging.disable_progress_bar()
    resident = _resident_way(setting, notes)
    notes.sum_up(resident=resident)
    gc.collect()
    notes.begin("Writing the same base as a checkpoint")
    checkpoint = setting.scratch / "checkpoint"
    dtype = torch.bfloat16 if setting.scale.kv_width == 2 else torch.float32
    loading = Loading(dtype, torch.device(setting.scale.device), "sdpa", exact=False)
    write_checkpoint(setting.base, checkpoint, loading)
    ways = other_ways()
    notes.sum_up(has_trl="trl" in ways)
    for name, way in ways.items():
        gc.collect()
        notes.begin(f"Loading it by {name}")
        found = _trained(setting, lambda way=way: way(checkpoint, loading, _RANK))  # type: ignore[misc]
        notes.sum_up(**{name: found, f"{name}_over_resident": _ratios(found, resident)})


def _resident_way(setting: Setting, notes: Notes) -> Found:
    """The base is in memory and could serve; only the adapter is new."""
    scale = setting.scale
    # Nothing repacked or unpacked: no gradient passes through what a CPU's kernels hold.
    dtype = "auto" if scale.kv_width == 2 else "float32"
    config = EngineConfig(device=scale.device, dtype=dtype, kernels=scale.kernels, unpack_bytes=0)
    notes.begin("Training through the resident base")
    with random_bases():
        base = load_base(setting.base, config)
        try:
            return _trained(setting, lambda: with_fresh_adapter(trainable_base(base, setting.base), _RANK))
        except NotShared as fault:
            notes.sum_up(resident_kernels_hold_other_weights=str(fault))
        plain = load_base(setting.base, replace(config, kernels="torch"))
    return _trained(setting, lambda: with_fresh_adapter(trainable_base(plain, setting.base), _RANK))


def _trained(setting: Setting, load: Callable[[], PeftModel]) -> Found:
    """Returns how long it took until the first step, a step's time, the losses, and the memory added."""
    scale = setting.scale
    held, begun = _held_bytes(scale.device), time.perf_counter()
    model = load()
    ready, added = time.perf_counter() - begun, _held_bytes(scale.device) - held
    vocabulary = shape_named(scale.shape).vocabulary
    rows = torch.randint(vocabulary, scale.train_rows, generator=torch.Generator().manual_seed(0))
    steps = train_steps(model, rows.to(scale.device), scale.train_steps, _RATE)
    return {"ready_seconds": ready, "added_bytes": added, **_figures(steps)}


def _figures(steps: list[TrainingStep]) -> Found:
    """The first step makes what all later ones use; it is no part of the median."""
    return {
        "step_seconds": statistics.median(step.seconds for step in steps[1:]),
        "first_step_seconds": steps[0].seconds,
        "losses": [step.loss for step in steps],
    }


def _ratios(found: Found, resident: Found) -> dict[str, float]:
    ratios = {}
    for name in ("ready_seconds", "step_seconds"):
        ours, theirs = resident[name], found[name]
        assert isinstance(ours, float) and isinstance(theirs, float)
        ratios[name] = theirs / ours
    return ratios


def _held_bytes(device: str) -> int:
    if device != "cuda":
        return 0
    torch.cuda.synchronize()
    return torch.cuda.memory_allocated()
