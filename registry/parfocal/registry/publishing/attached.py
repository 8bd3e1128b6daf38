"""The files that a version carries beside its adapter, read whole. Looks at names and sizes only."""

from collections.abc import Sequence
from pathlib import Path, PurePath

from parfocal.registry.errors import InvalidPublication
from parfocal.registry.peft import open_regular
from parfocal.registry.values import MOST_ATTACHMENTS, is_attachment
from parfocal.v1.limits import ATTACHMENT_BYTES

Attached = tuple[tuple[str, bytes], ...]


def read_attachments(folder: Path, paths: Sequence[PurePath]) -> Attached:
    """Each file by its name, in the order of names; paths count from `folder`.

    Raises InvalidPublication for a name that no attachment may have, one given twice or an empty file,
    AdapterRefused or MalformedFile for what is no file of an accepted size, and OSError.
    """
    names = [path.name for path in paths]
    for name in names:
        check_attachable(name)
    if len(names) > MOST_ATTACHMENTS or len(set(names)) < len(names):
        raise InvalidPublication(
            f"{len(names)} files are attached, {len(set(names))} names; a version carries at most "
            f"{MOST_ATTACHMENTS}, each name once",
            field="attachments",
        )
    found = []
    for path in sorted(paths, key=lambda each: each.name):
        with open_regular(folder / path, ATTACHMENT_BYTES.most) as file:
            data = file.read()
        if not data:
            raise InvalidPublication(f"{path.name} is empty; leave it out", field="attachments")
        found.append((path.name, data))
    return tuple(found)


def check_attachable(name: str) -> None:
    """Raises InvalidPublication for a name that a loader would look for, or of no accepted kind."""
    if not is_attachment(name):
        raise InvalidPublication(
            f"{name[:80]!a} cannot be attached: names are of lower case letters, digits, - and _, end in "
            ".json, .html, .md, .txt, .csv, .png or .svg, and are none that a loader looks for",
            field="attachments",
        )
