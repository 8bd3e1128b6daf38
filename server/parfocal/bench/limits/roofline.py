"""What a workload needs at least, in bytes and products, and how long that takes on measured hardware.

Whatever a server does, it cannot be faster than this: memory and arithmetic each take their time, and at best
they overlap (the roofline of Williams, Waterman and Patterson, CACM 52(4), 2009).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from parfocal.bench.limits.hardware import Hardware
from parfocal.bench.limits.stored import DTYPE_BYTES, Stored
from parfocal.bench.workloads import Workload, adapters_of_batch, adapters_of_round

# NF4 with double quantisation: 4 bits a weight, a byte per 64, 4 bytes per 256 of those (arXiv 2305.14314).
NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)


@dataclass(frozen=True, slots=True)
class ByPart:
    """An amount for each part of the model. `kv_cache` is attention's: its bytes, or its products."""

    base: int
    head: int
    adapters: int
    kv_cache: int

    @property
    def total(self) -> int:
        """The whole amount."""
        return self.base + self.head + self.adapters + self.kv_cache


@dataclass(frozen=True, slots=True)
class Need:
    """The bytes to move and the floating-point operations to do, at least; a product and its sum are two."""

    bytes: ByPart
    flops: ByPart

    def seconds(self, hardware: Hardware) -> float:
        """The shortest time in which the hardware can do it."""
        return max(self.bytes.total / hardware.bytes_per_second, self.flops.total / hardware.flops_per_second)

    def bound(self, hardware: Hardware) -> str:
        """What takes the time: memory or arithmetic."""
        moving = self.bytes.total / hardware.bytes_per_second
        return "memory" if moving >= self.flops.total / hardware.flops_per_second else "arithmetic"


@dataclass(frozen=True, slots=True)
class Roofline:
    """What a round of a workload needs: all its prompts, and each step of a full batch after them."""

    prompts: Need
    decode: Need
    batch: int
    decode_tokens: int
    generated_tokens: int

    def decode_limit(self, hardware: Hardware) -> float:
        """The most tokens per second of decode steps alone."""
        return self.batch / self.decode.seconds(hardware)

    def run_limit(self, hardware: Hardware) -> float:
        """The most generated tokens per second of a whole round, prompts included.

        Even where prompts and decode steps overlap as well as they can, neither memory nor arithmetic does
        more than this.
        """
        steps = self.decode_tokens / self.batch
        moved = self.prompts.bytes.total + steps * self.decode.bytes.total
        done = self.prompts.flops.total + steps * self.decode.flops.total
        seconds = max(moved / hardware.bytes_per_second, done / hardware.flops_per_second)
        return self.generated_tokens / seconds


def roofline(workload: Workload, stored: Stored, base_only: bool = False) -> Roofline:
    """What a round needs, with adapters as the first round names them or without any."""
    everyone, batch = adapters_of_round(workload, 0), adapters_of_batch(workload)
    return Roofline(
        prompts=prompts_need(workload, stored, () if base_only else everyone),
        decode=decode_need(workload, stored, () if base_only else batch),
        batch=workload.batch,
        decode_tokens=workload.requests * (workload.new_tokens - 1),
        generated_tokens=workload.generated_tokens,
    )


def decode_need(workload: Workload, stored: Stored, adapters: Sequence[int]) -> Need:
    """What a step with one token for each request of a batch needs, half-way through the answers.

    `adapters` has the number of each row's adapter; none: all rows are the base's.
    """
    context = (workload.shortest + workload.prompt_tokens) / 2 + workload.new_tokens / 2
    return _need(workload, stored, adapters, _Tokens(workload.batch, workload.batch, context))


def prompts_need(workload: Workload, stored: Stored, adapters: Sequence[int]) -> Need:
    """What all prompts of a round need: every weight once, and each token but the shared ones."""
    length = (workload.shortest + workload.prompt_tokens) / 2
    distinct = len(set(adapters)) or 1
    shared = workload.shared_prefix * max(0, workload.requests - distinct)
    tokens = max(workload.requests, math.ceil(workload.requests * length - shared))
    return _need(workload, stored, adapters, _Tokens(tokens, workload.requests, length / 2))


@dataclass(frozen=True, slots=True)
class _Tokens:
    """How many tokens are computed, how many of them get logits, and how much each sees of its context."""

    count: int
    drawn: int
    context: float


def _need(workload: Workload, stored: Stored, adapters: Sequence[int], tokens: _Tokens) -> Need:
    shape = workload.sizes()
    weights = sum(linear.parameters for linear in shape.linears)
    ranks = [workload.rank_of(number) for number in adapters]
    distinct = [workload.rank_of(number) for number in set(adapters)]
    adapted = sum(shape.adapter_parameters(rank) for rank in ranks) / max(1, len(ranks))
    # A decode step reads the whole context of each row, a prompt writes what its tokens leave behind.
    seen = tokens.count * tokens.context if tokens.count == tokens.drawn else tokens.count
    score_products = 2 * shape.layers * shape.heads * shape.head_dim
    return Need(
        bytes=ByPart(
            base=int(weights * NF4_BYTES),
            head=shape.head_parameters * DTYPE_BYTES[stored.head],
            adapters=sum(stored.adapter_bytes(shape, rank) for rank in distinct),
            kv_cache=int(seen * shape.kv_values() * DTYPE_BYTES[stored.kv_cache]),
        ),
        flops=ByPart(
            base=2 * weights * tokens.count,
            head=2 * shape.head_parameters * tokens.drawn,
            adapters=int(2 * adapted * tokens.count),
            kv_cache=int(2 * score_products * tokens.count * tokens.context),
        ),
    )
