"""The weights of an adapter under the names that PEFT gives to them, whatever its trainer called them."""

import io
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from parfocal.registry.peft.safetensors_header import SafetensorsHeader, TensorSpan

_ALIGNMENT = 8
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class PublishedWeights:
    """What a file of weights will be: its header, and the `beginning` in place of the first `skipped` bytes.

    A file whose names are PEFT's already is published as it is, byte by byte.
    """

    header: SafetensorsHeader
    beginning: bytes
    skipped: int

    @classmethod
    def of(cls, header: SafetensorsHeader, names: Mapping[str, str]) -> "PublishedWeights":
        """The file with every tensor renamed as `names` says."""
        if all(old == new for old, new in names.items()):
            return cls(header, b"", 0)
        start = min(span.begin for span in header.tensors.values())
        beginning = _beginning(header, names, start)
        shift = len(beginning) - start
        tensors = {
            names[name]: TensorSpan(span.dtype, span.shape, span.begin + shift, span.end + shift)
            for name, span in header.tensors.items()
        }
        return cls(SafetensorsHeader(tensors, header.metadata, header.file_bytes + shift), beginning, start)

    def read_from(self, file: BinaryIO) -> BinaryIO:
        """A stream of the published bytes, made from the file that was read."""
        return begun_anew(file, self.beginning, self.skipped)


def begun_anew(file: BinaryIO, beginning: bytes, skipped: int) -> BinaryIO:
    """A stream of `file` with `beginning` in place of its first `skipped` bytes."""
    file.seek(skipped)
    return io.BufferedReader(_Pieces(_pieces(file, beginning))) if beginning else file


def _pieces(file: BinaryIO, beginning: bytes) -> Iterator[bytes]:
    yield beginning
    while piece := file.read(_PIECE_BYTES):
        yield piece


class _Pieces(io.RawIOBase):
    """A stream of pieces, none of them empty."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed has any buffer here
        if not self._rest:
            self._rest = memoryview(next(self._pieces, b""))
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _beginning(header: SafetensorsHeader, names: Mapping[str, str], start: int) -> bytes:
    """Length and header; data that began at `start` follows."""
    entries: dict[str, object] = {"__metadata__": dict(header.metadata)} if header.metadata else {}
    for name, span in header.tensors.items():
        offsets = [span.begin - start, span.end - start]
        entries[names[name]] = {"dtype": span.dtype, "shape": list(span.shape), "data_offsets": offsets}
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return struct.pack("<Q", len(text)) + text
