"""A draft as what publishes it: what the publisher says, and the files that hold it."""

from parfocal.client.transfer import Source
from parfocal.registry.publishing import Draft, Publication
from parfocal.registry.values import CONFIG_FILE, TEMPLATE_FILE, WEIGHTS_FILE, check_actor
from parfocal.registry.wire import base_message, evaluation_message, provenance_message, rendering_message
from parfocal.v1 import registry_service_pb2 as pb


def publish_header(name: str, publication: Publication) -> pb.PublishHeader:
    """The header of an upload, its files apart."""
    return pb.PublishHeader(
        name=name,
        base_contract=None if publication.base is None else base_message(publication.base),
        unverified_base=publication.unverified_base,
        provenance=provenance_message(publication.provenance),
        evaluation=evaluation_message(publication.evaluation),
        rendering=rendering_message(publication.rendering),
        actor=check_actor(publication.actor),
        noticed=publication.noticed,
        tags=publication.tags,
        signatures=publication.signatures,
    )


def sources(draft: Draft) -> list[Source]:
    """The files of a draft, which the registry reads again to the same draft; raises OSError.

    The template may lie within another file of the folder.
    """
    folder, template = draft.folder.path, draft.template
    found = [Source.of_file(folder / CONFIG_FILE), Source.of_file(folder / WEIGHTS_FILE)]
    return found if template is None else [*found, Source.of_bytes(TEMPLATE_FILE, template)]
