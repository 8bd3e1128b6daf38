"""QLoRA through a resident base: the very 4-bit tensors that serve, under transformers' own attention."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from bitsandbytes.nn.modules import Linear4bit
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from parfocal.engine.model import ResidentBase, put


class NotShared(Exception):
    """The resident base holds its weights in a form through which no gradient passes."""


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """One step's loss before it, and how long it took."""

    loss: float
    seconds: float


def trainable_base(resident: ResidentBase, folder: Path) -> nn.Module:
    """Returns the model of `folder` on the memory of the resident base: not a weight is copied.

    Raises:
        NotShared: no gradient passes through a linear of the resident base.
    """
    config = AutoConfig.from_pretrained(folder)
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(
            config, dtype=resident.dtype, attn_implementation="sdpa"
        )
    for path in resident.shapes:
        put(model, path, _linear_4bit(resident.model, path))
    _share(model, resident.model)
    # What transformers notes where it quantises: PEFT asks for it.
    model.is_loaded_in_4bit = True
    ready: nn.Module = model.eval()
    return ready


def with_fresh_adapter(model: Any, rank: int) -> PeftModel:
    """Returns the quantised model with a new adapter on all linears, the same every time."""
    torch.manual_seed(0)
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    adapted = get_peft_model(model, config)
    assert isinstance(adapted, PeftModel)
    return adapted


def train_steps(model: PeftModel, rows: torch.Tensor, steps: int, rate: float) -> list[TrainingStep]:
    """Learns the token ids `rows` `[rows, tokens]` by heart; the loss is taken over all of them."""
    learnt = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(learnt, lr=rate, weight_decay=0.0)
    model.train()
    taken = []
    for _ in range(steps):
        begun = time.perf_counter()
        loss = model(input_ids=rows, labels=rows, use_cache=False).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        # Reading the value waits for the device.
        taken.append(TrainingStep(loss.item(), time.perf_counter() - begun))
    model.eval()
    return taken


class _Through(nn.Linear):
    """A linear for PEFT, which knows no others, on blocked weights: dequantised in tiles, forth and back."""

    def __init__(self, linear: Any) -> None:
        # Imported here: it needs Triton, which is published for Linux only.
        from parfocal.engine.backends.cuda.four_bit import Serving, TritonProduct, Way, by_kernels

        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        own = linear.own
        self.weight = nn.Parameter(own.codes.new_empty(0, dtype=own.dtype), requires_grad=False)
        self.register_parameter("bias", None)
        dense = Serving(TritonProduct(Way.LEVELS), 0, by_kernels)
        self._blocked = linear.served_by(dense if own.codes.is_cuda else None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self._blocked(x)
        return answer


def _linear_4bit(model: nn.Module, path: str) -> nn.Module:
    adapted = model.get_submodule(path)
    blocked = [module for module in adapted.modules() if type(module).__name__ == "BlockedLinear4bit"]
    if blocked:
        return _Through(blocked[0])
    found = next((module for module in adapted.modules() if isinstance(module, Linear4bit)), None)
    if found is None:
        raise NotShared(
            f"{path} of the resident base is a {type(adapted).__name__}; load it with kernels=torch"
        )
    return found


def _share(model: nn.Module, resident: nn.Module) -> None:
    """Gives the model the parameters and buffers that it lacks, as views of the resident ones."""
    parameters = dict(resident.named_parameters(remove_duplicate=False))
    buffers = dict(resident.named_buffers(remove_duplicate=False))
    for path, module in model.named_modules():
        prefix = f"{path}." if path else ""
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.is_meta:
                data = parameters[prefix + name].detach()
                setattr(module, name, nn.Parameter(data, requires_grad=False))
        for name, buffer in module.named_buffers(recurse=False):
            if buffer.is_meta:
                setattr(module, name, buffers[prefix + name])
