"""A CUDA device's instants: events in the queue of its work, read when the device has passed them."""

import torch


class EventMarks:
    """Marks the current stream without waiting, so that it times the device and not the launch."""

    def now(self) -> torch.cuda.Event:
        """A mark behind all that is queued now."""
        mark = torch.cuda.Event(enable_timing=True)
        mark.record()
        return mark

    def seconds(self, begin: torch.cuda.Event, end: torch.cuda.Event) -> float:
        """The seconds between two marks; waits until the device has passed the second."""
        end.synchronize()
        return float(begin.elapsed_time(end)) / 1000
