"""Where adapters' shrink runs: in the launch of the base's product, on a stream beside it, or after it.

The base's product stands between shrink and expand, so that shrink costs nothing where the product leaves
something of the card to it. All ways give the same bits.
"""

from typing import Protocol

import torch
import triton

from parfocal.engine.backends.cuda.four_bit import ProductLaunch
from parfocal.engine.backends.cuda.fused.base_product import BaseProduct
from parfocal.engine.backends.cuda.fused.kernels import joint_kernel
from parfocal.engine.backends.cuda.fused.pending import Pending
from parfocal.engine.backends.cuda.lora import CudaLora
from parfocal.engine.backends.cuda.side_stream import SideStream


class Shrinking(Protocol):
    """Computes a product with its adapters' shrink."""

    @property
    def name(self) -> str:
        """Its name in logs and metrics."""

    def __call__(self, product: BaseProduct, x: torch.Tensor, lora: CudaLora) -> Pending:
        """Both for `x` `[tokens, inputs]`, where adapters are expanded by row."""


class InTurn:
    """One after the other, wherever there is nothing better."""

    name = "in_turn"

    def __call__(self, product: BaseProduct, x: torch.Tensor, lora: CudaLora) -> Pending:
        """Both for `x` `[tokens, inputs]`."""
        launch = lora.shrinking(x, product.paths)
        partials = product.partials(x)
        return Pending(partials, lora.shrink(x, launch, product.paths))


class InOneLaunch:
    """By the programs that begin first in the product's own launch, if that is one of Triton's."""

    name = "one_launch"

    def __call__(self, product: BaseProduct, x: torch.Tensor, lora: CudaLora) -> Pending:
        """Both for `x` `[tokens, inputs]`."""
        launch = product.launch(x)
        return _IN_TURN(product, x, lora) if launch is None else _joint(launch, product, x, lora)


class OnTwoStreams:
    """On a stream beside the product's.

    The shrink's result gets its memory before the streams part, and keeps it until they have joined: nothing
    that runs between, and no replay of another graph, can write there.
    """

    name = "two_streams"

    def __init__(self, side: SideStream) -> None:
        self._side = side

    def __call__(self, product: BaseProduct, x: torch.Tensor, lora: CudaLora) -> Pending:
        """Both for `x` `[tokens, inputs]`."""
        launch = lora.shrinking(x, product.paths)
        self._side.part()
        try:
            with self._side.queued():
                shrunk = lora.shrink(x, launch, product.paths)
            partials = product.partials(x)
        finally:
            self._side.join()
        return Pending(partials, shrunk)


_IN_TURN = InTurn()


def _joint(launch: ProductLaunch, product: BaseProduct, x: torch.Tensor, lora: CudaLora) -> Pending:
    shrinking = lora.shrinking(x, product.paths)
    wide, parts, tall = launch.grid
    above = triton.cdiv(shrinking.programs, wide)
    arguments = (*launch.arguments, *shrinking.arguments, above, shrinking.programs)
    joint_kernel[(wide, above + parts, tall)](
        *arguments, **launch.constants, **shrinking.constants, num_warps=launch.warps
    )
    return Pending(launch.partials, shrinking.shrunk)
