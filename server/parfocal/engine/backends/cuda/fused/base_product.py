"""The base's part of linears on one input, as a product that the next operation adds up."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from parfocal.engine.backends.cuda.four_bit import (
    JoinedLinear4bit,
    Partials,
    ProductLaunch,
    TritonProduct,
    single,
)
from parfocal.engine.backends.cuda.lora import LinearGroup


@dataclass(frozen=True, slots=True)
class BaseProduct:
    """`joined` multiplies all `linears` at once, where something does; `paths` are theirs in the model."""

    linears: Sequence[nn.Module]
    joined: nn.Module | None
    paths: Sequence[str]

    @classmethod
    def of(cls, group: LinearGroup) -> "BaseProduct":
        """That of a group."""
        return cls(group.linears, group.joined, group.paths)

    def partials(self, x: torch.Tensor) -> Partials:
        """The product of `x` `[tokens, inputs]`, which is in the base's type."""
        if isinstance(self.joined, JoinedLinear4bit):
            return self.joined.partials(x)
        return single([linear(x) for linear in self.linears])

    def launch(self, x: torch.Tensor) -> ProductLaunch | None:
        """The launch that computes it, for a kernel that does more; None if that is none of Triton's."""
        if not isinstance(self.joined, JoinedLinear4bit):
            return None
        product = self.joined.product_for(x)
        return product.launch(x, self.joined.whole) if isinstance(product, TritonProduct) else None
