"""What an upload says of its adapter: with a manifest all that its version says, else the id of a base."""

from dataclasses import replace
from pathlib import Path, PurePath

from parfocal.registry.errors import BlobCorrupt, InvalidSignature, MalformedFile, RegistryTooNew
from parfocal.registry.packing import MANIFEST_FILE, is_packed_file, read_packed
from parfocal.registry.publishing import Publication
from parfocal.registry.values import CONFIG_FILE, RECORDS, TEMPLATE_FILE, WEIGHTS_FILE, is_attachment

_MOST_TOLD = 4


def publication_of(folder: Path) -> tuple[Publication, tuple[str, ...]]:
    """What the files of a whole upload are published with, and sentences about what was left out of it.

    A manifest of the files makes them the version that it is of, with the signatures that came too. One of
    other files is left out: somebody has trained on in a folder that was downloaded. Without a manifest, what
    training records is attached to the version, and no other file.
    """
    names = {path.name for path in folder.iterdir()}
    own = {name for name in names if name in (CONFIG_FILE, WEIGHTS_FILE, TEMPLATE_FILE)}
    records = tuple(PurePath(name) for name in RECORDS if name in names)
    attachable = {name for name in names if is_attachment(name)}
    beside = {name for name in names if is_packed_file(name)}
    try:
        packed = read_packed(folder, own | attachable | beside)
    except (MalformedFile, BlobCorrupt, InvalidSignature, RegistryTooNew) as error:
        # The records beside it are of the adapter that was there before.
        return Publication(shared_base=""), (f"{MANIFEST_FILE} and signatures were left out: {error}",)
    if packed is None:
        left = [*sorted(beside)[:1], *sorted(attachable - set(RECORDS))]
        lonely = tuple(f"{name} was left out: it came without {MANIFEST_FILE}" for name in left[:_MOST_TOLD])
        return Publication(shared_base="", attachments=records), lonely
    for name in names - own - attachable:  # the manifest says what was noticed of them
        (folder / name).unlink()
    return replace(Publication.again(packed.manifest), signatures=packed.signatures), packed.cautions
