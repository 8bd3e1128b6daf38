"""Takes what Python knows of rows to the device that draws for them, and what that found back.

Nothing waits for what the device computes, until its results are read.
"""

from collections.abc import Sequence

import numpy as np
import torch

# Devices that compute in the machine's own memory.
_SHARING = ("cpu", "mps")


def on_device(
    values: np.ndarray | Sequence[int] | Sequence[float] | Sequence[Sequence[int]],
    device: torch.device,
    dtype: torch.dtype | None = None,
) -> torch.Tensor:
    """The values as a tensor there, integers as int64 unless `dtype` says otherwise.

    CUDA copies from memory that the system may move only once all earlier work is done, and the caller would
    wait for that. From pinned memory the copy waits by itself.
    """
    here = torch.as_tensor(values, dtype=dtype)
    if device.type in _SHARING:
        return here.to(device)
    return here.pin_memory().to(device, non_blocking=True)


class OnHost:
    """Tensors on their way to host memory, behind what is queued now. `wait` waits for them alone."""

    def __init__(self, found: Sequence[torch.Tensor]) -> None:
        """Queues the copies of `found`, all on one device."""
        self._done: torch.cuda.Event | None = None
        if found[0].device.type in _SHARING:
            self._here = list(found)
            return
        self._here = [torch.empty(one.shape, dtype=one.dtype, pin_memory=True) for one in found]
        for here, there in zip(self._here, found, strict=True):
            here.copy_(there, non_blocking=True)
        if found[0].device.type == "cuda":
            self._done = torch.cuda.Event()
            self._done.record()

    def wait(self) -> list[torch.Tensor]:
        """The tensors on the host; what was queued after them need not be done."""
        if self._done is not None:
            self._done.synchronize()
        return self._here
