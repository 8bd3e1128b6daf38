"""Numbers that are no finite ones are found whatever they look like, and nothing else is."""

import math
import mmap
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.registry.errors import MalformedFile
from parfocal.registry.peft.finite_weights import check_finite
from parfocal.registry.peft.safetensors_header import TensorSpan

BYTES = {"F16": 2, "BF16": 2, "F32": 4}


def mapped(data: bytes) -> mmap.mmap:
    memory = mmap.mmap(-1, len(data))
    memory[:] = data
    return memory


def is_finite(bits: int, dtype: str) -> bool:
    """By struct; bfloat16 is the upper half of a float32."""
    if dtype == "F16":
        return math.isfinite(struct.unpack("<e", struct.pack("<H", bits))[0])
    return math.isfinite(struct.unpack("<f", struct.pack("<I", bits << 16 if dtype == "BF16" else bits))[0])


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_every_finite_number_of_sixteen_bits_passes(dtype: str) -> None:
    numbers = [bits for bits in range(1 << 16) if is_finite(bits, dtype)]
    data = struct.pack(f"<{len(numbers)}H", *numbers)
    check_finite(mapped(data), [("t", TensorSpan(dtype, (len(numbers),), 0, len(data)))])


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
@given(bits=st.integers(0, (1 << 16) - 1))
def test_every_other_number_of_sixteen_bits_is_found(dtype: str, bits: int) -> None:
    bits |= 0x7C00 if dtype == "F16" else 0x7F80
    data = struct.pack("<4H", 0, 0x3C00, bits, 1)
    with pytest.raises(MalformedFile, match=r"tensor t .* at \[2\]"):
        check_finite(mapped(data), [("t", TensorSpan(dtype, (4,), 0, 8))])


@given(st.lists(st.integers(0, (1 << 32) - 1) | st.just(0x7F800000), min_size=1, max_size=20))
def test_numbers_of_32_bits_are_judged_rightly(numbers: list[int]) -> None:
    data = mapped(struct.pack(f"<{len(numbers)}I", *numbers))
    span = TensorSpan("F32", (len(numbers),), 0, 4 * len(numbers))
    bad = [place for place, bits in enumerate(numbers) if not is_finite(bits, "F32")]
    if not bad:
        check_finite(data, [("t", span)])
        return
    with pytest.raises(MalformedFile, match=rf"tensor t .* at \[{bad[0]}\]"):
        check_finite(data, [("t", span)])


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F32"])
@pytest.mark.parametrize("number", [0, 1, 40_000, 70_007, 99_999])
def test_the_place_is_named_wherever_it_is_in_a_large_tensor(dtype: str, number: int) -> None:
    size = BYTES[dtype]
    data = bytearray(b"\x01" * (16 + 100_000 * size))
    data[16 + number * size : 16 + (number + 1) * size] = b"\xff" * size
    spans = [("a", TensorSpan("F32", (4,), 0, 16)), ("b", TensorSpan(dtype, (1000, 100), 16, len(data)))]
    place = rf"tensor b .* at \[{number // 100}, {number % 100}\]"
    with pytest.raises(MalformedFile, match=place) as refused:
        check_finite(mapped(bytes(data)), spans)
    assert refused.value.field == "b"


def test_values_outside_the_tensors_are_not_looked_at() -> None:
    check_finite(mapped(b"\xff" * 8 + b"\x01" * 8), [("t", TensorSpan("F32", (2,), 8, 16))])
