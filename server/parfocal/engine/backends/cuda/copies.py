"""Copies to a CUDA device beside the steps: on a separate stream that only loading threads wait for."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Protocol

import torch


class CopyStream(Protocol):
    """A queue of device work beside the one that computes the steps."""

    def follow_steps(self) -> None:
        """Makes work queued from now on start after everything the steps have queued so far."""

    def queued(self) -> AbstractContextManager[object]:
        """Queues the calling thread's work here while the scope lasts."""

    def finish(self) -> None:
        """Waits until everything queued here is done; no other thread waits."""


class CudaCopies:
    """Writes to the device's memory while it computes steps. Any number of threads may call it.

    A stream that follows the steps writes after those already queued, which may still read that memory. Every
    write is complete when the call returns, even if it fails: so the steps need not follow the stream, and
    freed memory may be reused immediately. Tensors are allocated on the steps' stream, so its allocator need
    not know of this one.
    """

    def __init__(self, stream: CopyStream, *, pinned: bool = True) -> None:
        self.pinned = pinned
        self._stream = stream

    def copy(self, targets: list[torch.Tensor], sources: list[torch.Tensor]) -> None:
        """Copies each source to its target; overlaps the steps only from page-locked memory."""
        self._do(partial(torch._foreach_copy_, targets, sources, non_blocking=True))

    def zero(self, targets: list[torch.Tensor]) -> None:
        """Sets all numbers of the targets to 0."""
        self._do(partial(torch._foreach_zero_, targets))

    def _do(self, work: Callable[[], None]) -> None:
        self._stream.follow_steps()
        try:
            with self._stream.queued():
                work()
        finally:
            self._stream.finish()


class TorchCopyStream:
    """A torch stream. `steps` is the one that computes; None means the device's default stream."""

    def __init__(self, device: torch.device, steps: torch.cuda.Stream | None = None) -> None:
        self._stream = torch.cuda.Stream(device)
        self._steps = steps or torch.cuda.default_stream(device)

    def follow_steps(self) -> None:
        """Makes work queued from now on start after everything the steps have queued so far."""
        self._stream.wait_stream(self._steps)

    def queued(self) -> AbstractContextManager[object]:
        """Queues the calling thread's work here while the scope lasts."""
        return torch.cuda.stream(self._stream)

    def finish(self) -> None:
        """Waits until everything queued here is done."""
        # The thread sleeps: one that spins keeps a CPU from the step thread.
        done = torch.cuda.Event(blocking=True)
        done.record(self._stream)
        done.synchronize()


class LoneCopyStream(TorchCopyStream):
    """A stream that follows no other: for memory that no queued step can read.

    An adapter's pages are such memory. They are freed between steps, and the device has left a step when its
    run returns, drawn tokens or not, failed or not. So a load need not wait for the running step.
    """

    def follow_steps(self) -> None:
        """Does nothing."""
