"""Weights that are stored beside their check, on a thread, and kept if both go well. Checks nothing."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from parfocal.registry.blobs import Blob, BlobStore, StagedBlob
from parfocal.registry.disk import FileState
from parfocal.registry.peft import MAX_WEIGHTS_BYTES, open_regular
from parfocal.registry.values import WEIGHTS_FILE, Readable

_TELL_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Filled:
    """Weights that are stored but for their name, and the file that they were copied from."""

    staged: StagedBlob
    blob: Blob
    source: BinaryIO
    state: FileState

    def come_from(self, state: FileState) -> bool:
        """Whether the file is the one that was in this state, and was so all the time; raises OSError."""
        return self.state == state == FileState.of(self.source)


class BegunWeights:
    """The weights of `folder` on their way into `blobs`, as `published` makes them of the file, in a scope.

    What goes wrong is raised where somebody asks for them: an adapter is refused for what its check says, and
    then nothing stays of them.
    """

    def __init__(
        self, blobs: BlobStore, folder: Path, published: Callable[[BinaryIO], Readable] | None = None
    ) -> None:
        self._blobs = blobs
        self._path = folder / WEIGHTS_FILE
        self._published = published
        self._scope = ExitStack()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="storing-weights")
        self._filled: Future[Filled] | None = None
        self._stored = 0
        self._is_unwanted = False

    def __enter__(self) -> Self:
        self._filled = self._thread.submit(self._fill)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_unwanted = True
        self._thread.shutdown()
        self._scope.close()

    def filled(self, advanced: Callable[[int], None]) -> Filled:
        """Waits for them, in the thread of whoever is told how many bytes were stored since it was told last.

        Raises AdapterRefused where there is no such file, StorageError or OSError.
        """
        assert self._filled is not None
        told, is_done = 0, False
        while not is_done:
            is_done = bool(wait([self._filled], _TELL_EVERY_S).done)
            stored = self._stored
            if stored > told:
                advanced(stored - told)
                told = stored
        return self._filled.result()

    def _fill(self) -> Filled:
        staged = self._scope.enter_context(self._blobs.stage())
        source = self._scope.enter_context(open_regular(self._path, MAX_WEIGHTS_BYTES))
        state = FileState.of(source)
        stream = source if self._published is None else self._published(source)
        return Filled(staged, staged.fill(stream, self._advance), source, state)

    def _advance(self, count: int) -> None:
        if self._is_unwanted:
            raise _Unwanted
        self._stored += count


class _Unwanted(Exception):
    """Ends the thread; nobody asks for what it would have stored."""
