"""Linears that multiply 4-bit weights, and a head of 16-bit ones, by the native kernel; knows no adapters.

Against the same weights in double precision the error is 2e-4 of the result's norm; bfloat16's is 3e-3. Exact
linears multiply the same 4-bit weights in float32, at about half the speed.
"""

from ctypes import addressof
from dataclasses import dataclass
from typing import Any

import torch
from bitsandbytes.functional import dequantize_blockwise
from bitsandbytes.nn.modules import Linear4bit
from torch import nn

from .library import Library
from .structs import LinearStruct

_BLOCK = 64
_TILE = 32
_MOST_CODE = 8191
# A logit this near to the highest, as a part of it, is computed again in float32, so that the likeliest
# token is float32's.
_NEAR = 2.0**-8


@dataclass(frozen=True, slots=True)
class Packed:
    """A weight `[outputs, inputs]` in tiles of 32 outputs, each in blocks of 64 inputs with own scales.

    `codes` are 4-bit indices into `table`, or 16-bit numbers when `table` is None. A table of integers is for
    integer arithmetic, a table of floats for exact linears.
    """

    outputs: int
    inputs: int
    codes: torch.Tensor
    scales: torch.Tensor
    table: torch.Tensor | None = None
    bias: torch.Tensor | None = None


class NativeLinear(nn.Module):
    """y = W x + bias for a packed weight."""

    def __init__(self, library: Library, packed: Packed) -> None:
        super().__init__()
        self.out_features, self.in_features = packed.outputs, packed.inputs
        self.kept = {
            "codes": packed.codes,
            "scales": packed.scales,
            "table": packed.table,
            "bias": packed.bias,
        }
        self._kernel = library.linear
        self.struct = _struct_of(packed)

    @property
    def exact(self) -> bool:
        """Tells whether the arithmetic is float32's."""
        return self.struct.exact is not None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns `[…, rows, out]` for float32 `x` `[…, rows, in]`."""
        x = x.contiguous()
        y = torch.empty(*x.shape[:-1], self.out_features)
        self._kernel(addressof(self.struct), x.data_ptr(), y.data_ptr(), x.numel() // self.in_features)
        return y


class NativeHead(nn.Module):
    """The output head with 14-bit weights; every logit near the highest is computed again in float32.

    `near` are the 14-bit weights if they are packed already.
    """

    def __init__(self, library: Library, head: nn.Linear, near: NativeLinear | None = None) -> None:
        super().__init__()
        self.weight = head.weight.data.contiguous()
        self.bias = None if head.bias is None else head.bias.data
        self._refine = library.refine
        self.near = near or pack_dense(library, self.weight, self.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns logits `[1, rows, vocabulary]` for float32 `x` `[1, rows, hidden]`."""
        x = x.contiguous()
        logits: torch.Tensor = self.near(x)
        self._refine(
            x.data_ptr(),
            self.weight.data_ptr(),
            None if self.bias is None else self.bias.data_ptr(),
            logits.data_ptr(),
            x.shape[1],
            self.near.in_features,
            self.near.out_features,
            _NEAR,
        )
        return logits


def can_pack(module: nn.Module) -> bool:
    """Tells whether the kernel can take the module's place: NF4 in blocks of 64 inputs, on the CPU."""
    if not isinstance(module, Linear4bit):
        return False
    weight: Any = module.weight
    fits = weight.quant_state.blocksize == _BLOCK and module.in_features % _BLOCK == 0
    return bool(fits and weight.device.type == "cpu")


def pack(library: Library, module: Linear4bit, exact: bool = False) -> NativeLinear:
    """Returns the 4-bit linear in the kernel's layout, its codes unchanged."""
    weight: Any = module.weight  # bitsandbytes' Params4bit, which adds to a tensor the state of its numbers
    state = weight.quant_state
    outputs, inputs = module.out_features, module.in_features
    scales = state.absmax
    if state.nested:
        scales = dequantize_blockwise(scales, state.state2) + state.offset
    pairs = weight.data.view(-1)
    codes = torch.stack([pairs >> 4, pairs & 15], 1).view(outputs, inputs)
    most = 1 if exact else _MOST_CODE
    table = state.code.float() * most
    packed = Packed(
        outputs,
        inputs,
        codes=_tiled_nibbles(_padded(codes)),
        scales=_tiled_scales(_padded(scales.float().view(outputs, -1) / most)),
        table=table.contiguous() if exact else table.round().to(torch.int16),
        bias=None if module.bias is None else module.bias.data.float().contiguous(),
    )
    return NativeLinear(library, packed)


def pack_dense(library: Library, weight: torch.Tensor, bias: torch.Tensor | None) -> NativeLinear:
    """Returns a linear for dense `weight` `[outputs, inputs]`, rounded to 14 bits in blocks of 64 inputs."""
    outputs, inputs = weight.shape
    blocks = _padded(weight.float()).unflatten(1, (-1, _BLOCK))
    most = blocks.abs().amax(-1)
    codes = (blocks * (_MOST_CODE / most.clamp(min=1e-30))[..., None]).round_().to(torch.int16)
    tiles = codes.view(-1, 2, _TILE // 2, inputs // _BLOCK, _BLOCK // 2, 2)
    tiled = tiles.permute(0, 3, 4, 1, 2, 5).contiguous()
    return NativeLinear(library, Packed(outputs, inputs, tiled, _tiled_scales(most / _MOST_CODE), bias=bias))


def _struct_of(packed: Packed) -> LinearStruct:
    table = packed.table
    exact = table is not None and table.is_floating_point()
    address = None if table is None else table.data_ptr()
    return LinearStruct(
        codes=packed.codes.data_ptr(),
        scales=packed.scales.data_ptr(),
        table=None if exact else address,
        exact=address if exact else None,
        bias=None if packed.bias is None else packed.bias.data_ptr(),
        inputs=packed.inputs,
        outputs=packed.outputs,
    )


def _padded(rows: torch.Tensor) -> torch.Tensor:
    return nn.functional.pad(rows, (0, 0, 0, -rows.shape[0] % _TILE))


def _tiled_nibbles(codes: torch.Tensor) -> torch.Tensor:
    """Returns `[tiles, blocks, groups of 8 inputs, halves, outputs, 2]` 16-bit words of four codes each."""
    inputs = codes.shape[1]
    parts = codes.view(-1, 2, _TILE // 2, inputs // _BLOCK, _BLOCK // 8, 4, 2).to(torch.int32)
    shifts = 4 * torch.arange(4, dtype=torch.int32)
    words = (parts << shifts[:, None]).sum(5, dtype=torch.int32)
    return words.permute(0, 3, 4, 1, 2, 5).to(torch.int16).contiguous()


def _tiled_scales(scales: torch.Tensor) -> torch.Tensor:
    """Returns `[tiles, blocks, outputs of the tile]`."""
    return scales.view(-1, _TILE, scales.shape[1]).transpose(1, 2).contiguous()
