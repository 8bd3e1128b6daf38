"""The safetensors header: only a file that is described exactly passes, and nothing else crashes."""

import json
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes.registry.peft_folders import Tensor, raw_safetensors, safetensors
from parfocal.registry.errors import MalformedFile, PickleRefused
from parfocal.registry.peft.safetensors_header import MAX_HEADER_BYTES, SafetensorsHeader, read_header

GOOD = safetensors({"a": Tensor((2, 3)), "b": Tensor((4,), "BF16"), "empty": Tensor((0, 5))})
Read = Callable[[bytes], SafetensorsHeader]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(data: bytes) -> SafetensorsHeader:
        path = tmp_path / "file.safetensors"
        path.write_bytes(data)
        with path.open("rb") as file:
            return read_header(file, "file.safetensors")

    return read


def header(**tensors: object) -> bytes:
    return json.dumps(tensors).encode()


def entry(dtype: object = "F32", shape: object = (1,), offsets: object = (0, 4)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def test_a_good_file_tells_where_each_tensor_lies(read: Read) -> None:
    found = read(GOOD)
    assert found.tensors["a"].shape == (2, 3)
    assert found.tensors["a"].end - found.tensors["a"].begin == 24
    assert found.tensors["b"].end == found.file_bytes == len(GOOD)
    assert found.metadata == {"format": "pt"}


def test_a_header_may_be_padded_with_spaces(read: Read) -> None:
    assert read(raw_safetensors(header(x=entry()) + b"   ", b"\0" * 4)).tensors["x"].shape == (1,)


@pytest.mark.parametrize("cut", [0, 4, 7, 8, 20, len(GOOD) - 1])
def test_a_truncated_file_is_refused(read: Read, cut: int) -> None:
    with pytest.raises(MalformedFile, match=r"too short|truncated"):
        read(GOOD[:cut])


def test_bytes_that_no_tensor_owns_are_refused(read: Read) -> None:
    with pytest.raises(MalformedFile, match="no tensor owns"):
        read(GOOD + b"\0")


def test_an_oversized_header_is_refused_before_it_is_read(read: Read) -> None:
    announced = (MAX_HEADER_BYTES + 1).to_bytes(8, "little")
    with pytest.raises(MalformedFile, match=f"header of {MAX_HEADER_BYTES + 1} bytes"):
        read(announced + b"{}")


def test_a_header_of_two_to_the_64_bytes_takes_no_memory(read: Read) -> None:
    with pytest.raises(MalformedFile, match="at most"):
        read(b"\xff" * 8 + b"{}")


@pytest.mark.parametrize(
    ("start", "what"),
    [(b"PK\x03\x04rest", "zip archive"), (b"\x80\x04\x95rest", "pickle"), (b"\x80\x02}q", "pickle")],
)
def test_a_pickle_is_recognised_and_named(read: Read, start: bytes, what: str) -> None:
    with pytest.raises(PickleRefused, match=what):
        read(start + b"\0" * 64)


def test_another_format_is_named(read: Read) -> None:
    with pytest.raises(MalformedFile, match="GGUF"):
        read(b"GGUF" + b"\0" * 64)


@pytest.mark.parametrize(
    ("tensors", "why"),
    [
        (header(x=entry(dtype="F31")), "unknown dtype"),
        (header(x=entry(dtype=7)), "unknown dtype"),
        (header(x=entry(shape=(-1,))), "shape"),
        (header(x=entry(shape=(True,))), "shape"),
        (header(x=entry(shape="1")), "not a list"),
        (header(x=entry(shape=(1.0,))), "shape"),
        (header(x=entry(offsets=(4, 0))), "begin, end"),
        (header(x=entry(offsets=(0, 4, 8))), "begin, end"),
        (header(x=entry(offsets=(0, 8))), "span 8 bytes"),
        (header(x=entry(shape=(1 << 62, 1 << 62))), "needs"),
        (header(x=entry(shape=(1,) * 17)), "17 dimensions"),
        (header(x={**entry(), "extra": 1}), "exactly the fields"),
        (header(x=[]), "exactly the fields"),
        (header(x=entry(), y=entry()), "overlaps"),
        (header(x=entry(offsets=(4, 8))), "hole"),
        (b'{"x":' + json.dumps(entry()).encode() + b',"x":' + json.dumps(entry()).encode() + b"}", "twice"),
        (b'{"__metadata__":{"a":1}}', "__metadata__"),
        (b"[]", "does not begin"),
        (b" {}", "does not begin"),
        (b"{]", "strict JSON"),
        (b"{" * 5000, "strict JSON"),
    ],
)
def test_a_header_that_does_not_describe_the_file_is_refused(read: Read, tensors: bytes, why: str) -> None:
    with pytest.raises(MalformedFile, match=why):
        read(raw_safetensors(tensors, b"\0" * 4))


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_flipped_bytes_are_read_exactly_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    mutated = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        mutated[data.draw(st.integers(0, len(GOOD) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "mutated"
    path.write_bytes(mutated)
    with path.open("rb") as file:
        try:
            found = read_header(file, "mutated")
        except MalformedFile:
            return
    spans = sorted((span.begin, span.end) for span in found.tensors.values())
    assert spans[-1][1] == len(GOOD)
    assert all(before[1] == after[0] for before, after in pairwise(spans))


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            found = read_header(file, "bytes")
        except MalformedFile:
            return
        assert found.file_bytes == len(data)
