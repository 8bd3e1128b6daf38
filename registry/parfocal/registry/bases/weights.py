"""Fingerprints a base's weights from samples: tells two sets of weights apart without reading them.

Two fine-tunes of one base have the same configuration, the same tensor names and the same sizes; their values
differ nearly everywhere. A few values of every tensor are enough to see that, and take seconds where a digest
of every byte takes minutes. Neither sharding nor the order of tensors matters, nor whether 16-bit values are
stored in 16 or 32 bits.
"""

import struct
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from parfocal.registry.values import JSON, UnreadableJson, dumps, read_foreign_json

_INDEX, _SINGLE = "model.safetensors.index.json", "model.safetensors"
_MAX_HEADER_BYTES = 256 << 20
_SAMPLE = 64
_LENGTH = struct.Struct("<Q")
_WIDTHS = {"F64": 8, "F32": 4, "BF16": 2, "F16": 2, "U8": 1, "I8": 1}
_FLOATS = ("F32", "BF16", "F16")
_HEAD = "lm_head.weight"
# Tables that older releases saved and newer ones compute.
_COMPUTED = ".rotary_emb.inv_freq"


@dataclass(frozen=True, slots=True)
class _Tensor:
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def weight_files(folder: Path) -> tuple[Path, ...] | None:
    """Names the files that hold a base's weights, as transformers chooses them; None unless all are there."""
    index = folder / _INDEX
    if (folder / _SINGLE).is_file():
        return (folder / _SINGLE,)
    if not index.is_file():
        return None
    try:
        fields = read_foreign_json(index.read_bytes())
    except UnreadableJson:
        return None
    shards = fields.get("weight_map") if isinstance(fields, Mapping) else None
    names = sorted({str(name) for name in shards.values()}) if isinstance(shards, Mapping) else []
    files = tuple(folder / name for name in names if Path(name).name == name)
    return files if files and len(files) == len(names) and all(file.is_file() for file in files) else None


def weights_fingerprint(folder: Path, *, tied: bool, stored: str = "plain") -> str | None:
    """Fingerprints the weights in `folder`, or None where they are not all there or cannot be read.

    `tied` says that the head is the embedding, whether or not the files repeat it. `stored` names how the
    linears are stored; fingerprints of different kinds say nothing about each other. Raises OSError.
    """
    files = weight_files(folder)
    if files is None:
        return None
    try:
        samples = {name: sample for file in files for name, sample in _samples(file).items()}
        kept = {name: sample for name, sample in samples.items() if not _is_repeated(name, tied)}
        return f"{stored}:{sha256(dumps(kept)).hexdigest()}"
    except (ValueError, KeyError, TypeError, struct.error):
        return None  # a corrupt file is reported when the weights are loaded


def _is_repeated(name: str, tied: bool) -> bool:
    return name.endswith(_COMPUTED) or (tied and name == _HEAD)


def _samples(path: Path) -> dict[str, JSON]:
    with path.open("rb") as file:
        return {name: [list(tensor.shape), _digest(file, tensor)] for name, tensor in _tensors(file).items()}


def _tensors(file: BinaryIO) -> dict[str, _Tensor]:
    (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
    if length > _MAX_HEADER_BYTES:
        raise ValueError("the header is too long")
    header = read_foreign_json(file.read(length))
    if not isinstance(header, Mapping):
        raise TypeError("the header is not an object")
    start = _LENGTH.size + length
    return {name: _tensor(entry, start) for name, entry in header.items() if name != "__metadata__"}


def _tensor(entry: JSON, start: int) -> _Tensor:
    if not isinstance(entry, Mapping):
        raise TypeError("a tensor's entry is not an object")
    offsets, shape = entry["data_offsets"], entry["shape"]
    if not isinstance(offsets, list) or not isinstance(shape, list):
        raise TypeError("a tensor's place is not a list")
    begin, end = (int(str(offset)) for offset in offsets)
    return _Tensor(str(entry["dtype"]), tuple(int(str(size)) for size in shape), start + begin, start + end)


def _digest(file: BinaryIO, tensor: _Tensor) -> str:
    digest = sha256()
    for data in _windows(file, tensor):
        digest.update(_as_float32(data, tensor.dtype))
    return digest.hexdigest()


def _windows(file: BinaryIO, tensor: _Tensor) -> Iterator[bytes]:
    """Reads the first, the middle and the last values of a tensor."""
    width = _WIDTHS.get(tensor.dtype, 1)
    count = (tensor.end - tensor.begin) // width
    for first in sorted({0, max(0, (count - _SAMPLE) // 2), max(0, count - _SAMPLE)}):
        file.seek(tensor.begin + first * width)
        wanted = min(_SAMPLE, count) * width
        data = file.read(wanted)
        if len(data) < wanted:
            raise ValueError("the file is truncated")
        yield data


def _as_float32(data: bytes, dtype: str) -> bytes:
    """Widens 16-bit values, which float32 holds exactly; other types stay as they are."""
    if dtype == "BF16":
        return b"".join(b"\0\0" + data[at : at + 2] for at in range(0, len(data), 2))
    if dtype == "F16":
        return array("f", struct.unpack(f"<{len(data) // 2}e", data)).tobytes()
    return data
