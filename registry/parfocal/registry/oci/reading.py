"""Reads an adapter out of an OCI image layout, whoever made it; every byte is verified on its way."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from parfocal.registry.errors import AdapterRefused
from parfocal.registry.oci.descriptors import read_image
from parfocal.registry.oci.layers import may_hold_files, take_files
from parfocal.registry.oci.referrers import read_signatures
from parfocal.registry.packing import MANIFEST_FILE, Packed, fitting, fitting_manifest
from parfocal.registry.values import CONFIG_FILE, WEIGHTS_FILE

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Image:
    """An adapter that was in an image: its files lie in `folder`.

    `packed` is the version's own manifest where Parfocal made the image, which says of every file what it
    is, with the signatures that the layout has of it. `name` is what the layout calls it, empty where it does
    not.
    """

    digest: str
    folder: Path
    packed: Packed | None
    name: str


def read_layout(
    layout: Path,
    work: Path,
    tag: str | None = None,
    progress: Progress | None = None,
    files_only: bool = False,
) -> Image:
    """The adapter of the image with this tag, or of the only one, in the empty folder `work`.

    With `files_only` nothing is looked at that Parfocal has put beside the files. `progress` is told the
    bytes read and their total. Raises AdapterRefused and its kinds, BlobCorrupt, InvalidSignature for a
    signature that is of something else, RegistryTooNew and OSError.
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
    packed = None
    if MANIFEST_FILE in taken and not files_only:
        manifest = fitting_manifest(work, taken - {MANIFEST_FILE})
        packed = fitting(manifest, read_signatures(layout, image.descriptor))
    (work / MANIFEST_FILE).unlink(missing_ok=True)
    return Image(image.descriptor.digest, work, packed, image.descriptor.title)
