"""Takes what the host knows of a step to the device: all of it in one copy, or each part by itself.

CUDA copies from memory that the system may move only once all earlier work is done, and the caller waits for
that. From pinned memory the copy waits by itself.
"""

from collections.abc import Callable, Sequence

import torch

# Takes int32 numbers on the host, and returns them as they will be on the device.
Send = Callable[[torch.Tensor], torch.Tensor]

# The memory of a copy: more than nearly every step needs. Parts begin where vectors do, since Triton compiles
# another kernel for those that do not.
_ROOM = 2**17
_ALIGNED = 32


class OneCopy:
    """Collects a step's numbers, whose places on the device are known at once; `send` fills them.

    Where there are more than there is room for, they take a second copy.
    """

    def __init__(self, device: torch.device, room: int = _ROOM) -> None:
        self._device = device
        self._room = room
        self._used = 0
        self._copies: list[tuple[torch.Tensor, torch.Tensor, int]] = []
        self._open()

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """The numbers' place on the device, in the same shape, int32; nothing is there before `send`."""
        count = values.numel()
        if self._used + count > len(self._here):
            self._close()
            self._open(count)
        part = slice(self._used, self._used + count)
        self._here[part].copy_(values.reshape(-1))
        self._used += -(-count // _ALIGNED) * _ALIGNED
        return self._there[part].view(values.shape)

    def numbers(self, values: Sequence[int]) -> torch.Tensor:
        """The same of Python's numbers."""
        return self(torch.tensor(values, dtype=torch.int32))

    def send(self) -> None:
        """Copies what was collected, without waiting. Nothing may be collected after it."""
        self._close()
        for here, there, used in self._copies:
            there[:used].copy_(here[:used], non_blocking=True)

    def _open(self, least: int = 0) -> None:
        size, is_apart = max(self._room, least), self._device.type != "cpu"
        self._here = torch.empty(size, dtype=torch.int32, pin_memory=is_apart)
        self._there = torch.empty(size, dtype=torch.int32, device=self._device)
        self._used = 0

    def _close(self) -> None:
        self._copies.append((self._here, self._there, min(self._used, len(self._here))))


def each_by_itself(device: torch.device) -> Send:
    """Copies each part at once, without waiting."""

    def send(values: torch.Tensor) -> torch.Tensor:
        here = values.pin_memory() if device.type != "cpu" else values
        return here.to(device, non_blocking=True)

    return send
