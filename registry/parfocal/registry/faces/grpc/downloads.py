"""Which files of a version are sent, and from which byte on. Knows no messages."""

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from typing import BinaryIO

from parfocal.registry.disk import disk_errors
from parfocal.registry.errors import NotFound, OffsetOutOfRange
from parfocal.registry.registry import Registry
from parfocal.registry.values import FileEntry, Version


def files_from(version: Version, path: str, offset: int) -> list[FileEntry]:
    """The files of a version from one on; raises NotFound if it has none so called, or OffsetOutOfRange."""
    files = list(version.manifest.files)
    paths = [file.path for file in files]
    if path and path not in paths:
        raise NotFound(f"{version} has no file {path[:80]!a}; it has {', '.join(paths)}", field="path")
    found = files[paths.index(path) if path else 0 :]
    if not 0 <= offset <= found[0].size:
        raise OffsetOutOfRange(
            f"{found[0].path} has {found[0].size} bytes; it cannot be sent from {offset} on", field="offset"
        )
    return found


class SentFiles:
    """Files of a version, open until `close`: what is collected meanwhile can be read to its end.

    Opened in a thread; any other may close them, even before they are open.
    """

    def __init__(self, registry: Registry, version: Version, files: Sequence[FileEntry], offset: int) -> None:
        self._registry = registry
        self._digest = version.digest
        self._files = files
        self._offset = offset
        self._lock = threading.Lock()
        self._opened = ExitStack()
        self._is_closed = False

    def open(self) -> list[BinaryIO]:
        """The files, verified now, the first one at the offset; raises what `Registry.materialise` does."""
        folder = self._registry.materialise(self._digest)
        sources: list[BinaryIO] = []
        with disk_errors(folder), self._lock:
            for entry in () if self._is_closed else self._files:
                sources.append(self._opened.enter_context((folder / entry.path).open("rb")))
            if sources:
                sources[0].seek(self._offset)
        return sources

    def close(self) -> None:
        """Closes what is open, and what would be opened from now on."""
        with self._lock:
            self._is_closed = True
            self._opened.close()
