"""The process in which strangers' uploads are checked, started by `IsolatedCheck`."""

import json
import pickle
from pathlib import Path

from parfocal.registry.disk import disk_errors
from parfocal.registry.errors import RegistryError
from parfocal.registry.isolation import answer_questions
from parfocal.registry.peft import MAX_WEIGHTS_BYTES, open_regular
from parfocal.registry.publishing.draft import Draft, draft
from parfocal.registry.publishing.ready import MANIFEST_FILE, Held, ReadyFile
from parfocal.registry.values import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    FileEntry,
    Hasher,
    chunks_of,
    digest_of,
)

_BEGINNING_FILE = "beginning"


def answer(question: bytes) -> bytes:
    """Checks a folder and writes what there is to store into another; a refusal is an answer too.

    The question is a pickle of our own server's, which no stranger can write.
    """
    folder, ready, publication, held = pickle.loads(question)
    try:
        with disk_errors(ready):
            files = _written(draft(Path(folder), publication), Path(ready), held)
    except RegistryError as refusal:
        return json.dumps(
            {
                "kind": type(refusal).__name__,
                "message": str(refusal),
                "field": refusal.field,
                "metadata": refusal.metadata,
            }
        ).encode()
    return json.dumps({"files": list(map(_fields, files))}).encode()


def _written(prepared: Draft, ready: Path, held: Held) -> list[ReadyFile]:
    files = [_whole(ready / CONFIG_FILE, prepared.config), _weights(prepared, ready, held)]
    files += [_whole(ready / name, data) for name, data in prepared.whole]
    manifest = prepared.manifest(tuple(file.entry for file in files))
    (ready / MANIFEST_FILE).write_bytes(manifest.to_bytes())
    return files


def _whole(path: Path, data: bytes) -> ReadyFile:
    path.write_bytes(data)
    return ReadyFile(FileEntry(path.name, len(data), digest_of(data)), path)


def _weights(prepared: Draft, ready: Path, held: Held) -> ReadyFile:
    published, source = prepared.folder.weights, prepared.folder.path / WEIGHTS_FILE
    if WEIGHTS_FILE in held and not published.beginning:
        return ReadyFile(held[WEIGHTS_FILE], source)
    hasher = Hasher()
    with open_regular(source, MAX_WEIGHTS_BYTES) as file:
        for chunk in chunks_of(published.read_from(file)):
            hasher.update(chunk)
    entry = FileEntry(WEIGHTS_FILE, hasher.size, hasher.digest)
    if not published.beginning:
        return ReadyFile(entry, source)
    beginning = ready / _BEGINNING_FILE
    beginning.write_bytes(published.beginning)
    return ReadyFile(entry, source, beginning, published.skipped)


def _fields(file: ReadyFile) -> dict[str, object]:
    return {
        "name": file.entry.path,
        "size": file.entry.size,
        "digest": file.entry.digest,
        "source": str(file.source),
        "beginning": None if file.beginning is None else str(file.beginning),
        "skipped": file.skipped,
    }


if __name__ == "__main__":
    answer_questions(answer)
