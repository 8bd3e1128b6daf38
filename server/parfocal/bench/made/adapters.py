"""Writes random LoRA adapters in PEFT's format, on every linear of a shape. Needs neither torch nor PEFT."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from parfocal.bench.made.base import Weights, normal
from parfocal.bench.workloads import Shape

_STD_B = 0.02


def write_adapter(shape: Shape, rank: int, folder: Path, seed: int) -> Path:
    """Writes an adapter with alpha 2 · rank and non-zero B, in half precision, and returns its folder."""
    folder.mkdir(parents=True)
    random = np.random.default_rng((seed, rank))
    tensors: dict[str, Weights] = {}
    for linear in shape.linears:
        stem = f"base_model.model.{linear.path}"
        tensors[f"{stem}.lora_A.weight"] = normal(random, (rank, linear.wide), linear.wide**-0.5)
        tensors[f"{stem}.lora_B.weight"] = normal(random, (linear.tall, rank), _STD_B)
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    (folder / "adapter_config.json").write_text(json.dumps(_config(shape, rank), indent=2) + "\n")
    return folder


def _config(shape: Shape, rank: int) -> dict[str, object]:
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": shape.name,
        "r": rank,
        "lora_alpha": 2 * rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "inference_mode": True,
        "target_modules": sorted({linear.path.rpartition(".")[2] for linear in shape.linears}),
    }
