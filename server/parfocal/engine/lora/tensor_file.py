"""Reads the tensors of a safetensors file in a few large reads, and converts many at once.

With hundreds of small tensors, the calls made for each cost most; here each call works on a megabyte and
releases the GIL. Knows no adapters.
"""

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import torch
from safetensors import safe_open

STORED_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}

# Small enough that a chunk stays in the processor's cache while it is converted.
_CHUNK_BYTES = 1 << 20


class Header(Protocol):
    """What safetensors knows of a tensor before its bytes are read."""

    def get_shape(self) -> list[int]:
        """The sizes of its dimensions."""

    def get_dtype(self) -> str:
        """The stored type in the format's own notation."""


class TensorFile(Protocol):
    """An open safetensors file; the library itself is published without types."""

    def keys(self) -> list[str]:
        """The names."""

    def offset_keys(self) -> list[str]:
        """The names in the order of their data."""

    def get_slice(self, name: str) -> Header:
        """What the header says of a tensor."""


class NotFinite(ValueError):
    """A number is infinite or NaN after conversion."""

    def __init__(self, name: str, place: list[int], value: float) -> None:
        super().__init__(f"{name}{place} is {value}")
        self.name, self.place, self.value = name, place, value


@dataclass(frozen=True, slots=True)
class _Tensor:
    name: str
    shape: list[int]
    dtype: torch.dtype

    @property
    def numbers(self) -> int:
        return torch.Size(self.shape).numel()

    @property
    def size_bytes(self) -> int:
        return self.numbers * self.dtype.itemsize


@contextmanager
def opened(path: Path) -> Iterator[TensorFile]:
    """Opens a file whose header safetensors has checked: its tensors are contiguous and fill the file."""
    with safe_open(path, framework="pt") as file:
        yield file


def read_scaled(
    path: Path, file: TensorFile, scales: Mapping[str, float], dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    """Every tensor of the file times its scale (1 where none is given), as numbers of `dtype`.

    Raises NotFinite, and OSError if the file is shorter than its header says.
    """
    found: dict[str, torch.Tensor] = {}
    with path.open("rb", buffering=0) as raw:
        (header_bytes,) = struct.unpack("<Q", raw.read(8))
        raw.seek(8 + header_bytes)
        for chunk in _chunks(file):
            numbers = _numbers(raw, chunk, scales, dtype)
            pieces = numbers.split([tensor.numbers for tensor in chunk])
            found.update((t.name, piece.view(t.shape)) for t, piece in zip(chunk, pieces, strict=True))
            # A sum is finite only if all its terms are, and five times as fast as checking each.
            if not torch.isfinite(numbers.sum()):
                _check_finite({tensor.name: found[tensor.name] for tensor in chunk})
    return found


def _chunks(file: TensorFile) -> Iterator[list[_Tensor]]:
    """Yields neighbours of one type, in the file's order, up to a chunk's size."""
    chunk: list[_Tensor] = []
    size_bytes = 0
    for name in file.offset_keys():
        header = file.get_slice(name)
        tensor = _Tensor(name, header.get_shape(), STORED_DTYPES[header.get_dtype()])
        if chunk and (chunk[0].dtype is not tensor.dtype or size_bytes + tensor.size_bytes > _CHUNK_BYTES):
            yield chunk
            chunk, size_bytes = [], 0
        chunk.append(tensor)
        size_bytes += tensor.size_bytes
    if chunk:
        yield chunk


def _numbers(
    raw: BinaryIO, chunk: list[_Tensor], scales: Mapping[str, float], dtype: torch.dtype
) -> torch.Tensor:
    stored = torch.empty(sum(tensor.size_bytes for tensor in chunk), dtype=torch.uint8)
    _fill(raw, memoryview(stored.numpy().data))
    numbers = stored.view(chunk[0].dtype)
    factors = [scales.get(tensor.name, 1.0) for tensor in chunk]
    if any(factor != 1.0 for factor in factors):
        # At least float32, so that scaling rounds only once.
        numbers = numbers.to(torch.promote_types(numbers.dtype, torch.float32))
        pieces = list(numbers.split([tensor.numbers for tensor in chunk]))
        torch._foreach_mul_(pieces, factors)
    return numbers.to(dtype)


def _fill(raw: BinaryIO, target: memoryview) -> None:
    at = 0
    while at < len(target):
        read = raw.readinto(target[at:])  # type: ignore[attr-defined]  # an unbuffered file has it
        if not read:
            raise OSError(f"it ends {len(target) - at} bytes early")
        at += read


def _check_finite(tensors: Mapping[str, torch.Tensor]) -> None:
    for name, tensor in tensors.items():
        if len(faults := (~torch.isfinite(tensor)).nonzero()):
            raise NotFinite(name, faults[0].tolist(), tensor[tuple(faults[0])].item())
