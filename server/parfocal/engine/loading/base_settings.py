"""What a base's folder and the engine's settings decide before anything is loaded."""

import json
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, PretrainedConfig

from parfocal.engine.errors import BaseRefused, DeviceAbsent
from parfocal.engine.loading.rope import refuse_batch_dependent_rope

SUPPORTED = ("llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text", "phi3")
_ABSENT = object()
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def checked_config(folder: Path) -> PretrainedConfig:
    """The configuration in `folder`; raises BaseRefused unless such a base can be served."""
    if not (folder / "config.json").is_file():
        raise BaseRefused(
            f"{folder} has no config.json; give a folder that transformers can load a decoder from"
        )
    kind = _fields(folder).get("model_type", _ABSENT)
    if kind is _ABSENT:
        raise BaseRefused(f"{folder / 'config.json'} is not a model configuration: it has no model_type")
    if kind not in SUPPORTED:
        raise BaseRefused(
            f"architecture {kind!r} is not supported; supported are {', '.join(SUPPORTED)}",
            architecture=str(kind),
        )
    is_stored_quantised(folder)
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(folder)
    except (OSError, ValueError, TypeError, KeyError, StrictDataclassError) as error:
        reason = " ".join(str(error).split())
        raise BaseRefused(f"transformers refuses {folder / 'config.json'}: {reason}") from error
    refuse_batch_dependent_rope(config)
    return config


def is_stored_quantised(folder: Path) -> bool:
    """Whether the weights are stored in 4 bits by bitsandbytes; raises BaseRefused for any other method."""
    stored = _fields(folder).get("quantization_config")
    if not isinstance(stored, dict) or not stored:
        return False
    method = stored.get("quant_method", "bitsandbytes" if stored.get("load_in_4bit") else "an unnamed method")
    if method != "bitsandbytes" or not stored.get("load_in_4bit"):
        eight = " in 8 bits" if method == "bitsandbytes" else ""
        raise BaseRefused(
            f"the weights in {folder} are stored quantised by {method}{eight}; only bitsandbytes' NF4 with "
            "double quantisation is served: give the base that is not quantised"
        )
    return True


def _fields(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        fields = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise BaseRefused(f"{path} is not a model configuration: {error!r}") from error
    if not isinstance(fields, dict):
        raise BaseRefused(f"{path} is not a model configuration: it is not a JSON object")
    return fields


def device_of(name: str) -> torch.device:
    """The device that a setting names; raises BaseRefused if there is none such, DeviceAbsent if not here."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise BaseRefused(f"device {name!r} is unknown; use auto, cpu or cuda") from error
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise DeviceAbsent(
            f"device {name!r} is not here: torch {torch.__version__} sees {count} CUDA devices; "
            "use auto or cpu"
        )
    # With its index, as `torch.cuda.set_device` requires.
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else device


def dtype_of(name: str, device: torch.device) -> torch.dtype:
    """The type of numbers that the setting `dtype` names on a device."""
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return _DTYPES[name]
