"""4-bit linears, and output heads in integers, by the native kernels. Knows no adapters.

Against the same weights in double precision, relative to the operands' norms, the error is 2e-4 with wide
activations and 8e-3 with narrow ones; bfloat16's is 3e-3. Exact linears multiply in float32.
"""

import enum
from ctypes import addressof
from dataclasses import dataclass
from typing import Any

import torch
from bitsandbytes.functional import dequantize_blockwise
from bitsandbytes.nn.modules import Linear4bit
from torch import nn

from parfocal.engine.backends.native.library import Library
from parfocal.engine.backends.native.structs import LinearStruct

_BLOCK = 64
_TILE = 32


class Numbers(enum.IntEnum):
    """A weight's code and the arithmetic that multiplies it; see `Numbers` in linear.h."""

    EXACT = 0
    WIDE = 1
    NARROW = 2
    DENSE_WIDE = 3
    DENSE_NARROW = 4


# The largest integer that a code stands for; exact codes stand for fractions.
_MOST = {
    Numbers.EXACT: 1,
    Numbers.WIDE: 8191,
    Numbers.NARROW: 127,
    Numbers.DENSE_WIDE: 8191,
    Numbers.DENSE_NARROW: 127,
}
# Bytes are stored unsigned, offset by this much.
_OFFSET = 128
# Logits this close to the highest, relative to it, are recomputed in float32, so that the argmax is
# float32's.
_NEAR = {Numbers.DENSE_WIDE: 2.0**-8, Numbers.DENSE_NARROW: 2.0**-3}
# The order of eight inputs' bytes: that of the 4-bit codes, read as bytes.
_ORDER = [0, 4, 1, 5, 2, 6, 3, 7]


@dataclass(frozen=True, slots=True)
class Packed:
    """A weight `[outputs, inputs]` in tiles of 32 outputs, each in blocks of 64 inputs with own scales.

    `codes` are 4-bit indices into `table`, or integers when `table` is None.
    """

    outputs: int
    inputs: int
    numbers: Numbers
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
    def numbers(self) -> Numbers:
        """The arithmetic that multiplies the weight."""
        return Numbers(self.struct.numbers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[…, rows, out]` for float32 `x` `[…, rows, in]`."""
        x = x.contiguous()
        y = torch.empty(*x.shape[:-1], self.out_features)
        self._kernel(addressof(self.struct), x.data_ptr(), y.data_ptr(), x.numel() // self.in_features)
        return y


class NativeHead(nn.Module):
    """The output head with rounded weights; recomputes every logit near the highest in float32.

    The other logits, as those of most tokens of a prompt, have the error of the rounded weights beside that
    of the layers: on the embedded base and 399 tokens of English, their log-probabilities were off by 0.004
    on average and by 0.034 at most; with narrow activations by 0.11 and 0.93.

    `near` are the rounded weights.
    """

    def __init__(
        self, library: Library, weight: torch.Tensor, bias: torch.Tensor | None, near: NativeLinear
    ) -> None:
        super().__init__()
        self.weight = weight.contiguous()
        self.bias = bias
        self._refine = library.refine
        self.near = near

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits `[1, rows, vocabulary]` for float32 `x` `[1, rows, hidden]`."""
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
            _NEAR[self.near.numbers],
        )
        return logits


def can_pack(module: nn.Module) -> bool:
    """Whether the kernel can replace the module: NF4 in blocks of 64 inputs, on the CPU."""
    if not isinstance(module, Linear4bit):
        return False
    weight: Any = module.weight
    fits = weight.quant_state.blocksize == _BLOCK and module.in_features % _BLOCK == 0
    return bool(fits and weight.device.type == "cpu")


def pack(library: Library, module: Linear4bit, numbers: Numbers = Numbers.WIDE) -> NativeLinear:
    """The 4-bit linear in the kernel's layout, its codes unchanged."""
    weight: Any = module.weight  # bitsandbytes' Params4bit, which adds to a tensor the state of its numbers
    state = weight.quant_state
    outputs, inputs = module.out_features, module.in_features
    scales = state.absmax
    if state.nested:
        scales = dequantize_blockwise(scales, state.state2) + state.offset
    pairs = weight.data.view(-1)
    codes = torch.stack([pairs >> 4, pairs & 15], 1).view(outputs, inputs)
    packed = Packed(
        outputs,
        inputs,
        numbers,
        codes=_tiled_nibbles(_padded(codes)),
        scales=_tiled_scales(_padded(scales.float().view(outputs, -1) / _MOST[numbers])),
        table=_table(state.code.float() * _MOST[numbers], numbers),
        bias=None if module.bias is None else module.bias.data.float().contiguous(),
    )
    return NativeLinear(library, packed)


def pack_dense(
    library: Library, weight: torch.Tensor, bias: torch.Tensor | None, numbers: Numbers = Numbers.DENSE_WIDE
) -> NativeLinear:
    """A linear for dense `weight` `[outputs, inputs]`, rounded in blocks of 64 inputs."""
    outputs, inputs = weight.shape
    blocks = _padded(weight.float()).unflatten(1, (-1, _BLOCK))
    most = blocks.abs().amax(-1)
    codes = (blocks * (_MOST[numbers] / most.clamp(min=1e-30))[..., None]).round_()
    tiled = _tiled_bytes(codes) if numbers is Numbers.DENSE_NARROW else _tiled_words(codes)
    packed = Packed(outputs, inputs, numbers, tiled, _tiled_scales(most / _MOST[numbers]), bias=bias)
    return NativeLinear(library, packed)


def _table(values: torch.Tensor, numbers: Numbers) -> torch.Tensor:
    if numbers is Numbers.EXACT:
        return values.contiguous()
    whole = values.round()
    return whole.to(torch.int16) if numbers is Numbers.WIDE else (whole + _OFFSET).to(torch.uint8)


def _struct_of(packed: Packed) -> LinearStruct:
    return LinearStruct(
        codes=packed.codes.data_ptr(),
        scales=packed.scales.data_ptr(),
        table=None if packed.table is None else packed.table.data_ptr(),
        bias=None if packed.bias is None else packed.bias.data_ptr(),
        inputs=packed.inputs,
        outputs=packed.outputs,
        numbers=packed.numbers,
    )


def _padded(rows: torch.Tensor) -> torch.Tensor:
    return nn.functional.pad(rows, (0, 0, 0, -rows.shape[0] % _TILE))


def _tiled_nibbles(codes: torch.Tensor) -> torch.Tensor:
    """`[tiles, blocks, groups of 8 inputs, halves, outputs, 2]` 16-bit words of four codes each."""
    inputs = codes.shape[1]
    parts = codes.view(-1, 2, _TILE // 2, inputs // _BLOCK, _BLOCK // 8, 4, 2).to(torch.int32)
    shifts = 4 * torch.arange(4, dtype=torch.int32)
    words = (parts << shifts[:, None]).sum(5, dtype=torch.int32)
    return words.permute(0, 3, 4, 1, 2, 5).to(torch.int16).contiguous()


def _tiled_words(codes: torch.Tensor) -> torch.Tensor:
    """`[tiles, blocks, pairs of inputs, halves, outputs, 2]` 16-bit integers.

    `codes` are `[outputs, blocks, 64]`.
    """
    tiles = codes.to(torch.int16).view(-1, 2, _TILE // 2, codes.shape[1], _BLOCK // 2, 2)
    return tiles.permute(0, 3, 4, 1, 2, 5).contiguous()


def _tiled_bytes(codes: torch.Tensor) -> torch.Tensor:
    """`[tiles, blocks, fours of inputs, halves, outputs, 4]` bytes without a sign."""
    eights = (codes + _OFFSET).to(torch.uint8).view(*codes.shape[:2], -1, 8)
    tiles = eights[..., _ORDER].view(-1, 2, _TILE // 2, codes.shape[1], _BLOCK // 4, 4)
    return tiles.permute(0, 3, 4, 1, 2, 5).contiguous()


def _tiled_scales(scales: torch.Tensor) -> torch.Tensor:
    """`[tiles, blocks, outputs of the tile]`."""
    return scales.view(-1, _TILE, scales.shape[1]).transpose(1, 2).contiguous()
