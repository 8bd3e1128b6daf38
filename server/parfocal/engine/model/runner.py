"""Turns a plan into tensors, runs the base once, and draws the next tokens.

Knows no queues, and not how requests end.
"""

import threading
from collections.abc import Callable

import torch

from parfocal.engine.model.forward import Forward
from parfocal.engine.model.resident import Backend
from parfocal.engine.sampling import Sampler
from parfocal.engine.scheduling import Plan, SampledToken, lay_out
from parfocal.engine.stopwatch import SAMPLING


class Runner:
    """Runs plans on the resident base. No row of a batch sees another one's numbers; see `deterministic` in
    `EngineConfig` for the last bits of its own.

    torch's own operations may use as many CPU threads as they could where the runner was made.
    """

    def __init__(self, forward: Forward, backend: Backend, sampler: Sampler | None = None) -> None:
        self._forward = forward
        self._backend = backend
        self._sampler = sampler or Sampler()
        self._cpu_threads = torch.get_num_threads()
        self._stepping: int | None = None

    @property
    def overlaps(self) -> bool:
        """Whether the device computes while the calling thread does something else."""
        return self._backend.device.overlaps

    @torch.inference_mode()
    def run(self, plan: Plan, meanwhile: Callable[[], None] = lambda: None) -> list[SampledToken | None]:
        """Each row's sampled token, in the plan's order; None where a prompt is unfinished.

        Calls `meanwhile` once all work is queued, before it waits for the tokens.

        The device has left the step when this returns or raises. Whatever comes next may then reuse what the
        step read or wrote: blocks, an evicted adapter's memory, the buffers of its inputs.
        """
        self._take_over()
        try:
            return self._run(plan, meanwhile)
        finally:
            # Tokens that were drawn have been waited for; unfinished prompts and a step that failed have not.
            self._backend.device.finish()

    def _run(self, plan: Plan, meanwhile: Callable[[], None]) -> list[SampledToken | None]:
        laid = lay_out(plan)
        drawing = [item for item in laid if item.row.sampling is not None]
        logits = self._forward.logits(laid, [item.end - 1 for item in drawing])
        result: list[SampledToken | None] = [None] * len(plan.rows)
        if drawing:
            rows = [item.row.sampling for item in drawing if item.row.sampling is not None]
            with self._backend.watch.part(SAMPLING):
                drawn = self._sampler.sample(logits, rows, meanwhile)
            for item, token in zip(drawing, drawn, strict=True):
                result[item.order] = token
        else:
            meanwhile()
        return result

    def is_lost(self, error: BaseException) -> bool:
        """Whether the device can compute nothing any more, `error` being what it raised."""
        return self._backend.device.is_lost(error)

    def release(self) -> None:
        """Gives memory that no tensor uses back to the device."""
        self._backend.device.release()

    def _take_over(self) -> None:
        """Gives the stepping thread all CPUs: a loading thread has told torch to use one.

        And the device: kernels are launched on the thread's current one.
        """
        if self._stepping == threading.get_ident():
            return
        self._stepping = threading.get_ident()
        self._backend.take_over(self._cpu_threads)
