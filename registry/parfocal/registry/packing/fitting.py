"""Reads a manifest and signatures that came with an adapter's files, and holds all against each other."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from parfocal.registry.copies import check_received
from parfocal.registry.errors import InvalidManifest, InvalidSignature, MalformedFile
from parfocal.registry.packing.names import MANIFEST_FILE, is_packed_file, signatures_among
from parfocal.registry.signing import Bundle, Signed, check_bundle
from parfocal.registry.values import (
    MAX_SIGNATURE_BYTES,
    MAX_STORED_MANIFEST_BYTES,
    Hasher,
    Manifest,
    chunks_of,
    is_attachment,
)


@dataclass(frozen=True, slots=True)
class Packed:
    """A manifest, and the signatures of it that came too.

    `cautions` are sentences about signatures that are of no use here, and were left out.
    """

    manifest: Manifest
    signatures: tuple[bytes, ...]
    cautions: tuple[str, ...]


def read_packed(folder: Path, names: Collection[str]) -> Packed | None:
    """What is among the files with these `names` in `folder` beside an adapter's; None without a manifest.

    Raises MalformedFile or BlobCorrupt where the manifest is not of these files, InvalidSignature where a
    signature is of another manifest, RegistryTooNew, and OSError.
    """
    if MANIFEST_FILE not in names:
        return None
    manifest = fitting_manifest(folder, [name for name in names if not is_packed_file(name)])
    bundles = {name: _beginning(folder / name, MAX_SIGNATURE_BYTES + 1) for name in signatures_among(names)}
    return fitting(manifest, bundles.items())


def fitting_manifest(folder: Path, files: Collection[str]) -> Manifest:
    """The manifest in `folder`, which must name exactly these files, and each as it lies there.

    Files that might be attached to some version, and are not to this one, are let be.

    Raises MalformedFile, BlobCorrupt, RegistryTooNew and OSError.
    """
    try:
        manifest = Manifest.from_bytes(_beginning(folder / MANIFEST_FILE, MAX_STORED_MANIFEST_BYTES + 1))
    except InvalidManifest as error:
        raise MalformedFile(f"{MANIFEST_FILE} cannot be read: {error}", field=MANIFEST_FILE) from error
    own = {entry.path for entry in manifest.files}
    odd = sorted(own ^ {name for name in files if name in own or not is_attachment(name)})
    if odd:
        raise MalformedFile(
            f"{MANIFEST_FILE} and what it came with do not name the same files: {', '.join(odd)[:200]}",
            field=MANIFEST_FILE,
        )
    for entry in manifest.files:
        hasher = Hasher()
        with (folder / entry.path).open("rb") as file:
            for chunk in chunks_of(file):
                hasher.update(chunk)
        check_received(entry, hasher)
    return manifest


def fitting(manifest: Manifest, bundles: Iterable[tuple[str, bytes]]) -> Packed:
    """The manifest with those bundles that sign it, each given with what it is called.

    Raises InvalidSignature for one that states another version; whose key made them is left to those who
    trust keys. What other tools have signed, and how, is left out with a caution.
    """
    signed = Signed("the version that it came with", manifest.digest, manifest.files)
    kept, cautions = list[bytes](), list[str]()
    for name, data in bundles:
        try:
            _ = Bundle.from_bytes(data).statement
        except InvalidSignature as error:
            cautions.append(f"{name} was left out: {error}")
            continue
        try:
            check_bundle(data, signed)
        except InvalidSignature as error:
            raise InvalidSignature(f"{name}: {error}", field=name) from error
        kept.append(data)
    return Packed(manifest, tuple(dict.fromkeys(kept)), tuple(cautions))


def _beginning(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        return file.read(count)
