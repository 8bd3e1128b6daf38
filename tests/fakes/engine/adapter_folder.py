"""Writes small adapters for the engine by hand, changes them, and reads them as the engine does."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from parfocal.engine import AdapterFolder, RankAndScale
from parfocal.engine.lora.adapter_files import WEIGHTS_FILE, LoraWeights, read_adapter

DIGEST = "sha256:" + "0" * 64
Q0 = "model.layers.0.self_attn.q_proj"


def write_weights(folder: Path, a: torch.Tensor, b: torch.Tensor, path: str = Q0) -> None:
    stem = f"base_model.model.{path}"
    save_file({f"{stem}.lora_A.weight": a, f"{stem}.lora_B.weight": b}, folder / WEIGHTS_FILE)


def change_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(folder / WEIGHTS_FILE)
    change(tensors)
    save_file(tensors, folder / WEIGHTS_FILE)


def read(
    folder: Path,
    shapes: Mapping[str, tuple[int, int]],
    max_rank: int = 64,
    dtype: torch.dtype = torch.float32,
    modules: Mapping[str, RankAndScale] | None = None,
) -> LoraWeights:
    """Reads a folder that is said to hold `modules`: one of rank 4 if nothing else is said."""
    meant = {Q0: RankAndScale(4, 1.0)} if modules is None else modules
    return read_adapter(AdapterFolder(folder, meant), DIGEST, shapes, dtype, max_rank)
