"""A draft as what publishes it: what the publisher says, and the files that hold it."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from parfocal.client.transfer import Source
from parfocal.registry.peft import MAX_WEIGHTS_BYTES, open_regular
from parfocal.registry.publishing import Draft, Publication
from parfocal.registry.values import CONFIG_FILE, WEIGHTS_FILE, Hasher, check_actor
from parfocal.registry.wire import base_message, evaluation_message, provenance_message, rendering_message
from parfocal.v1 import registry_service_pb2 as pb

# After each a thread waits for Python, where another one computes.
_HASHED_BYTES = 4 << 20


@contextmanager
def weights_hashed(folder: Path) -> Iterator[Callable[[], Source]]:
    """Hashes the weights of a folder on a thread; call what is given for them, in the scope.

    That raises AdapterRefused where there is no such file, and OSError.
    """
    is_wanted, path = True, folder / WEIGHTS_FILE

    def hashed() -> Source:
        hasher = Hasher()
        with open_regular(path, MAX_WEIGHTS_BYTES) as file:
            while is_wanted and (piece := file.read(_HASHED_BYTES)):
                hasher.update(piece)
        return Source(path.name, hasher.size, hasher.digest, lambda: path.open("rb"))

    with ThreadPoolExecutor(1, thread_name_prefix="hashing-weights") as thread:
        source = thread.submit(hashed)
        try:
            yield source.result
        finally:
            is_wanted = False


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


def sources(draft: Draft, weights: Source) -> list[Source]:
    """The files of a draft, which the registry reads again to the same draft; raises OSError.

    The template may lie within another file of the folder.
    """
    whole = (Source.of_bytes(name, data) for name, data in draft.whole)
    return [Source.of_file(draft.folder.path / CONFIG_FILE), weights, *whole]
