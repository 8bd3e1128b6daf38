"""A second queue of device work, beside the one that computes steps, within one step."""

from contextlib import AbstractContextManager
from typing import Protocol

import torch


class SideStream(Protocol):
    """A queue beside the current one.

    Both may be captured in one graph, if they part and join within it. What work here reads and writes must
    be allocated before they part and freed after they join: then nothing else can be given its memory.
    """

    def part(self) -> None:
        """Makes work queued here from now on start after everything that the current queue has by now."""

    def queued(self) -> AbstractContextManager[object]:
        """Queues the calling thread's work here while the scope lasts."""

    def join(self) -> None:
        """Makes work that the current queue gets from now on start after everything queued here."""


class TorchSideStream:
    """A torch stream beside the current one, whichever that is."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)

    def part(self) -> None:
        """Makes work queued here from now on start after everything that the current stream has by now."""
        self._stream.wait_stream(torch.cuda.current_stream(self._device))

    def queued(self) -> AbstractContextManager[object]:
        """Queues the calling thread's work here while the scope lasts."""
        return torch.cuda.stream(self._stream)

    def join(self) -> None:
        """Makes work that the current stream gets from now on start after everything queued here."""
        torch.cuda.current_stream(self._device).wait_stream(self._stream)
