"""Loads the 4-bit base as serving does and adds a fresh (or published) LoRA adapter to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from bitsandbytes.functional import has_avx512bf16
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor, nn

from parfocal.engine.loading import SUPPORTED, Loading, load_quantised
from parfocal.training.computing import register_attention
from parfocal.training.config import TrainConfig
from parfocal.training.errors import BaseUnfit, InvalidConfig, ParentMismatch
from parfocal.training.hyperparameters import BaseFacts, Hyperparameters
from parfocal.training.methods.repacking import forbid_repacking
from parfocal.training.methods.thrift import keep_inputs_narrow
from parfocal.training.processes import Place
from parfocal.training.targets import check_named

Weights = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Device:
    """Where and in which dtype the base computes; the adapter's weights are always float32."""

    device: torch.device
    dtype: torch.dtype


def training_device(config: TrainConfig) -> Device:
    """Chooses where to train: in bfloat16 (as QLoRA does) where the device multiplies it fast, else float32.

    Raises:
        InvalidConfig: there is no such device here.
    """
    name = config.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    process = Place.from_environment()
    if process.size > 1 and name == "cuda":
        name = f"cuda:{process.local_rank}"
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InvalidConfig(
            f"device is {config.device!r}, and torch sees {torch.cuda.device_count()} CUDA devices here; "
            "train with --device cpu, or install torch for CUDA",
            field="device",
        )
    if config.dtype != "auto":
        return Device(device, getattr(torch, config.dtype))
    fast = device.type == "cuda" or (device.type == "cpu" and has_avx512bf16())
    return Device(device, torch.bfloat16 if fast else torch.float32)


def load_base(base: Path, facts: BaseFacts, hyperparameters: Hyperparameters, place: Device) -> Any:
    """Loads the 4-bit base of `base`, for adapters to be trained on.

    Raises:
        BaseUnfit: serving does not support the architecture.
    """
    if facts.architecture not in SUPPORTED:
        raise BaseUnfit(
            f"architecture {facts.architecture!r} could be trained but not served; supported are "
            f"{', '.join(SUPPORTED)}",
            architecture=facts.architecture,
        )
    eager = hyperparameters.attention == "eager" and place.device.type == "cpu"
    attention = register_attention() if eager else "sdpa"
    return load_quantised(base, Loading(place.dtype, place.device, attention, exact=True))


def add_adapter(model: Any, config: TrainConfig, hyperparameters: Hyperparameters) -> PeftModel:
    """Adds a trainable LoRA adapter to a base that `load_base` gave, safe to evaluate between steps.

    The adapter's initial weights depend only on the seed.

    Raises:
        InvalidConfig: the base has no linear module that one of the targets names.
    """
    # PEFT refuses targets of which none exists, and drops one among others in silence.
    check_named(
        config.targets, [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    )
    torch.manual_seed(config.seed)
    adapted = get_peft_model(model, _lora(config, hyperparameters))
    keep_inputs_narrow(adapted)
    forbid_repacking(adapted)
    return adapted


def load_served(base: Path, adapter: Path, device: torch.device) -> PeftModel:
    """Loads the adapter of a PEFT folder on the base as the engine loads it by default, for scoring."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    model: Any = load_quantised(base, Loading(dtype, device, "sdpa", exact=False))
    return PeftModel.from_pretrained(model, adapter).eval()


def adapter_weights(model: PeftModel) -> dict[str, Tensor]:
    """Copies the adapter's weights to the CPU, by their PEFT names."""
    own = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    found = get_peft_model_state_dict(model, state_dict=own, save_embedding_layers=False)
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in found.items()}


def set_adapter_weights(model: PeftModel, weights: Weights) -> None:
    """Puts `weights`, as `adapter_weights` returns them, into the model.

    Raises:
        ParentMismatch: they are not this adapter's weights in name or shape.
    """
    mine = {name: tensor.shape for name, tensor in adapter_weights(model).items()}
    given = {name: tensor.shape for name, tensor in weights.items()}
    if mine != given:
        name = min(dict(mine.items() ^ given.items()))
        raise ParentMismatch(
            f"{name} is {_shown(given.get(name))} there and {_shown(mine.get(name))} in this run; continue "
            "with the same rank and targets",
            field=name,
        )
    set_peft_model_state_dict(model, dict(weights))


def _lora(config: TrainConfig, hyperparameters: Hyperparameters) -> LoraConfig:
    return LoraConfig(
        r=hyperparameters.rank,
        lora_alpha=hyperparameters.alpha,
        use_rslora=hyperparameters.rslora,
        init_lora_weights=_init(config.init),
        lora_dropout=config.dropout,
        target_modules=list(config.targets) or "all-linear",
        bias="none",
        task_type="CAUSAL_LM",
    )


def _init(name: str) -> Any:
    """As PEFT calls it."""
    return True if name == "default" else name


def _shown(shape: torch.Size | None) -> str:
    return "absent" if shape is None else f"of shape {list(shape)}"
