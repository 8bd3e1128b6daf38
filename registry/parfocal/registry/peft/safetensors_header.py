"""Reads the header of a safetensors file and proves that it describes the file exactly.

Follows the format page of the safetensors project: 8 bytes little-endian header length, a JSON object, then
the data without holes or overlap. Uses neither torch nor numpy and knows nothing of LoRA.
"""

import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from parfocal.registry.errors import MalformedFile, PickleRefused
from parfocal.registry.values import JSON, InvalidJson, loads

MAX_HEADER_BYTES = 8 << 20
# Eight for each of 40,000 tensors, and free-form metadata.
_MAX_VALUES = 400_000

# Bits per element, as the format counts them; sub-byte formats are packed.
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "U16": 16, "I16": 16, "F16": 16,
    "BF16": 16, "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64, "C64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
_MAX_DIMENSIONS = 16
_LENGTH = struct.Struct("<Q")
_FIELDS = {"dtype", "shape", "data_offsets"}
_FOREIGN_MAGIC = {
    b"PK\x03\x04": "a zip archive, as torch.save writes (a pickle inside)",
    b"PK\x05\x06": "a zip archive",
    b"\x80\x02": "a pickle",
    b"\x80\x03": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x80\x05": "a pickle",
    b"GGUF": "a GGUF file",
    b"version ": "a pointer of Git LFS; fetch the file itself with git lfs pull,",
    b"\x89HDF": "an HDF5 file",
}
_CODE_CARRIERS = (b"PK", b"\x80")


@dataclass(frozen=True, slots=True)
class TensorSpan:
    """One tensor: its type, its shape and the bytes `[begin, end)` of the file that hold it."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """Every tensor of a file by name, in the order of the header, and the free-form metadata."""

    tensors: Mapping[str, TensorSpan]
    metadata: Mapping[str, str]
    file_bytes: int


def read_header(file: BinaryIO, name: str) -> SafetensorsHeader:
    """The proven header of an open file; `name` is used in messages.

    Raises MalformedFile (PickleRefused for a pickle or a zip archive) and OSError.
    """
    file_bytes = file.seek(0, os.SEEK_END)
    file.seek(0)
    start = file.read(_LENGTH.size)
    _refuse_foreign(start, name)
    if len(start) < _LENGTH.size:
        raise MalformedFile(
            f"{name} is {file_bytes} bytes long, too short for a safetensors file", field=name
        )
    header_bytes = _LENGTH.unpack(start)[0]
    if header_bytes > MAX_HEADER_BYTES:
        raise MalformedFile(
            f"{name} announces a header of {header_bytes} bytes; at most {MAX_HEADER_BYTES} are read",
            field=name,
        )
    text = file.read(header_bytes)
    if len(text) < header_bytes:
        raise MalformedFile(
            f"{name} is truncated: its header should be {header_bytes} bytes, {len(text)} are there",
            field=name,
        )
    return _checked(text, name, file_bytes)


def _refuse_foreign(start: bytes, name: str) -> None:
    for magic, what in _FOREIGN_MAGIC.items():
        if start.startswith(magic):
            error = PickleRefused if magic.startswith(_CODE_CARRIERS) else MalformedFile
            raise error(
                f"{name} is {what}, not a safetensors file; save the adapter with safe_serialization=True",
                field=name,
            )


def _checked(text: bytes, name: str, file_bytes: int) -> SafetensorsHeader:
    if not text.startswith(b"{"):
        raise MalformedFile(f"{name} is no safetensors file: its header does not begin with '{{'", field=name)
    try:
        entries = loads(text, max_values=_MAX_VALUES)
    except InvalidJson as error:
        raise MalformedFile(f"{name} has a header that is not strict JSON: {error}", field=name) from error
    if not isinstance(entries, Mapping):
        raise MalformedFile(f"{name} has a header that is not a JSON object", field=name)
    metadata = _metadata(entries.get("__metadata__", {}), name)
    data_start = _LENGTH.size + len(text)
    tensors = {
        tensor: _span(entry, f"{name}: tensor {tensor[:200]!a}", data_start)
        for tensor, entry in entries.items()
        if tensor != "__metadata__"
    }
    _check_coverage(tensors, name, data_start, file_bytes)
    return SafetensorsHeader(tensors, metadata, file_bytes)


def _metadata(value: JSON, name: str) -> dict[str, str]:
    if not isinstance(value, Mapping) or not all(isinstance(item, str) for item in value.values()):
        raise MalformedFile(f"{name} has a __metadata__ that is not a map from text to text", field=name)
    return {key: str(item) for key, item in value.items()}


def _span(entry: JSON, where: str, data_start: int) -> TensorSpan:
    if not isinstance(entry, Mapping) or entry.keys() != _FIELDS:
        raise MalformedFile(f"{where} does not have exactly the fields dtype, shape and data_offsets")
    dtype = entry["dtype"]
    if not isinstance(dtype, str) or dtype not in _BITS:
        raise MalformedFile(f"{where} has an unknown dtype {str(dtype)[:40]!a}")
    shape = _integers(entry["shape"], f"{where} has a shape")
    offsets = _integers(entry["data_offsets"], f"{where} has data_offsets")
    if len(shape) > _MAX_DIMENSIONS:
        raise MalformedFile(f"{where} has {len(shape)} dimensions; at most {_MAX_DIMENSIONS} are read")
    if len(offsets) != 2 or offsets[0] > offsets[1]:
        raise MalformedFile(f"{where} has data_offsets that are no [begin, end] pair")
    bits = math.prod(shape) * _BITS[dtype]
    if bits != (offsets[1] - offsets[0]) * 8:
        raise MalformedFile(
            f"{where} with shape {list(shape)} of {dtype} needs {bits} bits, "
            f"but its data_offsets span {offsets[1] - offsets[0]} bytes"
        )
    return TensorSpan(dtype, shape, data_start + offsets[0], data_start + offsets[1])


def _integers(value: JSON, where: str) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise MalformedFile(f"{where} that is not a list")
    for item in value:
        if not isinstance(item, int) or isinstance(item, bool) or item < 0:
            raise MalformedFile(f"{where} with something other than integers from 0 in it")
    return tuple(value)


def _check_coverage(tensors: Mapping[str, TensorSpan], name: str, data_start: int, file_bytes: int) -> None:
    """Raises MalformedFile unless the tensors cover the data of the file once, without a hole."""
    position = data_start
    for tensor, span in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if span.begin != position:
            what = "overlaps the tensor before it" if span.begin < position else "leaves a hole before it"
            raise MalformedFile(f"{name}: tensor {tensor[:200]!a} {what}", field=name)
        position = span.end
    if position != file_bytes:
        what = "truncated" if position > file_bytes else "followed by bytes that no tensor owns"
        raise MalformedFile(
            f"{name} is {what}: its header describes {position} bytes, the file has {file_bytes}", field=name
        )
