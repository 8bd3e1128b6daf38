"""Linears on blocked weights: alone, and those that share an input as one product. They know no adapters."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn import functional

from parfocal.engine.backends.cuda.four_bit.blocked import Blocked
from parfocal.engine.backends.cuda.four_bit.partials import Partials
from parfocal.engine.backends.cuda.four_bit.product import Product, dequantised


@dataclass(frozen=True, slots=True)
class Dense:
    """How weights are dequantised: tile by tile, each of which takes at most about `most_bytes`."""

    tile: Callable[[Blocked], torch.Tensor]
    most_bytes: int
    # What is in memory for each weight beside the result.
    extra: int = 0

    def tiles(self, own: Blocked) -> Iterator[tuple[int, int]]:
        """Yields ranges of outputs that are dequantised at once."""
        at_once = self.most_bytes // (own.dtype.itemsize + self.extra)
        step = max(64, at_once // own.inputs // 64 * 64)
        for first in range(0, own.outputs, step):
            yield first, min(first + step, own.outputs)


# By our kernel, so that the product that follows reads a tile from the card's cache.
BY_KERNEL = Dense(dequantised, 32 << 20)
# By torch, which holds indices of 4 and 8 bytes and numbers of 4 on the way.
BY_TORCH = Dense(Blocked.dense, 64 << 20, extra=16)


class ByKernels(Protocol):
    """Computes outputs of rows by kernels, or by torch once one has failed."""

    def __call__(self, serving: "Serving", x: torch.Tensor, weights: Blocked, /) -> list[torch.Tensor]:
        """Each linear's output."""


@dataclass(frozen=True, slots=True)
class Serving:
    """How blocked weights are multiplied: `product` for fewer than `rows` rows, else dequantised in tiles.

    `guard` runs it and falls back on torch.
    """

    product: Product
    rows: int
    guard: ByKernels


def by_kernels(serving: Serving, x: torch.Tensor, weights: Blocked) -> list[torch.Tensor]:
    """Each linear's output for `x` `[rows, inputs]` of the weights' type. Raises what Triton raises."""
    if len(x) < serving.rows:
        return serving.product(x, weights).summed(weights.dtype)
    return by_tiles(x, weights, BY_KERNEL)


def by_torch(serving: Serving, x: torch.Tensor, weights: Blocked) -> list[torch.Tensor]:
    """The same by torch alone, wherever torch is: the fallback."""
    del serving
    return by_tiles(x, weights, BY_TORCH)


def by_tiles(x: torch.Tensor, weights: Blocked, dense: Dense) -> list[torch.Tensor]:
    """Each linear's output, by way of dequantised tiles of the weight, each freed right away."""
    ys = []
    for index, size in enumerate(weights.sizes):
        own = weights.part(index)
        y = x.new_empty(len(x), size)
        for first, end in dense.tiles(own):
            tile = own.between(first, end)
            y[:, first:end] = functional.linear(x, dense.tile(tile), tile.bias)
        ys.append(y)
    return ys


class _Through(torch.autograd.Function):
    """Lets gradients pass through frozen weights: dX = dY W, on the weights that serve, tile by tile."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, linear: "BlockedLinear4bit") -> torch.Tensor:
        ctx.linear = linear
        return linear.output(x)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return ctx.linear.input_gradient(gradient), None


class BlockedLinear4bit(nn.Module):
    """y = W₄ x + bias for one of the linears whose weights `whole` holds, the one at `index`.

    Without `serving`, torch computes it.
    """

    def __init__(self, whole: Blocked, index: int, serving: Serving | None = None) -> None:
        super().__init__()
        self.in_features, self.out_features = whole.inputs, whole.sizes[index]
        self.whole, self.index, self.serving = whole, index, serving
        self.own = whole.part(index)
        self.kept = {
            "codes": whole.codes,
            "scales": whole.scales,
            "levels": whole.levels,
            "bias": whole.bias,
        }

    def served_by(self, serving: Serving | None) -> "BlockedLinear4bit":
        """The same linear, computed so."""
        return BlockedLinear4bit(self.whole, self.index, serving)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[…, out]` for `x` `[…, in]`, in x's type, computed in the base's."""
        if x.requires_grad and torch.is_grad_enabled():
            passed: torch.Tensor = _Through.apply(x, self)  # type: ignore[no-untyped-call]
            return passed
        return self.output(x)

    def output(self, x: torch.Tensor) -> torch.Tensor:
        """`forward` without gradients."""
        (y,) = _outputs(self.serving, x, self.own)
        return y

    def input_gradient(self, gradient: torch.Tensor) -> torch.Tensor:
        """dX `[…, in]` for dY `[…, out]`, in its type."""
        dense = BY_TORCH if self.serving is None else BY_KERNEL
        rows = gradient.reshape(-1, self.out_features).to(self.own.dtype)
        found = rows.new_zeros(len(rows), self.in_features)
        for first, end in dense.tiles(self.own):
            found += rows[:, first:end] @ dense.tile(self.own.between(first, end))
        return found.view(*gradient.shape[:-1], self.in_features).to(gradient.dtype)


class JoinedLinear4bit(nn.Module):
    """All linears of joined weights, as one product."""

    def __init__(self, whole: Blocked, serving: Serving | None) -> None:
        super().__init__()
        self.whole, self.serving = whole, serving

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Each linear's `[…, out]`, contiguous, for `x` `[…, in]`, in x's type."""
        return _outputs(self.serving, x, self.whole)

    def partials(self, x: torch.Tensor) -> Partials:
        """The product of `x` `[rows, in]`, of the weights' type, for a fused operation to add up."""
        product = self.product_for(x)
        if product is None:
            (y,) = _outputs(self.serving, x, self.whole.between(0, self.whole.outputs))
            return Partials(y[None], None, self.whole.sizes)
        return product(x, self.whole)

    def product_for(self, x: torch.Tensor) -> Product | None:
        """What multiplies as few rows as `x` `[rows, in]` has; None if weights are dequantised for it."""
        serving = self.serving
        return None if serving is None or len(x) >= serving.rows else serving.product


def joined(linears: Sequence[nn.Module]) -> JoinedLinear4bit | None:
    """What computes linears on one input together; None unless they are all the linears of joined weights."""
    first = linears[0]
    if not isinstance(first, BlockedLinear4bit) or len(linears) != len(first.whole.sizes):
        return None
    for index, linear in enumerate(linears):
        if not isinstance(linear, BlockedLinear4bit) or linear.index != index or not _shares(first, linear):
            return None
    return JoinedLinear4bit(first.whole, first.serving)


def _shares(one: BlockedLinear4bit, other: BlockedLinear4bit) -> bool:
    return one.whole.codes.data_ptr() == other.whole.codes.data_ptr()


def _outputs(serving: Serving | None, x: torch.Tensor, weights: Blocked) -> list[torch.Tensor]:
    rows = x.to(weights.dtype).reshape(-1, weights.inputs)
    rows = rows if rows.stride(1) == 1 else rows.contiguous()
    ys = serving.guard(serving, rows, weights) if serving else by_tiles(rows, weights, BY_TORCH)
    return [y.view(*x.shape[:-1], y.shape[1]).to(x.dtype) for y in ys]
