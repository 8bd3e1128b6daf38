"""Merges an adapter into its base, file by file: a folder that transformers loads without PEFT.

Every byte that the adapter does not change is copied, so the files keep their names, headers and order. Of
each weight that it changes, W + scale * B A is computed in float32, as PEFT does on a float32 base, and
rounded once to what W is stored as. One weight at a time is in memory, however large the base is.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch

from parfocal.registry.cards import CARD_FILE, merged_card
from parfocal.server.errors import ExportRefused
from parfocal.server.exports.adapted import Adapted, Matrices
from parfocal.server.exports.checkpoint import INDEX_FILE, Place, Shard, shards_of

Progress = Callable[[int, int], None]

# What goes with a base's weights: configurations, tokenizer, templates, licences. Its card does not.
_BESIDE = ("*.json", "*.jinja", "*.model", "*.txt", "LICENSE*", "LICENCE*", "NOTICE*", "USE_POLICY*")
_TEMPLATE = "chat_template.jinja"
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Merged:
    """How many weights were changed, what they are stored as, and how many bytes of weights there are."""

    weights: int
    dtypes: tuple[str, ...]
    bytes: int


def merge(adapted: Adapted, target: Path, progress: Progress | None = None) -> Merged:
    """Writes the merged base into the empty folder `target`.

    `progress` is told the bytes of weights written and their total. Raises ExportRefused where the base's
    weights cannot take the adapter, or cannot hold the sum; MalformedFile and OSError.
    """
    shards = shards_of(adapted.base.folder, adapted.targets)
    total, done = sum(shard.size for shard in shards), 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, total)

    with adapted.matrices() as matrices:
        for shard in shards:
            _write(shard, target / shard.path.name, _Merging(adapted, matrices), advance)
    _copy_beside(adapted, target)
    places = [place for shard in shards for place in shard.places]
    return Merged(len(places), tuple(sorted({place.span.dtype for place in places})), total)


class _Merging:
    """Adds an adapter to weights."""

    def __init__(self, adapted: Adapted, matrices: Matrices) -> None:
        self._adapted = adapted
        self._matrices = matrices

    @torch.inference_mode()
    def merged(self, place: Place, stored: bytearray) -> bytes:
        """A weight's bytes with the adapter in it; raises ExportRefused for what its type cannot hold."""
        a, b = self._matrices.of(place.target)
        weight = torch.frombuffer(stored, dtype=place.dtype).view(place.span.shape).float()
        # In PEFT's order, so that a float32 base gets PEFT's very bits.
        weight += (b @ a) * self._adapted.scale(place.target)
        result = weight.to(place.dtype)
        if not torch.isfinite(result.sum(dtype=torch.float64)):
            raise ExportRefused(
                f"{place.tensor} holds a number that is not finite, or too large for {place.span.dtype}, "
                "once the adapter is in it; merge into a base of a wider type, with --base",
                field=place.target.path,
            )
        return result.view(torch.uint8).numpy().tobytes()


def _write(shard: Shard, target: Path, merging: _Merging, advance: Callable[[int], None]) -> None:
    """Copies a file, but for the weights that the adapter changes."""
    with shard.path.open("rb") as source, target.open("wb") as sink:
        for place in shard.places:
            _copy(source, sink, place.span.begin - source.tell(), advance)
            stored = _read(source, place.span.end - place.span.begin)
            sink.write(merging.merged(place, stored))
            advance(len(stored))
        _copy(source, sink, shard.size - source.tell(), advance)


def _copy(source: BinaryIO, sink: BinaryIO, size: int, advance: Callable[[int], None]) -> None:
    while size:
        chunk = _read(source, min(size, _CHUNK_BYTES))
        sink.write(chunk)
        size -= len(chunk)
        advance(len(chunk))


def _read(source: BinaryIO, size: int) -> bytearray:
    data = bytearray(size)
    if source.readinto(data) != size:  # type: ignore[attr-defined]  # a buffered file has it
        raise OSError(f"{source.name} became shorter while it was read")
    return data


def _copy_beside(adapted: Adapted, target: Path) -> None:
    """Copies what goes with the weights, and the adapter's own template over the base's."""
    single = not (adapted.base.folder / INDEX_FILE).is_file() or (target / "model.safetensors").is_file()
    for pattern in _BESIDE:
        for path in sorted(adapted.base.folder.glob(pattern)):
            if path.is_file() and not (single and path.name == INDEX_FILE):
                shutil.copyfile(path, target / path.name)
    if (adapted.folder / _TEMPLATE).is_file():
        shutil.copyfile(adapted.folder / _TEMPLATE, target / _TEMPLATE)
    (target / CARD_FILE).write_bytes(merged_card(adapted.version.manifest))
