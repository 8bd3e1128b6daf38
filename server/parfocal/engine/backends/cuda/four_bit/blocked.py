"""NF4 weights in the form that our products read, made of bitsandbytes' linears and turned back, bit by bit.

bitsandbytes keeps a weight's codes row after row, two neighbours in a byte, and its scales as bytes that
stand for levels of outer scales (QLoRA, arXiv 2305.14314). A product that reads 64 inputs of many outputs at
once wants those side by side, in whole vectors, with scales that need no second look.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from bitsandbytes.functional import QuantState, dequantize_blockwise
from bitsandbytes.nn.modules import Linear4bit, Params4bit
from torch import nn

# Neighbouring inputs that share a scale, and the bytes that they take.
BLOCK = 64
BLOCK_BYTES = 32
# Kernels count a weight's bytes in 32 bits.
_MOST_BYTES = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Blocked:
    """The weights of linears that share an input, joined along their outputs; `sizes` are each one's outputs.

    `codes` `[inputs / 64, outputs, 32]` uint8: byte j of a block holds input j in its upper half and input
    32 + j in its lower one. `scales` `[inputs / 64, outputs]` float32. A code stands for one of the `levels`
    `[16]` float32, times its block's scale. `bias` `[outputs]` is of `dtype`, in which the linears compute.
    """

    codes: torch.Tensor
    scales: torch.Tensor
    levels: torch.Tensor
    bias: torch.Tensor | None
    sizes: tuple[int, ...]
    dtype: torch.dtype

    @property
    def inputs(self) -> int:
        """The inputs of every linear."""
        return self.codes.shape[0] * BLOCK

    @property
    def outputs(self) -> int:
        """The outputs of all linears."""
        return self.codes.shape[1]

    def part(self, index: int) -> "Blocked":
        """One linear's share, as views."""
        first = sum(self.sizes[:index])
        return self.between(first, first + self.sizes[index])

    def between(self, first: int, end: int) -> "Blocked":
        """Neighbouring outputs as one linear, as views."""
        bias = None if self.bias is None else self.bias[first:end]
        codes, scales = self.codes[:, first:end], self.scales[:, first:end]
        return Blocked(codes, scales, self.levels, bias, (end - first,), self.dtype)

    def to(self, device: torch.device) -> "Blocked":
        """The same on another device."""
        bias = None if self.bias is None else self.bias.to(device)
        codes, scales, levels = (part.to(device) for part in (self.codes, self.scales, self.levels))
        return Blocked(codes, scales, levels, bias, self.sizes, self.dtype)

    def dense(self) -> torch.Tensor:
        """The weight `[outputs, inputs]` in `dtype`, rounded as bitsandbytes rounds; by torch alone."""
        halves = torch.cat([self.codes >> 4, self.codes & 15], 2).int()
        weight = self.levels[halves] * self.scales[:, :, None]
        return weight.transpose(0, 1).reshape(self.outputs, self.inputs).to(self.dtype)


def can_block(module: nn.Module) -> bool:
    """Whether a module is a 4-bit linear of which no block of 64 inputs reaches over the end of a row."""
    if not isinstance(module, Linear4bit):
        return False
    state = _state(module)
    return (
        state is not None
        and state.quant_type == "nf4"
        and state.blocksize == BLOCK
        and module.in_features % BLOCK == 0
        and module.in_features * module.out_features // 2 <= _MOST_BYTES
    )


@torch.inference_mode()
def block(linear: Linear4bit) -> Blocked:
    """One linear's weights in blocks, in memory of their own beside it."""
    state, device = _state(linear), linear.weight.device
    outputs, blocks = linear.out_features, linear.in_features // BLOCK
    dtype: torch.dtype = linear.compute_dtype or state.dtype
    codes = torch.empty(blocks, outputs, BLOCK_BYTES, dtype=torch.uint8, device=device)
    given = linear.weight.data.view(-1)
    for first, end in _chunks(outputs, linear.in_features):
        begin, stop = (place * linear.in_features // 2 for place in (first, end))
        rows = given[begin:stop].view(end - first, -1, BLOCK_BYTES)
        halves = torch.stack([rows >> 4, rows & 15], 3).flatten(2)
        paired = halves[..., :BLOCK_BYTES] << 4 | halves[..., BLOCK_BYTES:]
        codes[:, first:end].copy_(paired.transpose(0, 1))
    return Blocked(
        codes=codes,
        scales=_scales(state).view(outputs, -1).T.contiguous(),
        levels=state.code.float().clone(),
        bias=None if linear.bias is None else linear.bias.data.to(dtype, copy=True),
        sizes=(outputs,),
        dtype=dtype,
    )


@torch.inference_mode()
def side_by_side(parts: list[Blocked], device: torch.device) -> Blocked:
    """Weights of linears that share an input as one, on the device.

    Takes each out of `parts` when it has been copied, so that its memory is free then.
    """
    sizes = tuple(size for own in parts for size in own.sizes)
    first, outputs = parts[0], sum(sizes)
    has_bias = any(own.bias is not None for own in parts)
    whole = Blocked(
        codes=torch.empty(len(first.codes), outputs, BLOCK_BYTES, dtype=torch.uint8, device=device),
        scales=torch.empty(len(first.codes), outputs, dtype=torch.float32, device=device),
        levels=first.levels.to(device),
        bias=torch.zeros(outputs, dtype=first.dtype, device=device) if has_bias else None,
        sizes=sizes,
        dtype=first.dtype,
    )
    del first
    begin = 0
    while parts:
        own = parts.pop(0)
        place = whole.between(begin, begin + own.outputs)
        place.codes.copy_(own.codes)
        place.scales.copy_(own.scales)
        if place.bias is not None and own.bias is not None:
            place.bias.copy_(own.bias)
        begin += own.outputs
        del own
    return whole


@torch.inference_mode()
def unblocked(own: Blocked) -> Linear4bit:
    """One linear as bitsandbytes holds it: the same codes, and scales that are floats instead of nested."""
    codes = torch.empty(own.outputs * own.inputs // 2, dtype=torch.uint8, device=own.codes.device)
    for first, end in _chunks(own.outputs, own.inputs):
        paired = own.codes[:, first:end].transpose(0, 1)
        halves = torch.cat([paired >> 4, paired & 15], 2).view(end - first, -1, BLOCK_BYTES, 2)
        rows = halves[..., 0] << 4 | halves[..., 1]
        codes[first * own.inputs // 2 : end * own.inputs // 2] = rows.flatten()
    state = QuantState(
        absmax=own.scales.T.reshape(-1).clone(),
        shape=torch.Size((own.outputs, own.inputs)),
        code=own.levels,
        blocksize=BLOCK,
        quant_type="nf4",
        dtype=own.dtype,
    )
    sizes = own.inputs, own.outputs, own.bias is not None
    linear = Linear4bit(*sizes, compute_dtype=own.dtype, quant_type="nf4", device="meta")
    linear.weight = Params4bit(
        codes.view(-1, 1),
        quant_state=state,
        blocksize=BLOCK,
        compress_statistics=False,
        quant_type="nf4",
        module=linear,
        bnb_quantized=True,
    )
    linear.quant_state = state
    if own.bias is not None:
        linear.bias = nn.Parameter(own.bias.clone(), requires_grad=False)
    return linear.eval()


def _chunks(outputs: int, inputs: int) -> Iterator[tuple[int, int]]:
    """Yields ranges of outputs so small that what is unpacked at once takes little beside the weight."""
    step = max(1, (1 << 24) // inputs)
    for first in range(0, outputs, step):
        yield first, min(first + step, outputs)


def _state(linear: Linear4bit) -> Any:
    """bitsandbytes' state of a weight's numbers: scales, levels, sizes."""
    return getattr(linear.weight, "quant_state", None)


def _scales(state: QuantState) -> torch.Tensor:
    """The scales as floats, in the order of the weight's blocks; bitsandbytes dequantises them alike."""
    scales: torch.Tensor = state.absmax
    if state.nested:
        scales = dequantize_blockwise(scales, state.state2) + state.offset
    return scales.float()
