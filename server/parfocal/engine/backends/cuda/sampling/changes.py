"""What rows' rules do to their logits, laid out for a kernel in one piece: one copy takes it there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from parfocal.engine.sampling import penalties
from parfocal.engine.scheduling import SamplingRow

# Every part begins at a multiple of it: Triton would compile the kernel anew for others.
_ALIGNED = 16


class Change(NamedTuple):
    """What a row's rules do to the logits of some tokens.

    A logit gets its bias, is divided by its factor or, where it is negative, multiplied, and loses its
    offset; a banned token's is infinite. `ids` ascend and are distinct.
    """

    ids: npt.NDArray[np.int64]
    biases: npt.NDArray[np.float32]
    factors: npt.NDArray[np.float32]
    offsets: npt.NDArray[np.float32]


def change_of(row: SamplingRow, allowed: bytes | None, vocabulary: int) -> Change:
    """What the row asks for, of tokens within the vocabulary; those that are not `allowed` are banned."""
    bias = row.bias
    biased = np.frombuffer(bias.ids, np.int64) if bias is not None else np.empty(0, np.int64)
    seen, factors, offsets = (
        penalties((row.sampling, row.prompt_ids, row.output_ids), vocabulary)
        if row.penalised
        else (np.empty(0, np.int64), np.float32(1), np.float32(0))
    )
    banned = np.array([one for one in row.banned_ids if 0 <= one < vocabulary], np.int64)
    ids = np.unique(np.concatenate([biased, seen, banned]))
    change = Change(ids, *(np.full(len(ids), value, np.float32) for value in (0.0, 1.0, 0.0)))
    if bias is not None:
        change.biases[ids.searchsorted(biased)] = np.frombuffer(bias.values, np.float32)
    own = ids.searchsorted(seen)
    change.factors[own], change.offsets[own] = factors, offsets
    change.offsets[ids.searchsorted(banned)] = np.inf
    if allowed is not None:
        has = np.frombuffer(allowed, np.uint8)[ids >> 3] >> (ids & 7).astype(np.uint8) & 1
        change.offsets[has == 0] = np.inf
    return change


@dataclass(frozen=True, slots=True)
class Changes:
    """All rows' changes on the device, in `pieces` as `bend_kernel` takes them.

    These are `rows`, `bounds`, `ids`, `biases`, `factors`, `offsets` and `bits`: `row_bits`
    bytes of them for a row.
    """

    pieces: Sequence[torch.Tensor]
    row_bits: int

    @property
    def rows(self) -> torch.Tensor:
        """Each row's place, and which of the bits are its own."""
        return self.pieces[0]

    @classmethod
    def of(
        cls,
        places: Sequence[int],
        found: Sequence[Change],
        allowed: Sequence[bytes | None],
        parts: tuple[int, int],
        device: torch.device,
    ) -> "Changes":
        """Those of rows at `places`; `parts` are how many a row has, and of how many tokens."""
        bits = [each for each in allowed if each is not None]
        numbers = iter(range(len(bits)))
        own = [-1 if each is None else next(numbers) for each in allowed]
        begins = np.cumsum([0, *(len(each.ids) for each in found)])
        count, size = parts
        edges = np.arange(count + 1) * size
        bounds = [
            each.ids.searchsorted(edges) + begin for each, begin in zip(found, begins[:-1], strict=True)
        ]
        arrays: list[npt.NDArray[Any]] = [
            np.array([places, own], np.int64).T,
            np.stack(bounds).astype(np.int32),
            np.concatenate([each.ids for each in found]).astype(np.int32),
            np.concatenate([each.biases for each in found]),
            np.concatenate([each.factors for each in found]),
            np.concatenate([each.offsets for each in found]),
            np.frombuffer(b"".join(bits), np.uint8),
        ]
        return cls(tuple(_taken(arrays, device)), len(bits[0]) if bits else 0)


def _taken(arrays: Sequence[npt.NDArray[Any]], device: torch.device) -> Iterator[torch.Tensor]:
    """The arrays on the device, by one copy, without their shapes."""
    ends = np.cumsum([-(-each.nbytes // _ALIGNED) * _ALIGNED for each in arrays])
    begins = [0, *ends[:-1].tolist()]
    memory = np.zeros(ends[-1], np.uint8)
    for begin, each in zip(begins, arrays, strict=True):
        memory[begin : begin + each.nbytes] = np.ascontiguousarray(each).reshape(-1).view(np.uint8)
    here = torch.from_numpy(memory)
    there = here.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else here
    for begin, each in zip(begins, arrays, strict=True):
        kind = torch.from_numpy(np.empty(0, each.dtype)).dtype
        yield there[begin : begin + each.nbytes].view(kind)
