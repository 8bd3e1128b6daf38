"""Looks up the base that an uploader names, or that an adapter's configuration names."""

from dataclasses import replace
from pathlib import Path

from parfocal.registry.bases import describe_base, locate_shared_base
from parfocal.registry.errors import BaseUnreachable, InvalidPublication
from parfocal.registry.peft import read_config
from parfocal.registry.publishing.publication import Publication, base_named_by
from parfocal.registry.values import MAX_TEXT, BaseContract


def with_shared_base(folder: Path, publication: Publication) -> Publication:
    """The publication with the base that it only names, described.

    Raises InvalidPublication, BaseUnreachable, BaseUnsupported, AdapterRefused or OSError.
    """
    if publication.base is not None or publication.shared_base is None:
        return publication
    return replace(publication, base=_base(folder, publication))


def _base(folder: Path, publication: Publication) -> BaseContract | None:
    reference = publication.shared_base or base_named_by(read_config(folder))
    if reference is None:
        return None
    if len(reference) > MAX_TEXT:
        raise InvalidPublication(
            f"the base {reference[:80]!a} has {len(reference)} characters; write at most {MAX_TEXT}: the id "
            "that it has on the Hub",
            field="base_reference",
        )
    try:
        return describe_base(locate_shared_base(reference, weights=False))
    except BaseUnreachable:
        if not publication.unverified_base:
            raise
        return BaseContract.unverified(reference)
