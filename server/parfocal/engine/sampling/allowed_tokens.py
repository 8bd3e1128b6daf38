"""Keeps rows to the tokens that their constraints allow. Draws nothing."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from parfocal.engine.sampling.host_values import on_device

_BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
_BYTES = np.where(_BITS, np.float32(0), np.float32(-np.inf))  # the offsets of eight tokens for each byte
# How long lists that are kept may be, and how many are: 12 MB at a vocabulary of 150,000.
_SHORT = 512
_MOST_KEPT = 512


def without(banned: Sequence[int], bits: bytes) -> bytes:
    """The bits without those of the `banned` tokens, which may lie outside. Most often none is set."""
    for one in banned:
        if 0 <= one < 8 * len(bits) and bits[one >> 3] >> (one & 7) & 1:
            left = bytearray(bits)
            left[one >> 3] ^= 1 << (one & 7)
            bits = bytes(left)
    return bits


class AllowedIds:
    """Lists the tokens that have their bit.

    Answers come back to the same few sets, as between a name and its value, so short lists are kept.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[bytes, int], npt.NDArray[np.intp]] = {}

    def of(self, bits: bytes, width: int) -> npt.NDArray[np.intp]:
        """The tokens below `width` that have their bit, ascending."""
        ids = self._kept.get((bits, width))
        return self._list(bits, width) if ids is None else ids

    def _list(self, bits: bytes, width: int) -> npt.NDArray[np.intp]:
        has = np.unpackbits(np.frombuffer(bits, np.uint8), count=width, bitorder="little")
        ids = has.view(np.bool_).nonzero()[0]
        if len(ids) <= _SHORT:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[bits, width] = ids
        return ids


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
    places = on_device(held, scores.device)
    scores[places] = scores[places].masked_fill(_unpacked(packed, scores).logical_not(), -torch.inf)


def _offsets(packed: npt.NDArray[np.uint8], width: int) -> npt.NDArray[np.float32]:
    """What is added to a row's scores: nothing where its bit is set, else -inf.

    A look-up for each byte is ten times faster than to unpack the bits and choose by them.
    """
    return _BYTES.take(packed, axis=0).reshape(-1)[:width]


def _unpacked(packed: npt.NDArray[np.uint8], scores: torch.Tensor) -> torch.Tensor:
    """The bits as booleans [rows, vocabulary], unpacked on the device: an eighth of the bytes go there."""
    there = on_device(packed.copy(), scores.device)
    places = torch.arange(8, device=scores.device, dtype=torch.uint8)
    return (there[:, :, None] >> places & 1).flatten(1)[:, : scores.shape[-1]].bool()
