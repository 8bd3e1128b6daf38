"""Chooses between a fast kernel and plain torch: a kernel that fails on a card costs speed, never
correctness.

Knows no kernel.
"""

import logging
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Generic, ParamSpec, TypeVar

import torch

from parfocal.engine.observer import KernelReport, Observer

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")
Report = Callable[[str, str], None]

log = logging.getLogger(__name__)

# The largest error allowed against plain torch, as a fraction of the largest number.
TOLERANCES = {torch.float32: 1e-4, torch.float16: 2.0**-8, torch.bfloat16: 2.0**-5}

_FAILURES: tuple[type[Exception], ...] = (
    # From torch or the device: a refused launch, too little memory, an invalid address.
    # OutOfMemoryError and AcceleratorError are subclasses.
    RuntimeError,
    # A library that does not load, a missing compiler, a cache folder that cannot be written.
    OSError,
    # Triton is absent, or lacks a name that the kernel imports.
    ImportError,
    # The compiler or assembler that Triton calls has failed.
    subprocess.CalledProcessError,
)
_LONGEST_REASON = 300
# As the driver says it through Triton, and as cuBLAS does.
_MEMORY_FULL = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED")


@dataclass(frozen=True)  # Python 3.11 cannot call a generic class with slots by its parameters
class Trial(Generic[T]):
    """A small task on which both paths must agree.

    `run` returns a path's numbers, of any shape. `tolerance` is the largest difference allowed, as a fraction
    of the plain path's largest number.
    """

    run: Callable[[T], torch.Tensor]
    tolerance: float


def choose(name: str, fast: Callable[[], T], plain: T, trial: Trial[T], report: Report) -> T:
    """Returns what `fast` makes if its trial on this card agrees with `plain`'s, otherwise `plain`.

    Called once, at start. If the fast path is rejected, one warning says why and `report` gets the kernel's
    name and the reason. Where memory was full, it is tried once more without what torch only keeps. An error
    of the plain path propagates.
    """
    card = card_name()
    # Read on the host, so that a failure on the device surfaces here.
    right = trial.run(plain).cpu().double()
    tried = _tried(fast, right, trial)
    if tried.is_memory_full:
        torch.cuda.empty_cache()
        tried = _tried(fast, right, trial)
    if tried.path is not None:
        return tried.path
    _give_up(name, card, tried.reason, report)
    return plain


def unless_memory_is_full(name: str, work: Callable[[], T], report: Report) -> T | None:
    """What `work` returns; None where the device's memory is full, after one warning and a report.

    It is tried once more without what torch only keeps, so it must be repeatable. Other errors propagate.
    """
    reason = ""
    for _ in range(2):
        try:
            return work()
        except failures() as error:
            if not is_memory_full(error):
                raise
            reason = _described(error)
        # Here the error is gone, and with it what its frames held.
        torch.cuda.empty_cache()
    _give_up(name, card_name(), reason, report)
    return None


class Guarded(Generic[P, R]):
    """A fast function, replaced for good by a plain one at its first failure, with a warning and a report.

    Full memory is no failure of the function and passes: it is replaced for that call only. The plain one
    must be correct whatever the failed one left half done. For one thread.
    """

    def __init__(self, name: str, fast: Callable[P, R], plain: Callable[P, R], report: Report) -> None:
        self.is_fast = True
        self._name, self._fast, self._plain, self._report = name, fast, plain, report
        # Read now: a device that has failed may not answer.
        self._card = card_name()

    def tell(self, report: Report) -> None:
        """Reports a failure to `report` from now on."""
        self._report = report

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Returns the fast function's result, or the plain one's once the fast one has failed."""
        if not self.is_fast:
            return self._plain(*args, **kwargs)
        try:
            answer = self._fast(*args, **kwargs)
        except failures() as error:
            reason, self.is_fast = _described(error), is_memory_full(error)
        else:
            return answer
        if self.is_fast:
            log.info("%s: memory was full (%s); this once by PyTorch", self._name, reason)
        else:
            _give_up(self._name, self._card, reason, self._report)
        return self._plain(*args, **kwargs)


def reports_to(observer: Observer) -> Report:
    """Returns a report that tells the observer."""
    return lambda kernel, reason: observer.kernel(KernelReport(kernel, reason))


@cache
def failures() -> tuple[type[Exception], ...]:
    """Returns the errors of kernels that a card or an installation cannot run; no programming errors."""
    try:
        from triton.errors import TritonError
    except ImportError:
        return _FAILURES
    # The kernel does not compile, or needs more shared memory than the card has.
    return (*_FAILURES, TritonError)


def is_memory_full(error: Exception) -> bool:
    """Whether an error says that the device's memory is full now, whoever asked for it."""
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in _MEMORY_FULL)


@cache
def card_name() -> str:
    """Returns the current device's display name."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "a machine without a CUDA card"


@dataclass(frozen=True)  # as above
class _Tried(Generic[T]):
    """What came of a trial: the path if it passed, otherwise why not."""

    path: T | None
    reason: str
    is_memory_full: bool = False


def _tried(fast: Callable[[], T], right: torch.Tensor, trial: Trial[T]) -> _Tried[T]:
    try:
        path = fast()
        reason = _difference(trial.run(path), right, trial.tolerance)
    except failures() as error:
        return _Tried(None, _described(error), is_memory_full(error))
    return _Tried(None if reason else path, reason)


def _difference(found: torch.Tensor, right: torch.Tensor, tolerance: float) -> str:
    """Returns how the numbers differ, in words; empty if they agree."""
    if found.shape != right.shape:
        return f"it returns {tuple(found.shape)} numbers for {tuple(right.shape)}"
    allowed = tolerance * float(right.abs().max())
    most = float((found.double().cpu() - right).abs().max())
    if most <= allowed:
        return ""
    return f"max error {most:.3g} exceeds tolerance {allowed:.3g}"


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:_LONGEST_REASON]


def _give_up(name: str, card: str, reason: str, report: Report) -> None:
    log.warning(
        "%s: kernel disabled on %s (%s); the next best path serves: slower, same results",
        name,
        card,
        reason,
    )
    report(name, reason)
