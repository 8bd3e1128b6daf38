"""Copies to a CUDA device beside the steps: on a stream of their own, for which only loading threads wait."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Protocol

import torch


class CopyStream(Protocol):
    """A queue of work for the device beside the one that computes the steps."""

    def follow_steps(self) -> None:
        """Lets what is queued from now on begin after all that the steps have queued until now."""

    def queued(self) -> AbstractContextManager[object]:
        """Queues here what the calling thread does in the scope."""

    def finish(self) -> None:
        """Returns once all that was queued here is done; makes nobody else wait."""


class CudaCopies:
    """Writes to the device's memory while it computes steps. May be called on several threads at once.

    Memory that an adapter has left may still be read by steps that are queued already, so the stream follows
    them. What it wrote is done when the call returns, before anybody is told of it, and even if the call
    fails: so the steps need not follow the stream, and memory that is given back may be used at once. Tensors
    are made on the steps' stream, whose allocator therefore needs no word of this one.
    """

    def __init__(self, stream: CopyStream, *, pinned: bool = True) -> None:
        self.pinned = pinned
        self._stream = stream

    def copy(self, targets: list[torch.Tensor], sources: list[torch.Tensor]) -> None:
        """Copies each source to the target at its place; beside the steps only from page-locked memory."""
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
    """A stream of torch's. `steps` is the one that computes; None means the device's default stream."""

    def __init__(self, device: torch.device, steps: torch.cuda.Stream | None = None) -> None:
        self._stream = torch.cuda.Stream(device)
        self._steps = steps or torch.cuda.default_stream(device)

    def follow_steps(self) -> None:
        """Lets what is queued from now on begin after all that the steps have queued until now."""
        self._stream.wait_stream(self._steps)

    def queued(self) -> AbstractContextManager[object]:
        """Queues here what the calling thread does in the scope."""
        return torch.cuda.stream(self._stream)

    def finish(self) -> None:
        """Returns once all that was queued here is done."""
        # The thread sleeps: one that spins keeps a CPU from the step thread.
        done = torch.cuda.Event(blocking=True)
        done.record(self._stream)
        done.synchronize()


class LoneCopyStream(TorchCopyStream):
    """A stream that follows nobody: for memory that no step in the queue can read.

    An adapter's pages are such. They are freed between steps, when the last one's tokens have come back; so a
    load need not wait for the step that runs now.
    """

    def follow_steps(self) -> None:
        """Waits for nothing."""
