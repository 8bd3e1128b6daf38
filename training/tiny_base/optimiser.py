"""Muon for the matrices, AdamW for embeddings and norms, and one learning-rate schedule for both.

Muon: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon; scaled to AdamW's update size as in
Liu et al. 2025 (arXiv 2502.16982), so that both share a learning rate.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True, slots=True)
class Schedule:
    """Linear warm-up, a plateau, then linear decay to a fiftieth; counted in steps, never in seconds.

    Polishing follows: `polish_steps` from `polish_peak` linearly down to nothing.
    """

    peak: float
    warm_up: int
    steps: int
    polish_peak: float = 0.0
    polish_steps: int = 0
    plateau: float = 0.35

    def rate(self, step: int) -> float:
        """The learning rate of the step (from 0)."""
        if step >= self.steps:
            return self.polish_peak * (1.0 - (step - self.steps) / max(1, self.polish_steps))
        rise = min(1.0, (step + 1) / max(1, self.warm_up))
        start = self.plateau * self.steps
        fall = 1.0 if step < start else 1.0 - 0.98 * (step - start) / max(1.0, self.steps - start)
        return self.peak * min(rise, fall)


class Optimiser:
    """Both optimisers behind one step."""

    def __init__(self, network: nn.Module) -> None:
        """Gives two-dimensional weights inside the layers to Muon and all else to AdamW."""
        matrices: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for name, parameter in network.named_parameters():
            (matrices if parameter.ndim == 2 and ".layers." in name else others).append(parameter)
        self._parameters = [*matrices, *others]
        muon = torch.optim.Muon(
            matrices, momentum=0.95, weight_decay=0.02, ns_steps=4, adjust_lr_fn="match_rms_adamw"
        )
        adam = torch.optim.AdamW(others, betas=(0.9, 0.98), weight_decay=0.0)
        self._parts: tuple[torch.optim.Optimizer, ...] = (muon, adam)

    def step(self, rate: float) -> float:
        """Clips the gradient to norm 1, updates at the rate, clears gradients; returns the norm before."""
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = rate
            part.step()
            part.zero_grad()
        return float(norm)

    def state(self) -> list[dict[str, Any]]:
        """Both states, as torch lays them out."""
        return [part.state_dict() for part in self._parts]

    def restore(self, states: list[dict[str, Any]]) -> None:
        """Takes back what `state` returned."""
        for part, state in zip(self._parts, states, strict=True):
            part.load_state_dict(state)
