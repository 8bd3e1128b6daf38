"""Checks adapters: here, or in a process of its own, which leaves this one to others."""

import json
import pickle
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from parfocal.registry.disk import Staging
from parfocal.registry.errors import AdapterRefused, kinds_of_error
from parfocal.registry.isolation import Bounds, IsolatedProcess, OutOfBounds
from parfocal.registry.publishing.draft import draft
from parfocal.registry.publishing.publication import Publication
from parfocal.registry.publishing.ready import MANIFEST_FILE, NOTHING_HELD, Held, Ready, ReadyFile, ReadyFiles
from parfocal.registry.values import WEIGHTS_FILE, FileEntry

# 20,000 modules take 5 s. The weights are read twice, and mapped once.
_BOUNDS = Bounds(cpu_s=60, memory_bytes=2 << 30)
_BYTES_A_SECOND = 64 << 20


def check_here(
    folder: Path, publication: Publication, held: Held = NOTHING_HELD
) -> AbstractContextManager[Ready]:
    """A draft of what `folder` holds; raises as `draft` does."""
    return nullcontext(draft(folder, publication))


class IsolatedCheck:
    """Checks in another process, which takes `bounds` and more time and memory the larger the weights are.

    A folder of `staging` holds what is ready while it is stored. Any thread may call; one folder at a time is
    checked.
    """

    def __init__(self, staging: Staging, bounds: Bounds = _BOUNDS) -> None:
        self._staging = staging
        self._bounds = bounds
        self._process = IsolatedProcess("parfocal.registry.publishing.isolated")

    @contextmanager
    def __call__(self, folder: Path, publication: Publication, held: Held = NOTHING_HELD) -> Iterator[Ready]:
        """Raises as `draft` does, and AdapterRefused where the bounds do not suffice."""
        with self._staging.work_folder() as work:
            answer = self._answer(folder, work, publication, held)
            if "kind" in answer:
                raise _refusal(answer)
            yield ReadyFiles(tuple(map(_file, answer["files"])), work / MANIFEST_FILE)

    def close(self) -> None:
        """Ends the process."""
        self._process.close()

    def _answer(self, folder: Path, work: Path, publication: Publication, held: Held) -> dict[str, Any]:
        # Keys are not handed on.
        unsigned = replace(publication, sign=None, signatures=())
        question = pickle.dumps((str(folder), str(work), unsigned, dict(held)))
        try:
            answer: dict[str, Any] = json.loads(self._process.ask(question, self._bounds_for(folder)))
        except OutOfBounds as error:
            raise AdapterRefused(
                f"to check the adapter takes {error}, which is more than a server gives; make it of fewer "
                "modules or simpler patterns, or publish it with parfocal push into the registry's folder",
                field="folder",
            ) from error
        return answer

    def _bounds_for(self, folder: Path) -> Bounds:
        weights = folder / WEIGHTS_FILE
        size = weights.stat().st_size if weights.is_file() else 0
        return Bounds(self._bounds.cpu_s + size // _BYTES_A_SECOND, self._bounds.memory_bytes + size)


def _refusal(answer: dict[str, Any]) -> Exception:
    kind = kinds_of_error()[answer["kind"]]
    return kind(answer["message"], field=answer["field"], **answer["metadata"])


def _file(fields: dict[str, Any]) -> ReadyFile:
    return ReadyFile(
        FileEntry(fields["name"], fields["size"], fields["digest"]),
        Path(fields["source"]),
        None if fields["beginning"] is None else Path(fields["beginning"]),
        fields["skipped"],
    )
