"""A draft as the messages that publish it: what the publisher says, then the files in pieces."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from parfocal.registry.publishing import Draft, Publication
from parfocal.registry.values import (
    CONFIG_FILE,
    TEMPLATE_FILE,
    WEIGHTS_FILE,
    FileEntry,
    chunks_of,
    digest_of,
    digest_of_file,
)
from parfocal.registry.wire import (
    base_message,
    evaluation_message,
    file_message,
    provenance_message,
    rendering_message,
)
from parfocal.v1 import registry_service_pb2 as pb

Progress = Callable[[int, int], None]


def upload(name: str, draft: Draft, progress: Progress | None) -> Iterator[pb.PublishVersionRequest]:
    """The header and the pieces of the folder's files; raises OSError.

    The registry reads them again, and arrives at the same draft.
    """
    files = _files(draft)
    return _parts(_header(name, draft.publication, files), files, draft, progress)


def _parts(
    header: pb.PublishHeader, files: list[FileEntry], draft: Draft, progress: Progress | None
) -> Iterator[pb.PublishVersionRequest]:
    yield pb.PublishVersionRequest(header=header)
    total, sent = sum(file.size for file in files), 0
    for entry in files:
        with _opened(draft, entry.path) as file:
            for data in chunks_of(file):
                yield pb.PublishVersionRequest(chunk=pb.FileChunk(path=entry.path, data=data))
                sent += len(data)
                if progress is not None:
                    progress(sent, total)


def _header(name: str, publication: Publication, files: list[FileEntry]) -> pb.PublishHeader:
    return pb.PublishHeader(
        name=name,
        base_contract=None if publication.base is None else base_message(publication.base),
        unverified_base=publication.unverified_base,
        provenance=provenance_message(publication.provenance),
        evaluation=evaluation_message(publication.evaluation),
        rendering=rendering_message(publication.rendering),
        files=[file_message(file) for file in files],
    )


def _files(draft: Draft) -> list[FileEntry]:
    folder, template = draft.folder.path, draft.template
    files = [_entry(folder / CONFIG_FILE), _entry(folder / WEIGHTS_FILE)]
    if template is not None:
        files.append(FileEntry(TEMPLATE_FILE, len(template), digest_of(template)))
    return files


def _entry(path: Path) -> FileEntry:
    return FileEntry(path.name, path.stat().st_size, digest_of_file(path))


def _opened(draft: Draft, path: str) -> BinaryIO:
    """Opens a file of the upload; the template may lie within another file of the folder."""
    if path == TEMPLATE_FILE:
        return io.BytesIO(draft.template or b"")
    return (draft.folder.path / path).open("rb")
