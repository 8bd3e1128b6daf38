"""What a 4-bit product leaves: sums over parts of its input, for the next operation to add."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import triton

from parfocal.engine.backends.cuda.four_bit.kernels import sum_kernel

MOST_LINEARS = 3
# What a program of the sum takes.
SUM_ROWS, SUM_OUTPUTS = 4, 256


@dataclass(frozen=True, slots=True)
class Partials:
    """A product as `parts` `[parts, rows, outputs]`, and the `bias` `[outputs]` that it still lacks.

    It is the sum of the parts in their order, then the bias: whoever adds them in that order, a fused
    operation or `summed`, gets the same bits. Parts are float32; a product that has only one may have it in
    the base's type. `sizes` are the outputs of the linears that were multiplied together.
    """

    parts: torch.Tensor
    bias: torch.Tensor | None
    sizes: tuple[int, ...]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self.parts.shape[1]

    @property
    def linears(self) -> tuple[torch.Tensor, ...]:
        """Each linear's share `[rows, outputs]` of the first part, where what is added comes first."""
        shares: tuple[torch.Tensor, ...] = self.parts[0].split(self.sizes, 1)
        return shares

    def summed(self, dtype: torch.dtype) -> list[torch.Tensor]:
        """Each linear's output `[rows, outputs]`, contiguous, by one launch for all."""
        ys = [self.parts.new_empty(self.rows, size, dtype=dtype) for size in self.sizes]
        three = [*ys, *[ys[0]] * (MOST_LINEARS - len(ys))]
        count, rows, outputs = self.parts.shape
        grid = triton.cdiv(rows, SUM_ROWS), triton.cdiv(max(self.sizes), SUM_OUTPUTS), len(ys)
        sum_kernel[grid](
            *three,
            self.parts,
            self.parts if self.bias is None else self.bias,
            rows,
            outputs,
            *(y.shape[1] for y in three),
            PARTS=count,
            BIASED=self.bias is not None,
            M=SUM_ROWS,
            N=SUM_OUTPUTS,
        )
        return ys


def single(ys: Sequence[torch.Tensor]) -> Partials:
    """Finished outputs `[rows, outputs]` of linears as partials of one part."""
    whole = ys[0] if len(ys) == 1 else torch.cat(list(ys), 1)
    return Partials(whole[None], None, tuple(y.shape[1] for y in ys))
