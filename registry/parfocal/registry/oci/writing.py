"""Writes a version as an OCI image layout: its files as they are, its manifest, a card, and signatures.

The image says nothing of names, numbers or times: the same content is the same image everywhere. What it was
called stands in the layout's index. Signatures are images that refer to it, so that more can be added.
"""

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from parfocal.registry.cards import CARD_FILE, card
from parfocal.registry.copies import check_received
from parfocal.registry.oci.media_types import (
    ATTACHED,
    BLOBS,
    FILE_PATH,
    FILES,
    IMAGE_INDEX,
    IMAGE_MANIFEST,
    INDEX_FILE,
    LAYOUT_FILE,
    LAYOUT_VERSION,
    MODEL,
    MODEL_CONFIG,
    NO_CONFIG,
    SIGNATURE,
    SIGNED_CONTENT,
    TAG,
    TITLE,
)
from parfocal.registry.packing import MANIFEST_FILE
from parfocal.registry.peft import read_header
from parfocal.registry.values import WEIGHTS_FILE, Contract, FileEntry, Version, copy_hashing, hex_of

Progress = Callable[[int, int], None]
Json = dict[str, object]

_PRECISIONS = {"F32": "float32", "F64": "float64", "F16": "float16", "BF16": "bfloat16"}
_MILLION, _THOUSAND = 1_000_000, 1_000


def write_layout(
    version: Version,
    source: Path,
    target: Path,
    progress: Progress | None = None,
    signatures: Sequence[bytes] = (),
) -> str:
    """Writes the version whose files are in `source` into the empty folder `target`; the image's digest.

    `signatures` are its bundles. `progress` is told the bytes written and their total. Raises BlobCorrupt
    where a file of `source` is not the version's, and OSError.
    """
    (target / BLOBS).mkdir(parents=True)
    manifest = version.manifest
    written = {MANIFEST_FILE: version.manifest_bytes, CARD_FILE: card(manifest)}
    total = manifest.size + sum(map(len, written.values()))
    blobs = _Blobs(target / BLOBS, total, progress)
    files = {entry.path: blobs.copy(source / entry.path, entry) for entry in manifest.files}
    files |= {name: blobs.write(data) for name, data in written.items()}
    attached = sorted(files.keys() - FILES.keys())
    layers = [_layer(name, files[name]) for name in (*FILES, *attached) if name in files]
    config = blobs.write_json(_config(version, source, layers))
    image = blobs.write_json(
        {
            "schemaVersion": 2,
            "mediaType": IMAGE_MANIFEST,
            "artifactType": MODEL,
            "config": config.descriptor(MODEL_CONFIG),
            "layers": layers,
        }
    )
    named = {**image.descriptor(IMAGE_MANIFEST), "artifactType": MODEL}
    named["annotations"] = {TAG: str(version.version), TITLE: version.name}
    referring = [_signature(blobs, image, bundle) for bundle in signatures]
    index: Json = {"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": [named, *referring]}
    (target / INDEX_FILE).write_bytes(_json(index))
    (target / LAYOUT_FILE).write_bytes(_json({"imageLayoutVersion": LAYOUT_VERSION}))
    return image.digest


@dataclass(frozen=True, slots=True)
class _Blob:
    digest: str
    size: int

    def descriptor(self, media_type: str) -> Json:
        return {"mediaType": media_type, "digest": self.digest, "size": self.size}


class _Blobs:
    """The blobs of a layout that is written."""

    def __init__(self, folder: Path, total: int, progress: Progress | None) -> None:
        self._folder = folder
        self._total = total
        self._progress = progress
        self._done = 0

    def copy(self, file: Path, entry: FileEntry) -> _Blob:
        """Copies a file, which must be `entry`; raises BlobCorrupt or OSError."""
        target = self._folder / hex_of(entry.digest)
        with file.open("rb") as source, target.open("wb") as sink:
            check_received(entry, copy_hashing(source, sink, self._advance))
        return _Blob(entry.digest, entry.size)

    def write(self, data: bytes) -> _Blob:
        partial = self._folder / "partial"
        with partial.open("wb") as sink:
            found = copy_hashing(io.BytesIO(data), sink, self._advance)
        partial.rename(self._folder / hex_of(found.digest))
        return _Blob(found.digest, found.size)

    def write_json(self, value: Mapping[str, object]) -> _Blob:
        return self.write(_json(value))

    def _advance(self, count: int) -> None:
        self._done += count
        if self._progress is not None:
            self._progress(min(self._done, self._total), self._total)


def _signature(blobs: _Blobs, signed: _Blob, bundle: bytes) -> Json:
    """Writes a signature of an image, and returns the line of the index for it."""
    layer = blobs.write(bundle)
    written = blobs.write_json(
        {
            "schemaVersion": 2,
            "mediaType": IMAGE_MANIFEST,
            "artifactType": SIGNATURE,
            "config": blobs.write(b"{}").descriptor(NO_CONFIG),
            "layers": [layer.descriptor(SIGNATURE)],
            "subject": signed.descriptor(IMAGE_MANIFEST),
            "annotations": SIGNED_CONTENT,
        }
    )
    line = {**written.descriptor(IMAGE_MANIFEST), "artifactType": SIGNATURE}
    return {**line, "annotations": SIGNED_CONTENT}


def _layer(name: str, blob: _Blob) -> Json:
    return {**blob.descriptor(FILES.get(name, ATTACHED)), "annotations": {FILE_PATH: name, TITLE: name}}


def _config(version: Version, source: Path, layers: list[Json]) -> Json:
    """What ModelPack's configuration says of a model, after its schema."""
    base = version.manifest.contract.base
    return {
        "descriptor": {
            "title": f"LoRA adapter of {base.id}",
            "description": f"A PEFT adapter; load it over {base.id}",
            "revision": version.digest,
        },
        "config": {
            "architecture": "transformer",
            "format": "safetensors",
            "paramSize": _count_text(_parameters(version.manifest.contract)),
            "precision": ",".join(sorted(_precisions(source / WEIGHTS_FILE))),
            "capabilities": {"inputTypes": ["text"], "outputTypes": ["text"]},
        },
        "modelfs": {"type": "layers", "diffIds": [layer["digest"] for layer in layers]},
    }


def _parameters(contract: Contract) -> int:
    return sum(target.rank * (target.in_features + target.out_features) for target in contract.targets)


def _count_text(count: int) -> str:
    """A count with one digit after the point and its prefix, as the specification writes them.

    >>> _count_text(6_710_000), _count_text(81_920)
    ('6.7M', '81.9K')
    """
    unit, letter = (_MILLION, "M") if count >= _MILLION else (_THOUSAND, "K")
    return f"{count / unit:.1f}{letter}"


def _precisions(weights: Path) -> Iterator[str]:
    with weights.open("rb") as file:
        header = read_header(file, WEIGHTS_FILE)
    yield from {_PRECISIONS.get(span.dtype, span.dtype.lower()) for span in header.tensors.values()}


def _json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
