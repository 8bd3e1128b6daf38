"""Turns a plan into tensors, runs the base once, and draws the next tokens.

Knows no queues, and not how requests end.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from parfocal.engine.model.forward import AheadForward, Forward
from parfocal.engine.model.prompt_reader import PromptReader
from parfocal.engine.model.resident import Backend
from parfocal.engine.sampling import Drawn, Sampler
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
        ahead: AheadForward | None = None,
    ) -> None:
        self._forward = forward
        self._backend = backend
        self._sampler = sampler or Sampler()
        self._reader = reader or PromptReader(forward, 1)
        self._ahead = ahead
        self._cpu_threads = torch.get_num_threads()
        self._stepping: int | None = None
        self._running: _Queued | None = None
        self._next: _Queued | None = None

    @property
    def overlaps(self) -> bool:
        """Whether the device computes while the calling thread does something else."""
        return self._backend.device.overlaps

    @property
    def goes_ahead(self) -> bool:
        """Whether a plan may be queued behind the one that runs."""
        return self._ahead is not None

    @torch.inference_mode()
    def run(self, plan: Plan, meanwhile: Callable[[], None] = lambda: None) -> list[SampledToken | None]:
        """Each row's sampled token and what was read, in the plan's order; None where there is neither.

        Calls `meanwhile` once all work is queued, before it waits for the tokens.

        The device has left the step when this returns or raises. Whatever comes next may then reuse what the
        step read or wrote: blocks, an evicted adapter's memory, the buffers of its inputs. What was queued
        behind it goes on, unless this raises.
        """
        self._take_over()
        found, self._next = self._next, None
        has_left = False
        try:
            queued = found if found is not None and found.plan is plan else self._queue(plan)
            self._running = queued
            meanwhile()
            tokens = self._found(queued)
            # Tokens that were drawn have been waited for, with all that was queued before them. Unfinished
            # prompts, what is read beside, and a step that failed have not.
            has_left = queued.drawn is not None and not queued.reading
            return tokens
        finally:
            self._running = None
            if not has_left:
                self._backend.device.finish()
                self._next = None

    def queue_next(self, plan: Plan) -> bool:
        """Queues a plan made ahead behind the one that runs; to be called in `meanwhile`.

        The next `run` must be of the same plan. Returns False if it cannot be queued, and then has done
        nothing.
        """
        last = self._running
        if self._ahead is None or last is None or last.drawn is None or last.reading:
            return False
        laid = lay_out(plan)
        at = {item.order: place for place, item in enumerate(last.drawing)}
        places = [at[item.row.follows] for item in laid if item.row.follows is not None]
        logits = self._ahead.follow(laid, last.drawn.chosen, places)
        if logits is None:
            return False
        self._next = _Queued(plan, laid, self._draw(logits, laid))
        return True

    def _queue(self, plan: Plan) -> "_Queued":
        assert not plan.is_ahead, "a plan made ahead was not queued behind the one that it follows"
        laid = lay_out(plan)
        last = [item.end - 1 for item in laid if item.row.sampling is not None]
        reading = [item for item in laid if item.row.reading is not None]
        if not reading:
            logits = self._forward.logits(laid, last)
            return _Queued(plan, laid, self._draw(logits, laid) if last else None)
        states = self._forward.states(laid, last + [at for item in reading for at in _read_places(item)])
        drawn = self._draw(self._forward.head(states[: len(last)]), laid) if last else None
        return _Queued(plan, laid, drawn, reading, states[len(last) :])

    def _draw(self, logits: torch.Tensor, laid: Sequence[LaidRow]) -> Drawn:
        """Queues the draws of the rows of `laid` that draw, in their order."""
        rows = [item.row.sampling for item in laid if item.row.sampling is not None]
        with self._backend.watch.part(SAMPLING):
            return self._sampler.queue(logits, rows)

    def _found(self, queued: "_Queued") -> list[SampledToken | None]:
        """Waits for what a step has found."""
        result: list[SampledToken | None] = [None] * len(queued.plan.rows)
        if queued.drawn is not None:
            with self._backend.watch.part(SAMPLING):
                # What was queued behind it writes its logits to the same memory.
                tokens = queued.drawn.tokens(are_logits_there=self._next is None)
            for item, token in zip(queued.drawing, tokens, strict=True):
                result[item.order] = token
        if queued.states is not None:
            queued.drawn = None  # its logits are not to be held beside those of the prompts
            self._read(queued.states, queued.reading, result)
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


@dataclass(slots=True)
class _Queued:
    """A plan whose work is queued: what it draws, and the `states` of those whose prompts are read."""

    plan: Plan
    laid: Sequence[LaidRow]
    drawn: Drawn | None
    reading: Sequence[LaidRow] = ()
    states: torch.Tensor | None = None

    @property
    def drawing(self) -> list[LaidRow]:
        """The rows that draw, as their tokens lie."""
        return [item for item in self.laid if item.row.sampling is not None]


def _read_places(item: LaidRow) -> Sequence[int]:
    """The places of the batch at which a row's prompt is read."""
    reading = item.row.reading
    return () if reading is None else range(item.start + reading.first, item.start + reading.end)
