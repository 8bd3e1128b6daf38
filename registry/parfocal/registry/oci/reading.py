"""Reads an adapter out of an OCI image layout, whoever made it; every byte is verified on its way."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from parfocal.registry.copies import check_received
from parfocal.registry.errors import AdapterRefused, InvalidManifest, MalformedFile
from parfocal.registry.oci.descriptors import read_image
from parfocal.registry.oci.layers import may_hold_files, take_files
from parfocal.registry.oci.media_types import MANIFEST_FILE
from parfocal.registry.values import CONFIG_FILE, WEIGHTS_FILE, Hasher, Manifest, chunks_of

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Image:
    """An adapter that was in an image: its files lie in `folder`.

    `manifest` is the version's own where Parfocal made the image, and says of every file what it is. `name`
    is what the layout calls it, empty where it does not.
    """

    digest: str
    folder: Path
    manifest: Manifest | None
    name: str


def read_layout(layout: Path, work: Path, tag: str | None = None, progress: Progress | None = None) -> Image:
    """The adapter of the image with this tag, or of the only one, in the empty folder `work`.

    `progress` is told the bytes read and their total. Raises AdapterRefused and its kinds, BlobCorrupt,
    RegistryTooNew and OSError.
    """
    image = read_image(layout, tag)
    layers = [layer for layer in image.layers if may_hold_files(layer)]
    total, done = sum(layer.size for layer in layers), 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(min(done, total), total)

    taken = {name for layer in layers for name in take_files(layout, layer, work, advance)}
    missing = [name for name in (CONFIG_FILE, WEIGHTS_FILE) if name not in taken]
    if missing:
        raise AdapterRefused(
            f"image {image.descriptor.digest} has no {missing[0]}; an adapter is {CONFIG_FILE} and "
            f"{WEIGHTS_FILE}, and whole models are not published",
            field=missing[0],
        )
    manifest = _manifest(work, taken) if MANIFEST_FILE in taken else None
    return Image(image.descriptor.digest, work, manifest, image.descriptor.title)


def _manifest(work: Path, taken: set[str]) -> Manifest:
    """Parfocal's manifest, whose files must be those that came; raises MalformedFile or BlobCorrupt."""
    path = work / MANIFEST_FILE
    try:
        manifest = Manifest.from_bytes(path.read_bytes())
    except InvalidManifest as error:
        raise MalformedFile(f"{MANIFEST_FILE} cannot be read: {error}", field=MANIFEST_FILE) from error
    path.unlink()
    named = {entry.path for entry in manifest.files}
    if named != taken - {MANIFEST_FILE}:
        odd = sorted(named ^ (taken - {MANIFEST_FILE}))
        raise MalformedFile(
            f"{MANIFEST_FILE} and the image do not name the same files: {', '.join(odd)[:200]}",
            field=MANIFEST_FILE,
        )
    for entry in manifest.files:
        hasher = Hasher()
        with (work / entry.path).open("rb") as file:
            for chunk in chunks_of(file):
                hasher.update(chunk)
        check_received(entry, hasher)
    return manifest
