"""What a publisher's header says, as a Publication; looks the base up when only its name was given."""

from pathlib import Path

from parfocal.registry.bases import describe_base, locate_shared_base
from parfocal.registry.errors import BaseUnreachable, InvalidPublication
from parfocal.registry.peft import read_config
from parfocal.registry.publishing import Publication, base_named_by
from parfocal.registry.values import MAX_TEXT, BaseContract
from parfocal.registry.wire.reading import read_base, read_evaluation, read_provenance, read_rendering
from parfocal.v1 import registry_service_pb2 as pb


def read_publication(header: pb.PublishHeader, folder: Path) -> Publication:
    """The publication that a header and the uploaded files describe.

    The base is the one that was described, else the one that was named, else the one that the configuration
    names. Folders of this machine are never looked at. Raises InvalidPublication, BaseUnreachable,
    AdapterRefused or OSError.
    """
    return Publication(
        base=_base(header, folder),
        provenance=read_provenance(header.provenance) if header.HasField("provenance") else None,
        evaluation=read_evaluation(header.evaluation) if header.HasField("evaluation") else None,
        unverified_base=header.unverified_base,
        rendering=read_rendering(header.rendering) if header.HasField("rendering") else None,
    )


def _base(header: pb.PublishHeader, folder: Path) -> BaseContract | None:
    if header.HasField("base_contract"):
        return read_base(header.base_contract)
    reference = header.base_reference or base_named_by(read_config(folder))
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
        if not header.unverified_base:
            raise
        return BaseContract.unverified(reference)
