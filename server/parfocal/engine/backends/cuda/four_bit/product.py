"""4-bit products behind one seam: `Product`, and its implementation in Triton."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
import triton

from parfocal.engine.backends.cuda.four_bit.blocked import Blocked
from parfocal.engine.backends.cuda.four_bit.kernels import dequantise_kernel, product_kernel
from parfocal.engine.backends.cuda.four_bit.levels import Way, assembly_of, table_of
from parfocal.engine.backends.cuda.four_bit.partials import Partials
from parfocal.engine.backends.cuda.products import product_type

# Programs of a product: enough for every multiprocessor of the largest cards, twice.
_PROGRAMS = 256
# The fewest blocks of 64 inputs that are worth a part of their own.
_LEAST_BLOCKS = 4
_MANY_OUTPUTS = 1024
_ROW_TILES = (16, 32, 64)
DEQUANTISED_OUTPUTS = 64


class Product(Protocol):
    """How few rows are multiplied with 4-bit weights. One object serves all linears of a base.

    Implementations: `TritonProduct` and `compiled`'s `CompiledProduct`; bitsandbytes' linears stand behind
    another module, `SwitchedLinear4bit`.
    """

    @property
    def name(self) -> str:
        """Its name in logs and measurements."""

    def __call__(self, x: torch.Tensor, weights: Blocked) -> Partials:
        """The product of `x` `[rows, inputs]`, of the weights' type. A row's bits depend on no other row."""


@dataclass(frozen=True, slots=True)
class Tiles:
    """How a product is cut: outputs of a program, blocks of 64 inputs of a part; stages of its pipeline."""

    outputs: int
    blocks: int
    stages: int
    warps: int = 4


def tiles_of(weights: Blocked) -> Tiles:
    """The tiles for a weight: by its sizes and type alone, never by the rows."""
    return tiles_for(weights.outputs, weights.codes.shape[0], weights.dtype)


def tiles_for(outputs: int, blocks: int, dtype: torch.dtype) -> Tiles:
    """The tiles for so many outputs and blocks of 64 inputs.

    Measured on an H100 in bfloat16: 128 outputs, 4 warps, 3 to 5 stages and as many parts as give 128 to 400
    programs are the fastest. In float32, tensor cores stand idle, and registers are for fewer outputs.
    """
    is_wide = dtype is torch.float32
    most = 32 if is_wide else 128 if outputs >= _MANY_OUTPUTS else 64
    parts = max(1, min(blocks // _LEAST_BLOCKS, round(_PROGRAMS / triton.cdiv(outputs, most))))
    return Tiles(most, triton.cdiv(blocks, parts), stages=2 if is_wide else 4)


def row_tile(rows: int) -> int:
    """How many rows a program takes: the order in which a row's products are added is the same in all."""
    return next((size for size in _ROW_TILES if size >= rows), _ROW_TILES[-1])


@dataclass(frozen=True, slots=True)
class ProductLaunch:
    """One launch of `product_kernel`, and the partial sums that it will have stored."""

    grid: tuple[int, int, int]
    arguments: tuple[object, ...]
    constants: Mapping[str, object]
    warps: int
    partials: Partials


class TritonProduct:
    """Products by `product_kernel`; `way` says how it looks levels up. `tiles` override the usual ones."""

    def __init__(self, way: Way, tiles: Tiles | None = None) -> None:
        self.name = way.name.lower()
        self._way = way
        self._tiles = tiles
        self._tables: dict[tuple[torch.device, torch.dtype], tuple[torch.Tensor, str]] = {}

    def __call__(self, x: torch.Tensor, weights: Blocked) -> Partials:
        """The product of `x` `[rows, inputs]`.

        Raises what Triton raises where the kernel cannot be built or launched.
        """
        launch = self.launch(x, weights)
        product_kernel[launch.grid](
            *launch.arguments,
            **launch.constants,
            num_warps=launch.warps,
        )
        return launch.partials

    def launch(self, x: torch.Tensor, weights: Blocked) -> ProductLaunch:
        """The launch that computes the product, for kernels that do so beside something else."""
        rows, blocks = len(x), weights.codes.shape[0]
        tiles = self._tiles or tiles_of(weights)
        count, tall = triton.cdiv(blocks, tiles.blocks), row_tile(rows)
        parts = torch.empty(count, rows, weights.outputs, dtype=torch.float32, device=x.device)
        table, assembly = self._looked_up(weights)
        arguments = (
            parts,
            x,
            weights.codes,
            weights.scales,
            table,
            rows,
            weights.outputs,
            blocks,
            tiles.blocks,
            x.stride(0),
            weights.codes.stride(0),
            weights.scales.stride(0),
        )
        constants = {
            "WAY": int(self._way),
            "ASM": assembly,
            "DOT": product_type(x),
            "N": tiles.outputs,
            "M": tall,
            "STAGES": tiles.stages,
        }
        grid = triton.cdiv(weights.outputs, tiles.outputs), count, triton.cdiv(rows, tall)
        partials = Partials(parts, weights.bias, weights.sizes)
        return ProductLaunch(grid, arguments, constants, tiles.warps, partials)

    def _looked_up(self, weights: Blocked) -> tuple[torch.Tensor, str]:
        """The table and the assembly; made once, since all weights of a base have the same levels."""
        key = weights.codes.device, weights.dtype
        if key not in self._tables:
            levels, dtype = weights.levels, weights.dtype
            found = table_of(self._way, levels, dtype), assembly_of(self._way, levels, dtype)
            self._tables[key] = found
        return self._tables[key]


def ways_for(device: torch.device, dtype: torch.dtype) -> list[Way]:
    """The ways that may be tried: no inline assembly in the interpreter, no pairs of 32-bit levels."""
    if dtype is torch.float32 or (device.type != "cuda" and dtype is torch.bfloat16):
        return [Way.LEVELS]
    return [Way.PRMT, Way.PAIRS] if device.type == "cuda" else [Way.PAIRS]


def dequantised(weights: Blocked) -> torch.Tensor:
    """The dense weight `[outputs, inputs]` by our kernel: what `Blocked.dense` returns, bit by bit."""
    dense = torch.empty(weights.outputs, weights.inputs, dtype=weights.dtype, device=weights.codes.device)
    grid = triton.cdiv(weights.outputs, DEQUANTISED_OUTPUTS), weights.codes.shape[0]
    dequantise_kernel[grid](
        dense,
        weights.codes,
        weights.scales,
        weights.levels,
        weights.outputs,
        weights.inputs,
        weights.codes.stride(0),
        weights.scales.stride(0),
        N=DEQUANTISED_OUTPUTS,
    )
    return dense
