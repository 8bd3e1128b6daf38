"""Writes a trained adapter as a PEFT folder fit to be published. Knows no registry, only its base's name."""

import json
import shutil
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import save_file
from torch import nn

from parfocal.registry import BaseFiles
from parfocal.training.methods.adapter import Weights

_CONFIG = "adapter_config.json"
_INNER = "base_model.model."
WEIGHTS = "adapter_model.safetensors"


def export(model: PeftModel, weights: Weights, folder: Path, base: BaseFiles, dtype: str) -> None:
    """Writes `weights` with the model's LoRA configuration to `folder`, which appears whole or not at all.

    The configuration names `base` by id and revision, where PEFT would write the path it was loaded from, and
    target modules by their suffixes, which PEFT had expanded to one path per layer, unless those name others
    too.
    """
    draft = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    kind = getattr(torch, dtype)
    tensors = {name: weights[name].to(kind).contiguous() for name in sorted(weights)}
    save_file(tensors, draft / WEIGHTS, metadata={"format": "pt"})
    config = model.peft_config["default"].to_dict()
    config.update(
        base_model_name_or_path=base.id,
        revision=base.revision,
        inference_mode=True,
        target_modules=_targets(model, weights),
        lora_dropout=0.0,
    )
    text = json.dumps(config, indent=2, sort_keys=True, default=_plain)
    (draft / _CONFIG).write_text(text + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)


def _targets(model: PeftModel, weights: Weights) -> list[str]:
    ends = suffixes(weights)
    adapted = {name.split(".lora_")[0].removeprefix(_INNER) for name in weights}
    linears = {
        name.removeprefix(_INNER).removesuffix(".base_layer")
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and ".lora_" not in name
    }
    others = [name for name in linears - adapted if name.rpartition(".")[2] in ends]
    return sorted(adapted) if others else ends


def suffixes(weights: Weights) -> list[str]:
    """The last names of the modules that `weights` adapt, such as `q_proj`."""
    return sorted({name.split(".lora_")[0].rpartition(".")[2] for name in weights})


def _plain(value: object) -> object:
    """Sets and enums of PEFT's configuration as JSON."""
    return sorted(value) if isinstance(value, set) else str(value)
