"""Products by product.cu: a pair table in shared memory, a ring of asynchronous copies, tensor cores."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from parfocal.engine.backends.cuda.four_bit.blocked import Blocked
from parfocal.engine.backends.cuda.four_bit.compiled.cutting import (
    OUTPUTS,
    PROGRAMS,
    ROW_TILES,
    THREADS,
    row_tile,
    share_of,
    shared_bytes,
    stages_for,
)
from parfocal.engine.backends.cuda.four_bit.compiled.given import given
from parfocal.engine.backends.cuda.four_bit.levels import Way, table_of
from parfocal.engine.backends.cuda.four_bit.partials import Partials
from parfocal.engine.backends.cuda.nvrtc import (
    Builder,
    Cubins,
    Grid,
    Kernel,
    Source,
    Target,
    cubins_home,
    target_of,
)

# The first with asynchronous copies and with tensor cores that take bfloat16.
_LEAST_CAPABILITY = (8, 0)
# The first whose kernels may begin before the one ahead of them has ended.
_EARLY_CAPABILITY = (9, 0)
_NUMBERS = {torch.float16: "Float16", torch.bfloat16: "Bfloat16"}
_ALIGNED_BYTES = 16


@dataclass(frozen=True, slots=True)
class _Built:
    """Kernels by their tile of rows, the table of pairs on their card, and whether they may begin early."""

    kernels: Mapping[int, Kernel]
    table: torch.Tensor
    is_early: bool


class CompiledProduct:
    """Products by our CUDA C++, built at the first call for the card where the weights are.

    `programs` is into how many a product is cut.
    """

    name = "compiled"

    def __init__(
        self,
        builder: Builder,
        target: Callable[[torch.device], Target] = target_of,
        programs: int = PROGRAMS,
    ) -> None:
        self._builder, self._target, self._programs = builder, target, programs
        self._built: dict[tuple[torch.device, torch.dtype], _Built] = {}

    def __call__(self, x: torch.Tensor, weights: Blocked) -> Partials:
        """The product of `x` `[rows, inputs]`.

        Raises RuntimeError or OSError where the kernels cannot be built or launched.
        """
        rows, blocks = len(x), len(weights.codes)
        built, share = self._for(weights), share_of(weights.outputs, blocks, self._programs)
        count, tile = -(-blocks // share), row_tile(rows)
        parts = torch.empty(count, rows, weights.outputs, dtype=torch.float32, device=x.device)
        if rows:
            x = _aligned(x)
            grid = Grid(-(-weights.outputs // OUTPUTS), count, -(-rows // tile))
            told = given(parts, x, weights, built.table, share)
            built.kernels[tile].launch(grid, told, _stream(x.device), early=built.is_early)
        return Partials(parts, weights.bias, weights.sizes)

    def _for(self, weights: Blocked) -> _Built:
        """What serves all weights of a base, since they have the same levels."""
        key = weights.codes.device, weights.dtype
        if key not in self._built:
            self._built[key] = self._build(weights)
        return self._built[key]

    def _build(self, weights: Blocked) -> _Built:
        device, dtype = weights.codes.device, weights.dtype
        target = self._target(device)
        if target.capability < _LEAST_CAPABILITY:
            least, found = (".".join(map(str, one)) for one in (_LEAST_CAPABILITY, target.capability))
            raise RuntimeError(f"needs a card of compute capability {least}, and this one's is {found}")
        stages = {rows: stages_for(rows, target) for rows in ROW_TILES}
        module = self._builder.build(_source(), target, options_of(dtype, stages))
        return _Built(
            {
                rows: module.kernel(f"product_{rows}", THREADS, shared_bytes(rows, count))
                for rows, count in stages.items()
            },
            # Made on the host: what begins early must not meet a table that another kernel still writes.
            table_of(Way.PAIRS, weights.levels.cpu(), dtype).to(device),
            target.capability >= _EARLY_CAPABILITY,
        )


def compiled_products(
    device: torch.device, dtype: torch.dtype, programs: int = PROGRAMS
) -> list[CompiledProduct]:
    """What may be tried: one for a CUDA device and a type of 16 bits, else none."""
    is_for = device.type == "cuda" and dtype in _NUMBERS
    return [CompiledProduct(Builder(Cubins(cubins_home())), programs=programs)] if is_for else []


def options_of(dtype: torch.dtype, stages: Mapping[int, int]) -> list[str]:
    """What product.cu is told: the type, and for each tile of rows how deep its ring is."""
    return [f"-DNUMBER={_NUMBERS[dtype]}", *(f"-DSTAGES_{rows}={count}" for rows, count in stages.items())]


@cache
def _source() -> Source:
    return Source.of(Path(__file__).with_name("product.cu"))


def _aligned(x: torch.Tensor) -> torch.Tensor:
    """Rows that can be copied 16 bytes at a time."""
    steps = x.data_ptr(), x.stride(0) * x.itemsize
    return x.clone(memory_format=torch.contiguous_format) if any(at % _ALIGNED_BYTES for at in steps) else x


def _stream(device: torch.device) -> int:
    """The handle of torch's current stream, 0 where there is none."""
    return torch.cuda.current_stream(device).cuda_stream if device.type == "cuda" else 0
