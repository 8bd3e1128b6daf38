"""The operations between a layer's products, each as one launch."""

from dataclasses import dataclass

import torch
import triton

from parfocal.engine.backends.cuda.fused.kernels import gate_kernel, norm_kernel, rotate_kernel
from parfocal.engine.backends.cuda.fused.pending import Pending

# What a program of the gated activation takes, and how many numbers of heads one of the rotation.
GATES = 512
HEAD_NUMBERS = 512
# Ranks that a program expands at once: a row of a wide layer leaves registers for fewer.
RANKS, WIDE_RANKS = 8, 2
WIDE = 8192


@dataclass(frozen=True, slots=True)
class Norm:
    """A root-mean-square norm: x / sqrt(mean(x²) + epsilon) * weight, its weight float32."""

    weight: torch.Tensor
    epsilon: float


@dataclass(frozen=True, slots=True)
class Rotation:
    """Cosines and sines `[tokens, rotated dimensions]`; `written` `[tokens]` is where keys and values go."""

    cos: torch.Tensor
    sin: torch.Tensor
    written: torch.Tensor


@dataclass(frozen=True, slots=True)
class Heads:
    """How many heads of how many numbers; norms of queries and keys, where there are any."""

    queries: int
    keys: int
    dim: int
    query_norm: Norm | None = None
    key_norm: Norm | None = None


def add_and_normalise(
    residual: torch.Tensor, pending: Pending | None, norm: Norm, inner: Norm | None = None
) -> torch.Tensor:
    """Adds a product to `residual` `[tokens, hidden]` in place; the norm of that, in the same type.

    With `inner` the product is normalised first. None adds nothing.
    """
    y = torch.empty_like(residual)
    rows, size = residual.shape
    room = triton.next_power_of_2(size)
    weight = norm.weight
    constants: dict[str, object] = {"PARTS": 0, "BIASED": False, "SPLITS": 0, "SCALED": False}
    norm_kernel[(rows,)](
        y,
        residual,
        weight if inner is None else inner.weight,
        weight,
        *((residual,) * 7 if pending is None else pending.tensors),
        rows,
        size,
        *((0, 0, 0) if pending is None else pending.numbers),
        norm.epsilon,
        INNER=inner is not None,
        ROOM=room,
        R=row_ranks(room),
        num_warps=row_warps(room),
        **(constants if pending is None else pending.constants),
    )
    return y


def rotate_and_store(
    pending: Pending, rotation: Rotation, heads: Heads, keys: torch.Tensor, values: torch.Tensor
) -> torch.Tensor:
    """The queries `[tokens, heads, head_dim]`, normalised and rotated; stores keys and values in the cache.

    `keys` and `values` `[blocks, block_tokens, kv_heads, head_dim]` are a layer's.
    """
    rows, half = pending.rows, rotation.cos.shape[1] // 2
    query = rotation.cos.new_empty(rows, heads.queries, heads.dim)
    room, rest = triton.next_power_of_2(half), heads.dim - 2 * half
    norms = heads.query_norm, heads.key_norm
    weights = [rotation.cos if norm is None else norm.weight for norm in norms]
    at_once = heads_at_once(room)
    blocks = triton.cdiv(heads.queries, at_once) + 2 * triton.cdiv(heads.keys, at_once)
    rotate_kernel[(rows, blocks)](
        query,
        keys,
        values,
        rotation.written,
        rotation.cos,
        rotation.sin,
        *weights,
        *pending.tensors,
        rows,
        pending.outputs,
        *pending.numbers,
        0.0 if heads.query_norm is None else heads.query_norm.epsilon,
        NORMED=heads.query_norm is not None,
        HEADS=heads.queries,
        KV_HEADS=heads.keys,
        DIM=heads.dim,
        HALF=half,
        HALF_ROOM=room,
        REST_ROOM=triton.next_power_of_2(rest) if rest else 0,
        LINEARS=pending.linears,
        M=at_once,
        R=RANKS,
        **pending.constants,
    )
    return query


def gated(pending: Pending, dtype: torch.dtype, *, gelu: bool) -> torch.Tensor:
    """act(gate) * up `[tokens, size]` in `dtype`, of a product that has gate and up side by side."""
    rows, size = pending.rows, pending.outputs // 2
    y = pending.partials.parts.new_empty(rows, size, dtype=dtype)
    gate_kernel[(rows, triton.cdiv(size, GATES))](
        y,
        *pending.tensors,
        rows,
        size,
        *pending.numbers,
        GELU=gelu,
        LINEARS=pending.linears,
        N=GATES,
        R=RANKS,
        **pending.constants,
    )
    return y


def row_warps(room: int) -> int:
    """The warps of a program that holds a row of `room` numbers and as many rows of an adapter's B."""
    return min(16, max(4, room // 256))


def row_ranks(room: int) -> int:
    """How many ranks such a program expands at once."""
    return RANKS if room < WIDE else WIDE_RANKS


def heads_at_once(half_room: int) -> int:
    """How many heads of twice so many numbers a program takes."""
    return max(1, HEAD_NUMBERS // (2 * half_room))
