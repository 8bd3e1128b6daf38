"""What a layer's product leaves for the next operation to add: partial sums, a bias, adapters' x Aᵀ."""

from dataclasses import dataclass

import torch

from parfocal.engine.backends.cuda.four_bit import Partials
from parfocal.engine.backends.cuda.lora import Shrunk


@dataclass(frozen=True, slots=True)
class Pending:
    """The product of a group of linears; without `shrunk`, adapters have been added or there are none."""

    partials: Partials
    shrunk: Shrunk | None = None

    @property
    def rows(self) -> int:
        """How many tokens there are."""
        return self.partials.rows

    @property
    def outputs(self) -> int:
        """The outputs of all linears."""
        return self.partials.parts.shape[2]

    @property
    def tensors(self) -> tuple[torch.Tensor, ...]:
        """What kernels add: parts, bias, then what `expanded_row` reads; anything where there is none."""
        parts, bias = self.partials.parts, self.partials.bias
        shrunk = (parts,) * 5 if self.shrunk is None else self.shrunk.tensors
        return parts, parts if bias is None else bias, *shrunk

    @property
    def numbers(self) -> tuple[int, int, int]:
        """An adapter's linears, the first one's column, and the room for ranks."""
        return (0, 0, 0) if self.shrunk is None else self.shrunk.numbers

    @property
    def constants(self) -> dict[str, object]:
        """What kernels are compiled for."""
        return {
            "PARTS": self.partials.parts.shape[0],
            "BIASED": self.partials.bias is not None,
            "SPLITS": 0 if self.shrunk is None else self.shrunk.h.shape[0],
            "SCALED": self.shrunk is not None and self.shrunk.is_scaled,
        }

    @property
    def linears(self) -> int:
        """How many linears there are."""
        return len(self.partials.sizes)
