"""Finds infinite or NaN weights by their exponents, many at a time, in any format, without a numeric library.

Sign and exponent begin in a number's last byte, which only the largest finite numbers share with those that
are not: where no such byte is among a chunk's, nobody looks further, and 100 MB take 30 ms. Any other chunk
becomes one large integer of equal lanes, so that a few operations look at all of them.
"""

import mmap
import time
from collections.abc import Iterable, Sequence
from itertools import groupby

from parfocal.registry.errors import MalformedFile
from parfocal.registry.peft.safetensors_header import TensorSpan

_CHUNK_BYTES = 1 << 16
# All of it is Python's, which other threads would get every 5 ms only: one that hashes beside it would idle.
_GIVE_WAY_BYTES = 2 << 20
_GIVE_WAY_S = 1e-6


class _Lanes:
    """Numbers of `bits` side by side in a chunk; no finite one has all bits of `exponent` set (IEEE 754)."""

    def __init__(self, bits: int, exponent: int) -> None:
        self.bytes = bits // 8
        self._exponent = exponent
        top = exponent >> (bits - 8)
        self._suspects = tuple(byte for byte in range(256) if byte & top == top)
        ones = int.from_bytes((1).to_bytes(self.bytes, "little") * (_CHUNK_BYTES // self.bytes), "little")
        self._exponents = exponent * ones
        self._tops = (1 << (bits - 1)) * ones
        self._below_tops = self._tops - ones

    def none_is_suspect(self, last_bytes: bytes) -> bool:
        """Whether numbers with these last bytes are all finite; if not, they still may be."""
        return not any(map(last_bytes.__contains__, self._suspects))

    def all_finite(self, chunk: bytes) -> bool:
        """Whether every number is finite; a short chunk counts as zero-padded."""
        # Zero where the whole exponent is set; anything else carries into the lane's top bit.
        missing = (int.from_bytes(chunk, "little") & self._exponents) ^ self._exponents
        return (missing + self._below_tops) & self._tops == self._tops

    def first_not_finite(self, chunk: bytes) -> int:
        """The place of a chunk's first number that is not finite."""
        numbers = range(0, len(chunk), self.bytes)
        return next(
            place
            for place, start in enumerate(numbers)
            if self._exponent & ~int.from_bytes(chunk[start : start + self.bytes], "little") == 0
        )


_LANES = {"F16": _Lanes(16, 0x7C00), "BF16": _Lanes(16, 0x7F80), "F32": _Lanes(32, 0x7F800000)}


def check_finite(data: mmap.mmap, tensors: Iterable[tuple[str, TensorSpan]]) -> None:
    """Raises MalformedFile, with the tensor's name in `field`, for an infinity or NaN."""
    for dtype, neighbours in groupby(
        sorted(tensors, key=lambda item: item[1].begin), key=lambda item: item[1].dtype
    ):
        _check_run(data, _LANES[dtype], list(neighbours))


def _check_run(data: mmap.mmap, lanes: _Lanes, tensors: Sequence[tuple[str, TensorSpan]]) -> None:
    """Checks tensors of one type that follow each other as one: thousands of small ones take no longer."""
    begin, end = tensors[0][1].begin, tensors[-1][1].end
    for start in range(begin, end, _CHUNK_BYTES):
        stop = min(start + _CHUNK_BYTES, end)
        if (start - begin) % _GIVE_WAY_BYTES == 0:
            time.sleep(_GIVE_WAY_S)
        if lanes.none_is_suspect(data[start + lanes.bytes - 1 : stop : lanes.bytes]):
            continue
        chunk = data[start:stop]
        if not lanes.all_finite(chunk):
            place = start + lanes.first_not_finite(chunk) * lanes.bytes
            name, span = next((name, span) for name, span in tensors if place < span.end)
            raise MalformedFile(
                f"tensor {name} holds an infinity or NaN at "
                f"{_index((place - span.begin) // lanes.bytes, span.shape)}; "
                "training diverged: publish a checkpoint from before that",
                field=name,
            )


def _index(number: int, shape: tuple[int, ...]) -> list[int]:
    """The index of the number with this place in row-major order."""
    index = []
    for size in reversed(shape):
        number, place = divmod(number, size)
        index.append(place)
    return index[::-1]
