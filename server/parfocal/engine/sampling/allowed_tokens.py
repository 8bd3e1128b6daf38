"""Keeps rows to the tokens that their constraints allow. Draws nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from parfocal.engine.constraints import ConstraintState
from parfocal.engine.errors import ConstraintFailed

_BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
_BYTES = np.where(_BITS, np.float32(0), np.float32(-np.inf))  # the offsets of eight tokens for each byte


@dataclass(frozen=True, slots=True)
class Allowed:
    """What each row's constraint allows, by row; rows without a constraint are in neither map.

    A row in `failed` may draw nothing. The bits are those of `ConstraintState.allowed`.
    """

    bits: dict[int, bytes]
    failed: dict[int, ConstraintFailed]


# Where no row has a constraint.
NONE_HELD = Allowed({}, {})


def allowed_by(constraints: Sequence[ConstraintState | None]) -> Allowed:
    """Asks every row's constraint which tokens may follow. The device may compute meanwhile."""
    bits: dict[int, bytes] = {}
    failed: dict[int, ConstraintFailed] = {}
    for row, constraint in enumerate(constraints):
        if constraint is None:
            continue
        try:
            bits[row] = constraint.allowed()
        except ConstraintFailed as failure:
            failed[row] = failure
    return Allowed(bits, failed)


def allowed_ids(bits: bytes, banned: Sequence[int], width: int) -> np.ndarray:
    """The tokens below `width` that have their bit and are not banned, ascending."""
    has = np.unpackbits(np.frombuffer(bits, np.uint8), count=width, bitorder="little").view(np.bool_)
    has[[one for one in banned if 0 <= one < width]] = False
    return np.flatnonzero(has)


def keep_allowed(scores: torch.Tensor, bits: Sequence[bytes | None]) -> None:
    """Sets, in place, each row's tokens to -inf that its bits do not have; None leaves a row alone.

    `scores` is [rows, vocabulary].
    """
    held = [row for row, each in enumerate(bits) if each is not None]
    if not held:
        return
    packed = np.frombuffer(b"".join(each for each in bits if each is not None), np.uint8)
    packed = packed.reshape(len(held), -1)
    if scores.device.type == "cpu" and scores.dtype is torch.float32:
        rows = scores.numpy()
        with np.errstate(invalid="ignore"):  # of a broken row, +inf becomes NaN
            for row, each in zip(held, packed, strict=True):
                rows[row] += _offsets(each, scores.shape[-1])
        return
    places = torch.tensor(held, device=scores.device)
    scores[places] = scores[places].masked_fill(~_unpacked(packed, scores), -torch.inf)


def _offsets(packed: np.ndarray, width: int) -> np.ndarray:
    """What is added to a row's scores: nothing where its bit is set, else -inf.

    A look-up for each byte is ten times faster than to unpack the bits and choose by them.
    """
    return _BYTES.take(packed, axis=0).reshape(-1)[:width]


def _unpacked(packed: np.ndarray, scores: torch.Tensor) -> torch.Tensor:
    """The bits as booleans [rows, vocabulary], unpacked on the device: an eighth of the bytes go there."""
    here = torch.from_numpy(packed.copy())
    if scores.device.type == "cuda":
        here = here.pin_memory()  # so that the copy does not wait for what the device computes
    there = here.to(scores.device, non_blocking=True)
    places = torch.arange(8, device=scores.device, dtype=torch.uint8)
    return (there[:, :, None] >> places & 1).flatten(1)[:, : scores.shape[-1]].bool()
