"""A counter-based random generator: a number is a pure function of (seed, position). Knows no sampling.

Philox-4x32-10: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (np.uint64(0x9E3779B9), np.uint64(0xBB67AE85))
_ROUNDS = 10
_LOW = np.uint64(0xFFFFFFFF)
_WORD = np.uint64(32)
_MASK = (1 << 64) - 1

Words = tuple[npt.NDArray[np.uint64], ...]


def uniforms(seeds: Sequence[int], positions: Sequence[int]) -> npt.NDArray[np.float64]:
    """One number in (0, 1] with 53 random bits for each (seed, position), whatever stands beside it.

    Any integer is a seed; seeds are taken modulo 2**64.
    """
    key = _words([seed & _MASK for seed in seeds])
    low, high = _words(list(positions))
    zero = np.zeros_like(low)
    first, second, _, _ = philox4x32((low, high, zero, zero), key)
    bits = (first >> np.uint64(5) << np.uint64(26)) | (second >> np.uint64(6))
    return (bits.astype(np.float64) + 1.0) * 2.0**-53


def philox4x32(counter: Words, key: Words) -> Words:
    """Four words of 32 bits (in 64-bit arrays) for a counter of four and a key of two such words."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        left, right = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (right >> _WORD) ^ c1 ^ k0, right & _LOW, (left >> _WORD) ^ c3 ^ k1, left & _LOW
        k0, k1 = (k0 + _WEYL[0]) & _LOW, (k1 + _WEYL[1]) & _LOW
    return c0, c1, c2, c3


def _words(values: list[int]) -> Words:
    whole = np.array(values, dtype=np.uint64)
    return whole & _LOW, whole >> _WORD
