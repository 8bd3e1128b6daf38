"""Signs what is about to be published elsewhere: the registry makes the same manifest of the same files."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from parfocal.client.transfer import Source
from parfocal.registry.publishing import Publication, draft


def presigned(name: str, publication: Publication, files: Sequence[Source], work: Path) -> Publication:
    """The publication with a signature in place of what signs it, where there is any.

    Reads the files that are sent once more, in the empty folder `work`: the folder that they come from may
    hold others, which the registry will not see. Raises as `draft` does.
    """
    if publication.sign is None:
        return publication
    for source in files:
        with source.open() as opened, (work / source.path).open("wb") as target:
            shutil.copyfileobj(opened, target)
    unsigned = replace(publication, sign=None)
    manifest = draft(work, unsigned).foreseen()
    bundle = publication.sign(name, manifest.digest, manifest.files)
    return replace(unsigned, signatures=(*publication.signatures, bundle))
