"""What a base's folder and an engine's settings say before anything is loaded."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, PretrainedConfig, PreTrainedTokenizerBase

from parfocal.engine.errors import BaseRefused
from parfocal.engine.loading.rope import refuse_batch_dependent_rope

SUPPORTED = ("llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text", "phi3")
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def checked_config(folder: Path) -> PretrainedConfig:
    """Returns the configuration in `folder`; raises BaseRefused unless such a base can be served."""
    if not (folder / "config.json").is_file():
        raise BaseRefused(
            f"{folder} has no config.json; give a folder that transformers can load a decoder from"
        )
    try:
        kind = json.loads((folder / "config.json").read_text())["model_type"]
    except (ValueError, KeyError, TypeError) as error:
        raise BaseRefused(f"{folder / 'config.json'} is not a model configuration: {error!r}") from error
    if kind not in SUPPORTED:
        raise BaseRefused(
            f"architecture {kind!r} is not supported; supported are {', '.join(SUPPORTED)}",
            architecture=str(kind),
        )
    config: PretrainedConfig = AutoConfig.from_pretrained(folder)
    refuse_batch_dependent_rope(config)
    return config


def device_of(name: str) -> torch.device:
    """Returns the device that a setting names; raises BaseRefused for one that is not here."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise BaseRefused(f"device {name!r} is unknown; use auto, cpu or cuda") from error
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise BaseRefused(
            f"device {name!r} is not here: torch {torch.__version__} sees {count} CUDA devices; "
            "use auto or cpu"
        )
    # With its number, as `torch.cuda.set_device` wants it.
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else device


def dtype_of(name: str, device: torch.device) -> torch.dtype:
    """Returns the type of numbers that a setting names on a device; raises BaseRefused for another."""
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if name not in _DTYPES:
        raise BaseRefused(f"dtype {name!r} is not supported; use auto, {', '.join(_DTYPES)}")
    return _DTYPES[name]


def eos_ids(model: nn.Module, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Returns the tokens that end an answer, by the base's generation settings and its tokenizer."""
    generation: Any = getattr(model, "generation_config", None)
    found = getattr(generation, "eos_token_id", None)
    ids = found if isinstance(found, list) else [found]
    return tuple(sorted({int(i) for i in (*ids, tokenizer.eos_token_id) if i is not None}))
