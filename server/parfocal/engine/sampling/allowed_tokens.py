"""Keeps rows to the tokens that their constraints allow. Draws nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from parfocal.engine.constraints import ConstraintState
from parfocal.engine.errors import ConstraintFailed


@dataclass(frozen=True, slots=True)
class Allowed:
    """What each row's constraint allows, by row; rows without a constraint are in neither map.

    A row in `failed` may draw nothing. The bits are those of `ConstraintState.allowed`.
    """

    bits: dict[int, bytes]
    failed: dict[int, ConstraintFailed]


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
        _keep_on_cpu(scores.numpy(), held, packed)
        return
    places = torch.tensor(held, device=scores.device)
    scores[places] = scores[places].masked_fill(~_unpacked(packed, scores), -torch.inf)


def _keep_on_cpu(scores: np.ndarray, held: Sequence[int], packed: np.ndarray) -> None:
    """The same by numpy, row by row: it needs no copies of whole rows."""
    width = scores.shape[-1]
    for row, each in zip(held, packed, strict=True):
        forbidden = np.unpackbits(~each, count=width, bitorder="little").view(np.bool_)
        scores[row][forbidden] = -np.inf


def _unpacked(packed: np.ndarray, scores: torch.Tensor) -> torch.Tensor:
    """The bits as booleans [rows, vocabulary], unpacked on the device: an eighth of the bytes go there."""
    there = torch.from_numpy(packed.copy()).to(scores.device)
    places = torch.arange(8, device=scores.device, dtype=torch.uint8)
    return (there[:, :, None] >> places & 1).flatten(1)[:, : scores.shape[-1]].bool()
