"""Who may change the engine's state: one thread at a time, the one that steps. No torch."""

import threading
from types import TracebackType


class Owner:
    """Owned by the thread in its scope, or by the last one that was, until another enters.

    So state can be prepared on one thread and then stepped on another; `is_here` is for assertions where
    state changes. Until a thread has entered, any may.
    """

    def __init__(self) -> None:
        self._thread: int | None = None
        self._depth = 0

    @property
    def is_here(self) -> bool:
        """Whether the calling thread may change the state."""
        return self._thread is None or self._thread == threading.get_ident()

    def __enter__(self) -> None:
        assert self._depth == 0 or self.is_here, "two threads step one engine"
        self._thread = threading.get_ident()
        self._depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
