"""Where the time of an engine's steps goes, part by part, while someone watches. No torch."""

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, Protocol

BASE, LORA, ATTENTION, HEAD = "base linears", "LoRA", "attention", "head"
NORMS, ACTIVATION, ROTATION, ROWS = "norms", "activation", "rotation", "norms, rotation, activation"
SAMPLING, SCHEDULING, TEXT, GRAPH = "sampling", "scheduling", "text", "captured step"
# Every part that some backend distinguishes, in display order. Scheduling includes laying out a plan for the
# kernels.
PARTS = (BASE, LORA, ATTENTION, HEAD, NORMS, ACTIVATION, ROTATION, ROWS, SAMPLING, SCHEDULING, TEXT, GRAPH)

_UNWATCHED = nullcontext()


class Marks(Protocol):
    """The clock of the device that computes."""

    def now(self) -> Any:
        """A mark of this instant, which may become readable only later."""

    def seconds(self, begin: Any, end: Any) -> float:
        """The seconds between two marks; waits until both are readable."""


class CpuMarks:
    """The calling thread's own clock."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self.now = now

    def seconds(self, begin: float, end: float) -> float:
        """The seconds between two marks."""
        return end - begin


class Stopwatch:
    """Times parts that may nest: while an inner one runs, the outer one's clock is paused.

    The engine's parts report their starts and ends. It measures only in the scope of `watching`.
    """

    def __init__(self, marks: Marks | None = None) -> None:
        self.is_on = False
        self._marks = marks or CpuMarks()
        self._spans: list[tuple[str, Any, Any]] = []
        self._within: list[str] = []
        self._since: Any = None

    def part(self, name: str) -> AbstractContextManager[None]:
        """The scope for a part's work; it does nothing while nobody watches."""
        return _Part(self, name) if self.is_on else _UNWATCHED

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Measures while the scope lasts."""
        self.is_on = True
        try:
            yield
        finally:
            self.is_on = False

    def begin(self, part: str) -> None:
        """Starts a part."""
        self._turn()
        self._within.append(part)

    def end(self) -> None:
        """Ends the part started last."""
        self._turn()
        self._within.pop()

    def take(self) -> dict[str, float]:
        """The seconds by part since the last call."""
        spans, self._spans = self._spans, []
        seconds: dict[str, float] = defaultdict(float)
        for part, begin, end in spans:
            seconds[part] += self._marks.seconds(begin, end)
        return dict(seconds)

    def _turn(self) -> None:
        now = self._marks.now()
        if self._within:
            self._spans.append((self._within[-1], self._since, now))
        self._since = now


class _Part:
    """The scope of a part's work."""

    __slots__ = ("_name", "_watch")

    def __init__(self, watch: Stopwatch, name: str) -> None:
        self._watch = watch
        self._name = name

    def __enter__(self) -> None:
        self._watch.begin(self._name)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.end()
