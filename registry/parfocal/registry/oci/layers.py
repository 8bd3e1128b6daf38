"""Takes the files of an adapter out of an image's layers, verified. Chooses itself what they are called."""

import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from parfocal.registry.copies import check_received
from parfocal.registry.errors import MalformedFile, UnsupportedAdapter
from parfocal.registry.oci.descriptors import Descriptor
from parfocal.registry.oci.media_types import DOC, FILE_PATH, RAW, TITLE, WEIGHT, WEIGHT_CONFIG
from parfocal.registry.packing import MANIFEST_FILE
from parfocal.registry.peft import MAX_WEIGHTS_BYTES, open_regular
from parfocal.registry.publishing import fault_of_file
from parfocal.registry.values import (
    CONFIG_FILE,
    MAX_STORED_MANIFEST_BYTES,
    TEMPLATE_FILE,
    WEIGHTS_FILE,
    FileEntry,
    Hasher,
    chunks_of,
    copy_hashing,
    is_attachment,
)

Advance = Callable[[int], None]

_WANTED = (CONFIG_FILE, WEIGHTS_FILE, TEMPLATE_FILE, MANIFEST_FILE)
_ARCHIVES = {".tar": "r:", ".tar+gzip": "r:gz"}
_ZSTD = ".tar+zstd"
# The largest adapter, with room for a tokenizer and an archive's own blocks.
_MAX_LAYER_BYTES = MAX_WEIGHTS_BYTES + (1 << 30)


def may_hold_files(layer: Descriptor) -> bool:
    """Whether the layer's kind is one that an adapter's files are in."""
    return _family(layer)[0] in (WEIGHT, WEIGHT_CONFIG, DOC)


def take_files(layout: Path, layer: Descriptor, work: Path, advance: Advance) -> list[str]:
    """Puts what an adapter needs of a layer into `work`, and returns the names.

    Raises MalformedFile for a file that comes twice or is too large, UnsupportedAdapter for a form that is
    not read, BlobCorrupt, AdapterRefused where the blob is absent, and OSError.
    """
    _, form = _family(layer)
    if form == RAW:
        name = _name_of(layer)
        return [name] if _is_wanted(name) and _take_raw(layout, layer, work / name, advance) else []
    if form == _ZSTD:
        raise UnsupportedAdapter(
            f"layer {layer.digest} is {layer.media_type!a}; zstd is not read here: make the image with raw "
            "layers, as ModelPack recommends for weights",
            field="mediaType",
        )
    _verify(layout, layer, advance)
    return _take_archived(layout, layer, work, _ARCHIVES[form])


def _is_wanted(name: str) -> bool:
    return name in _WANTED or is_attachment(name)


def _family(layer: Descriptor) -> tuple[str, str]:
    """The kind and the form of a layer; empty for those that are none of ours."""
    for form in (RAW, *_ARCHIVES, _ZSTD):
        if layer.media_type.endswith(form):
            return layer.media_type.removesuffix(form), form
    return "", ""


def _name_of(layer: Descriptor) -> str:
    """The plain name of a raw layer's file; whatever folders stand before it."""
    notes = layer.annotations
    return PurePosixPath(notes.get(FILE_PATH) or notes.get(TITLE) or "").name


def _take_raw(layout: Path, layer: Descriptor, target: Path, advance: Advance) -> bool:
    _check_size(target.name, layer.size)
    with open_regular(layer.blob(layout), _MAX_LAYER_BYTES) as source, _new(target) as sink:
        found = copy_hashing(source, sink, advance)
    check_received(FileEntry(target.name, layer.size, layer.digest), found)
    return True


def _verify(layout: Path, layer: Descriptor, advance: Advance) -> None:
    hasher = Hasher()
    with open_regular(layer.blob(layout), _MAX_LAYER_BYTES) as file:
        for chunk in chunks_of(file):
            hasher.update(chunk)
            advance(len(chunk))
    check_received(FileEntry(f"layer {layer.digest}", layer.size, layer.digest), hasher)


def _take_archived(layout: Path, layer: Descriptor, work: Path, mode: str) -> list[str]:
    taken = []
    try:
        with (
            open_regular(layer.blob(layout), _MAX_LAYER_BYTES) as file,
            tarfile.open(fileobj=file, mode=mode) as archive,  # type: ignore[call-overload]  # a mode of ours
        ):
            for member in archive:
                name = PurePosixPath(member.name).name
                source = archive.extractfile(member) if _is_wanted(name) and member.isfile() else None
                if source is not None:
                    _check_size(name, member.size)
                    with _new(work / name) as sink:
                        copy_hashing(source, sink)
                    taken.append(name)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise MalformedFile(f"layer {layer.digest} is no whole archive: {error}", field="layers") from error
    return taken


def _new(target: Path) -> BinaryIO:
    try:
        return target.open("xb")
    except FileExistsError as error:
        raise MalformedFile(
            f"the image holds {target.name} twice; an adapter has one", field=target.name
        ) from error


def _check_size(name: str, size: int) -> None:
    """Raises MalformedFile for what would be refused once it was copied."""
    if name == MANIFEST_FILE:
        fault = f"{name} with {size} bytes" if size > MAX_STORED_MANIFEST_BYTES else None
    else:
        fault = fault_of_file(FileEntry(name, size, ""))
    if fault is not None:
        raise MalformedFile(f"the image holds {fault}", field=name)
