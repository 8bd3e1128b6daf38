"""Turns a plan into tensors, runs the base once, and draws the next tokens.

Knows no queues and no requests' ends.
"""

import threading
from collections.abc import Callable

import torch

from parfocal.engine.model.forward import Forward
from parfocal.engine.sampling import Sampler
from parfocal.engine.scheduling import Plan, SampledToken, lay_out


class Runner:
    """Runs plans on the resident base. The rows of a batch are independent of each other.

    `cpu_threads` is how many threads torch's own operations may use; `device` is where they compute.
    """

    def __init__(self, forward: Forward, cpu_threads: int, device: torch.device | None = None) -> None:
        self._forward = forward
        self._device = device
        self._sampler = Sampler()
        self._cpu_threads = cpu_threads
        self._stepping: int | None = None

    @property
    def overlaps(self) -> bool:
        """Tells whether the device computes while the calling thread does something else."""
        return self._device is not None and self._device.type == "cuda"

    @torch.inference_mode()
    def run(self, plan: Plan, meanwhile: Callable[[], None] = lambda: None) -> list[SampledToken | None]:
        """Returns the drawn token of each row, in the plan's order; None where a prompt is unfinished.

        Calls `meanwhile` once all work is on its way, before it waits for the tokens.
        """
        self._take_over()
        laid = lay_out(plan)
        drawing = [item for item in laid if item.row.sampling is not None]
        logits = self._forward.logits(laid, [item.end - 1 for item in drawing])
        result: list[SampledToken | None] = [None] * len(plan.rows)
        if drawing:
            rows = [item.row.sampling for item in drawing if item.row.sampling is not None]
            for item, token in zip(drawing, self._sampler.sample(logits, rows, meanwhile), strict=True):
                result[item.order] = token
        else:
            meanwhile()
        return result

    def _take_over(self) -> None:
        """Gives the stepping thread all CPUs, for a thread that loads adapters has told torch to use one.

        And the device: kernels are launched on the one that is the thread's current.
        """
        if self._stepping == threading.get_ident():
            return
        self._stepping = threading.get_ident()
        torch.set_num_threads(self._cpu_threads)
        if self._device is not None and self._device.type == "cuda":
            torch.cuda.set_device(self._device)
