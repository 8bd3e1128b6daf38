"""Turns a plan into tensors, runs the base once, and draws the next tokens.

Knows no queues, and not how requests end.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from parfocal.engine.model.forward import Forward
from parfocal.engine.model.prompt_reader import PromptReader
from parfocal.engine.model.resident import Backend
from parfocal.engine.sampling import Sampler
from parfocal.engine.scheduling import LaidRow, Plan, SampledToken, lay_out
from parfocal.engine.stopwatch import SAMPLING


class Runner:
    """Runs plans on the resident base. No row of a batch sees another one's numbers; see `deterministic` in
    `EngineConfig` for the last bits of its own.

    torch's own operations may use as many CPU threads as they could where the runner was made. Prompts are
    read by `reader`.
    """

    def __init__(
        self,
        forward: Forward,
        backend: Backend,
        sampler: Sampler | None = None,
        reader: PromptReader | None = None,
    ) -> None:
        self._forward = forward
        self._backend = backend
        self._sampler = sampler or Sampler()
        self._reader = reader or PromptReader(forward, 1)
        self._cpu_threads = torch.get_num_threads()
        self._stepping: int | None = None

    @property
    def overlaps(self) -> bool:
        """Whether the device computes while the calling thread does something else."""
        return self._backend.device.overlaps

    @torch.inference_mode()
    def run(self, plan: Plan, meanwhile: Callable[[], None] = lambda: None) -> list[SampledToken | None]:
        """Each row's sampled token and what was read, in the plan's order; None where there is neither.

        Calls `meanwhile` once all work is queued, before it waits for the tokens.

        The device has left the step when this returns or raises. Whatever comes next may then reuse what the
        step read or wrote: blocks, an evicted adapter's memory, the buffers of its inputs.
        """
        self._take_over()
        has_left = False
        try:
            tokens = self._run(plan, meanwhile)
            # Tokens that were drawn have been waited for, with all that was queued before them. Unfinished
            # prompts, what is read beside, and a step that failed have not.
            has_left = any(row.sampling for row in plan.rows) and not any(row.reading for row in plan.rows)
            return tokens
        finally:
            if not has_left:
                self._backend.device.finish()

    def _run(self, plan: Plan, meanwhile: Callable[[], None]) -> list[SampledToken | None]:
        laid = lay_out(plan)
        drawing = [item for item in laid if item.row.sampling is not None]
        reading = [item for item in laid if item.row.reading is not None]
        last = [item.end - 1 for item in drawing]
        result: list[SampledToken | None] = [None] * len(plan.rows)
        if reading:
            states = self._forward.states(laid, last + [at for item in reading for at in _read_places(item)])
            logits = self._forward.head(states[: len(last)]) if last else states
        else:
            logits = self._forward.logits(laid, last)
        if drawing:
            rows = [item.row.sampling for item in drawing if item.row.sampling is not None]
            with self._backend.watch.part(SAMPLING):
                drawn = self._sampler.sample(logits, rows, meanwhile)
            for item, token in zip(drawing, drawn, strict=True):
                result[item.order] = token
        else:
            meanwhile()
        if reading:
            del logits  # not to be held beside those of the prompts
            self._read(states[len(last) :], reading, result)
        return result

    def _read(
        self, states: torch.Tensor, reading: Sequence[LaidRow], result: list[SampledToken | None]
    ) -> None:
        """Adds to a step's `result` what `reading` rows want to know of their prompts."""
        wanted = [item.row.reading for item in reading if item.row.reading is not None]
        with self._backend.watch.part(SAMPLING):
            found = self._reader.read(states, wanted)
        for item, read in zip(reading, found, strict=True):
            drawn = result[item.order]
            if drawn is None or read.error:
                result[item.order] = read
            elif not drawn.error:
                result[item.order] = replace(drawn, read=read.read)

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


def _read_places(item: LaidRow) -> Sequence[int]:
    """The places of the batch at which a row's prompt is read."""
    reading = item.row.reading
    return () if reading is None else range(item.start + reading.first, item.start + reading.end)
