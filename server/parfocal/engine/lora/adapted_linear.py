"""A linear layer of the base with the step's adapters beside it. Knows nothing of requests or slots."""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from parfocal.engine.lora.batch import LoraWork


class ActiveAdapters:
    """How a step's LoRA work reaches the linears: transformers' layers pass no argument through.

    A forward pass sets its work with `during`; every adapted linear of the base reads `work`, on the same
    thread. It is None while no row uses an adapter, so the base pays nothing.
    """

    def __init__(self) -> None:
        self.work: LoraWork | None = None

    @contextlib.contextmanager
    def during(self, work: LoraWork | None) -> Iterator[None]:
        """Makes the linears add `work` to their outputs while the scope lasts."""
        self.work = work
        try:
            yield
        finally:
            self.work = None


class AdaptedLinear(nn.Module):
    """y = W₄(x) + scale · B(A(x)), each row under its own adapter; the scale is folded into B."""

    def __init__(self, base: nn.Module, path: str, active: ActiveAdapters) -> None:
        super().__init__()
        self.base = base
        self.path = path
        self.active = active

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[…, tokens, out]` for `x` `[…, tokens, in]`."""
        y: torch.Tensor = self.base(x)
        if self.active.work is not None:
            self.active.work.add_to(y, x, self.path)
        return y


def adapt_linears(model: nn.Module, shapes: dict[str, tuple[int, int]], active: ActiveAdapters) -> None:
    """Replaces the linears named in `shapes` by adapted ones, in place."""
    for path in shapes:
        parent, _, name = path.rpartition(".")
        owner = model.get_submodule(parent)
        setattr(owner, name, AdaptedLinear(getattr(owner, name), path, active))
