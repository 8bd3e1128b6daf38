"""How long work takes on a CUDA device, by the device's own clock."""

from collections.abc import Callable

import torch

from parfocal.engine.devices import EventMarks

# A multiple of the device's cache. Filling so much flushes the cache, as a step's other layers do, and keeps
# the device busy while the work is queued, so that launches are not timed.
_FILLED_CACHES = 4


class CudaClock:
    """Times work with events in the device's queue. Holds memory, so drop it after use."""

    def __init__(self, device: torch.device) -> None:
        cache_bytes = torch.cuda.get_device_properties(device).L2_cache_size
        self._marks = EventMarks()
        self._filled = torch.empty(_FILLED_CACHES * cache_bytes, dtype=torch.uint8, device=device)

    def seconds(self, work: Callable[[], object]) -> float:
        """How long the device takes for what `work` queues, in seconds."""
        self._filled.zero_()
        begin = self._marks.now()
        work()
        return self._marks.seconds(begin, self._marks.now())
