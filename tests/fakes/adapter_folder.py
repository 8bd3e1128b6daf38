"""Writes small PEFT folders for the engine by hand, changes them, and reads them as the engine does."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from parfocal.engine.lora.adapter_files import WEIGHTS_FILE, LoraWeights, read_adapter
from parfocal.engine.lora.adapter_settings import CONFIG_FILE

DIGEST = "sha256:" + "0" * 64
Q0 = "model.layers.0.self_attn.q_proj"


def write_config(folder: Path, changes: Mapping[str, object]) -> None:
    fields = {"peft_type": "LORA", "r": 4, "lora_alpha": 4, "bias": "none", **changes}
    (folder / CONFIG_FILE).write_text(json.dumps(fields))


def write_weights(folder: Path, a: torch.Tensor, b: torch.Tensor, path: str = Q0) -> None:
    stem = f"base_model.model.{path}"
    save_file({f"{stem}.lora_A.weight": a, f"{stem}.lora_B.weight": b}, folder / WEIGHTS_FILE)


def change_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(folder / WEIGHTS_FILE)
    change(tensors)
    save_file(tensors, folder / WEIGHTS_FILE)


def read(folder: Path, shapes: Mapping[str, tuple[int, int]], max_rank: int = 64) -> LoraWeights:
    return read_adapter(folder, DIGEST, shapes, torch.float32, max_rank)
