"""Takes what Python knows of rows to the device that draws for them, without waiting for what it computes."""

from collections.abc import Sequence

import numpy as np
import torch

# Devices that compute in the machine's own memory.
SHARING = ("cpu", "mps")


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
    if device.type in SHARING:
        return here.to(device)
    return here.pin_memory().to(device, non_blocking=True)
