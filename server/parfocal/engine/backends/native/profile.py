"""Where the time of native steps goes, while someone watches."""

import ctypes
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from parfocal.engine.backends.native.library import Library
from parfocal.engine.model import StepProfile
from parfocal.engine.stopwatch import ACTIVATION, ATTENTION, BASE, GRAPH, LORA, NORMS, PARTS, ROTATION, ROWS

PHASES = ("linears", "adapters", "attention", "rows")
# Names of the parts that the kernels' own clock reports.
_PARTS = dict(zip(PHASES, (BASE, LORA, ATTENTION, ROWS), strict=True))
_ROW_WISE = (NORMS, ACTIVATION, ROTATION)


class NativeProfile:
    """Reads the kernels' own clock. `rows` is row-wise work: norms, rotations, activations, rounding."""

    def __init__(self, library: Library) -> None:
        self._library = library

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Times the kernels while the scope lasts."""
        self.seconds()
        self._library.profile(1)
        try:
            yield
        finally:
            self._library.profile(0)

    def seconds(self) -> dict[str, float]:
        """The seconds of each phase since the last call."""
        found = (ctypes.c_double * len(PHASES))()
        self._library.profiled(ctypes.addressof(found))
        return dict(zip(PHASES, found, strict=True))


class FusedProfile:
    """For steps whose decoder layers are one native call: hooks around it, and its own clock.

    That call fuses norms, rotations and activations with rounding, so here they are one part.
    """

    parts = tuple(part for part in PARTS if part not in (*_ROW_WISE, GRAPH))

    def __init__(self, around: StepProfile, within: NativeProfile) -> None:
        self._around, self._within = around, within

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Times the steps while the scope lasts."""
        with self._around.watching(), self._within.taken():
            yield

    def take(self) -> Mapping[str, float]:
        """The seconds by part since the last call."""
        seconds: dict[str, float] = defaultdict(float)
        for part, more in self._around.take().items():
            seconds[ROWS if part in _ROW_WISE else part] += more
        for phase, more in self._within.seconds().items():
            seconds[_PARTS[phase]] += more
        return dict(seconds)
