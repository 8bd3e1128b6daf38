"""What a publisher's header says, as a Publication."""

from pathlib import PurePath

from parfocal.registry.publishing import Publication
from parfocal.registry.values import is_attachment
from parfocal.registry.wire.reading import read_base, read_evaluation, read_provenance, read_rendering
from parfocal.v1 import registry_service_pb2 as pb


def read_publication(header: pb.PublishHeader, actor: str) -> Publication:
    """The publication that a header describes, by `actor`; raises InvalidPublication.

    A base that was only named, or not even that, is looked up when the adapter is checked.
    """
    is_described = header.HasField("base_contract")
    return Publication(
        base=read_base(header.base_contract) if is_described else None,
        provenance=read_provenance(header.provenance) if header.HasField("provenance") else None,
        evaluation=read_evaluation(header.evaluation) if header.HasField("evaluation") else None,
        unverified_base=header.unverified_base,
        rendering=read_rendering(header.rendering) if header.HasField("rendering") else None,
        shared_base=None if is_described else header.base_reference,
        actor=actor,
        noticed=tuple(header.noticed),
        tags=tuple(header.tags),
        signatures=tuple(header.signatures),
        attachments=tuple(PurePath(file.path) for file in header.files if is_attachment(file.path)),
    )
