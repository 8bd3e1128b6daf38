"""The products of a layer: each group of linears on one input, with its adapters' part."""

import torch

from parfocal.engine.backends.cuda.fused.base_product import BaseProduct
from parfocal.engine.backends.cuda.fused.pending import Pending
from parfocal.engine.backends.cuda.fused.shrinking import InTurn, Shrinking
from parfocal.engine.backends.cuda.lora import CudaLora, LinearGroup


class Projection:
    """Linears on one input, whose outputs the next operation adds up.

    With `many` outputs, adapters that rows share are expanded in tiles, by a launch of its own. `shrinking`
    is how it is done until another way is chosen.
    """

    def __init__(self, group: LinearGroup, *, many: bool) -> None:
        self.product = BaseProduct.of(group)
        self.shrinking: Shrinking = InTurn()
        self._many = many

    def __call__(self, x: torch.Tensor, lora: CudaLora | None) -> Pending:
        """Their product for `x` `[tokens, inputs]` in the base's type; adapters come with it or are added."""
        product = self.product
        if lora is None:
            return Pending(product.partials(x))
        if not lora.by_row:
            partials = product.partials(x)
            lora.add_to_group(partials.linears, x, product.paths)
            return Pending(partials)
        pending = self.shrinking(product, x, lora)
        if not (self._many and lora.shared) or pending.shrunk is None:
            return pending
        lora.expand(pending.partials.linears, pending.shrunk, product.paths, x)
        return Pending(pending.partials)
