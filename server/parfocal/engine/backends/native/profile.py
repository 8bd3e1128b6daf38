"""Where the time of native steps goes, while somebody wants to know."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

from parfocal.engine.backends.native.library import Library

PHASES = ("linears", "adapters", "attention", "rows")


class NativeProfile:
    """Reads the kernels' own clock. `rows` is row-wise work: norms, rotations, activations, rounding."""

    def __init__(self, library: Library) -> None:
        self._library = library

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Takes times inside the block."""
        self.seconds()
        self._library.profile(1)
        try:
            yield
        finally:
            self._library.profile(0)

    def seconds(self) -> dict[str, float]:
        """Returns the seconds of each phase since the last call."""
        found = (ctypes.c_double * len(PHASES))()
        self._library.profiled(ctypes.addressof(found))
        return dict(zip(PHASES, found, strict=True))
