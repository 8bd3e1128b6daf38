"""The products of a layer: each group of linears on one input, with its adapters' shrink beside it."""

from collections.abc import Sequence

import torch
import triton

from parfocal.engine.backends.cuda.four_bit import JoinedLinear4bit, Partials, TritonProduct, single
from parfocal.engine.backends.cuda.fused.kernels import joint_kernel
from parfocal.engine.backends.cuda.fused.pending import Pending
from parfocal.engine.backends.cuda.lora import CudaLora, LinearGroup


class Projection:
    """Linears on one input, whose outputs the next operation adds up."""

    def __init__(self, group: LinearGroup) -> None:
        self._linears, self._joined = group.linears, group.joined
        self.paths = group.paths

    def __call__(self, x: torch.Tensor, lora: CudaLora | None) -> Pending:
        """Their product for `x` `[tokens, inputs]` in the base's type; adapters come with it or are added."""
        if lora is None:
            return Pending(self._partials(x))
        if not lora.by_row:
            partials = self._partials(x)
            # To the first part, which is added before the others.
            lora.add_to_group(partials.parts[0].split(partials.sizes, 1), x, self.paths)
            return Pending(partials)
        joined = self._joined
        if isinstance(joined, JoinedLinear4bit) and isinstance(joined.product_for(x), TritonProduct):
            return _joint(joined, x, lora, self.paths)
        return Pending(self._partials(x), lora.shrunk(x, self.paths))

    def _partials(self, x: torch.Tensor) -> Partials:
        if isinstance(self._joined, JoinedLinear4bit):
            return self._joined.partials(x)
        return single([linear(x) for linear in self._linears])


def _joint(joined: JoinedLinear4bit, x: torch.Tensor, lora: CudaLora, paths: Sequence[str]) -> Pending:
    """Product and shrink in one launch."""
    product = joined.product_for(x)
    assert isinstance(product, TritonProduct)
    launch, shrinking = product.launch(x, joined.whole), lora.shrinking(x, paths)
    wide, parts, tall = launch.grid
    above = triton.cdiv(shrinking.programs, wide)
    arguments = (*launch.arguments, *shrinking.arguments, above, shrinking.programs)
    joint_kernel[(wide, above + parts, tall)](
        *arguments, **launch.constants, **shrinking.constants, num_warps=launch.warps
    )
    return Pending(launch.partials, shrinking.shrunk)
