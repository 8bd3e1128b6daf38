"""The engine: requests in, deltas out, one step at a time.

Synchronous, so that it can be tested step by step.

    schedule() -> Plan -> run(plan) -> tokens -> commit(tokens) -> deltas

`submit`, `cancel` and `adapters` may be called on any thread; everything else on the one that calls `step`.
"""

import logging
import random
import threading
import time

from parfocal.engine.adapters import LoadEnded, PrefetchEnded
from parfocal.engine.errors import EngineDraining, InvalidRequest, QueueFull, StepFailed
from parfocal.engine.inbox import Cancelled, Emit, Message, Submitted
from parfocal.engine.live import LiveRequest
from parfocal.engine.parts import AdapterStatus, Parts
from parfocal.engine.request import FinishReason, Request
from parfocal.engine.scheduling import BlockPool, Clock, Plan, SampledToken, Sequence
from parfocal.engine.step_report import step_report

log = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 1.0


class Engine:
    """Continuous batching of requests over one base and many adapters."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._live: dict[str, LiveRequest] = {}
        self._names: set[str] = set()
        self._held: list[Sequence] = []  # whose new tokens are sent while the device computes the next step
        self._draining = False
        self._door = threading.Lock()
        self._seeds = random.SystemRandom()

    def validate(self, request: Request) -> None:
        """Raises what `submit` would raise for the request's own faults."""
        self._parts.admission.check(request)

    def submit(self, request: Request, emit: Emit) -> None:
        """Queues a request; `emit` gets its deltas on the engine's thread, the last with its end.

        Raises:
            InvalidRequest: a field is out of range, or the id is in use.
            QueueFull: too many requests wait.
            EngineDraining: the engine is stopping.
        """
        self.validate(request)
        with self._door:  # so that nothing is posted once `drain` has returned: nobody might read it
            self._check_room(request)
            self._names.add(request.request_id)
            self._parts.inbox.post(Submitted(request, emit, time.monotonic()))

    def cancel(self, request_id: str) -> None:
        """Ends a request before the next step; unknown and ended ones are left alone."""
        self._parts.inbox.post(Cancelled(request_id))

    def post(self, message: Message) -> None:
        """Hands the engine a message, waking it if it waits."""
        self._parts.inbox.post(message)

    def drain(self) -> None:
        """Refuses new requests from now on; those accepted go on."""
        with self._door:
            self._draining = True

    def adapters(self) -> list[AdapterStatus]:
        """Returns every adapter that is on the device, in host memory, or on its way there."""
        return self._parts.residency.statuses()

    @property
    def pool(self) -> BlockPool:
        """Returns the blocks of KV cache, for their counts."""
        return self._parts.pool

    @property
    def live(self) -> int:
        """Returns how many accepted requests have not ended."""
        return len(self._names)

    def step(self) -> bool:
        """Reads the inbox, computes one step and emits what came of it; returns False if it had no work."""
        for message in self._parts.inbox.read():
            self._take(message)
        self._expire()
        begun = time.monotonic()
        plan = self._parts.scheduler.schedule()
        if not plan.rows:
            self._send_held()
            return False
        advanced = self._compute(plan)
        self._held += advanced
        if not self._parts.runner.overlaps:
            self._send_held()
        self._parts.observer.step(step_report(self._parts, plan, len(advanced), time.monotonic() - begun))
        return True

    def wait(self, seconds: float) -> None:
        """Waits for a message and takes it in; for when `step` had nothing to do."""
        message = self._parts.inbox.wait(seconds)
        if message is not None:
            self._take(message)

    def close(self) -> None:
        """Stops the loading threads. No step may follow."""
        self._parts.close()

    def fail_all(self, error: Exception) -> None:
        """Ends every request with `error`; for when the engine itself cannot go on.

        Gives nothing back: no step may follow, and what the scheduler holds may be what is broken.
        """
        self._send_held()
        for message in self._parts.inbox.read():
            if isinstance(message, Submitted):
                self._start(message)
        for live in tuple(self._live.values()):
            self._emit_error(live, error)

    def _check_room(self, request: Request) -> None:
        if self._draining:
            raise EngineDraining("the server is stopping; send the request to another one")
        waiting = len(self._parts.scheduler.waiting) + len(self._parts.inbox)
        if waiting >= self._parts.max_waiting:
            raise QueueFull(
                f"{waiting} requests wait, and no more than {self._parts.max_waiting} may; try again later",
                retry_after_s=RETRY_AFTER_SECONDS,
            )
        if request.request_id in self._names:
            raise InvalidRequest(
                f"request_id {request.request_id!r} is in use; choose another", field="request_id"
            )

    def _take(self, message: Message) -> None:
        match message:
            case Submitted():
                self._start(message)
            case Cancelled(request_id) if request_id in self._live:
                self._end(self._live[request_id].sequence, FinishReason.CANCELLED)
            case LoadEnded():
                self._loaded(message)
            case PrefetchEnded():
                self._prefetched(message)

    def _start(self, message: Submitted) -> None:
        request = message.request
        seed = request.sampling.seed
        sequence = Sequence(
            request,
            max_tokens=self._parts.admission.max_tokens(request),
            draw_seed=seed if seed is not None else self._seeds.getrandbits(63),
            clock=Clock(message.arrived),
        )
        self._live[request.request_id] = LiveRequest(
            sequence, self._parts.text(request.stop.strings), message.emit
        )
        self._parts.scheduler.add(sequence)

    def _loaded(self, message: LoadEnded) -> None:
        slot, error = message.slot, message.result.exception()
        if error is None:
            self._parts.residency.loaded(slot, message.result.result())
            return
        refusal = self._parts.residency.failed(slot, error)
        for sequence in [s for s in self._parts.scheduler if s.slot is slot]:
            self._fail(sequence, refusal)

    def _prefetched(self, message: PrefetchEnded) -> None:
        adapter, error = message.adapter, message.result.exception()
        if error is None:
            self._parts.residency.prefetched(adapter, message.result.result())
            return
        refusal = self._parts.residency.prefetch_failed(adapter, error)
        for sequence in [s for s in self._parts.scheduler.waiting if s.digest == adapter.digest]:
            self._fail(sequence, refusal)

    def _expire(self) -> None:
        now = time.monotonic()
        for sequence in tuple(self._parts.scheduler):
            if sequence.request.deadline is not None and sequence.request.deadline <= now:
                self._end(sequence, FinishReason.DEADLINE)

    def _compute(self, plan: Plan) -> list[Sequence]:
        """Runs a plan; if that fails, runs each row alone, so that only the rows at fault end in an error."""
        try:
            drawn = self._parts.runner.run(plan, self._send_held)
        except Exception as error:
            log.exception("a step of %d rows failed", len(plan.rows))
            if len(plan.rows) == 1:
                self._fail_row(plan.rows[0].request_id, str(error))
                return []
            return [sequence for row in plan.alone() for sequence in self._compute(row)]
        return self._commit(plan, drawn)

    def _commit(self, plan: Plan, drawn: list[SampledToken | None]) -> list[Sequence]:
        """Commits the good rows. A row whose logits were not finite ends in an error."""
        good = []
        for row, token in zip(plan.rows, drawn, strict=True):
            if token is not None and token.error:
                self._fail_row(row.request_id, token.error)
            good.append((token.token_id, token.logprob) if token is not None and not token.error else None)
        return self._parts.scheduler.commit(plan, good)

    def _send_held(self) -> None:
        """Sends what the last step brought to those who have not ended since."""
        held, self._held = self._held, []
        for sequence in held:
            if sequence.request.request_id in self._live:
                self._advance(sequence)

    def _advance(self, sequence: Sequence) -> None:
        live = self._live[sequence.request.request_id]
        stopped = live.push()
        if stopped and sequence.finish_reason in (None, FinishReason.LENGTH):
            self._end(sequence, FinishReason.STOP_STRING)
        elif sequence.finish_reason is not None:
            self._close(live)
        else:
            live.emit_delta()

    def _end(self, sequence: Sequence, reason: FinishReason) -> None:
        live = self._live[sequence.request.request_id]
        self._parts.scheduler.finish(sequence, reason)
        if sequence in self._held:
            live.push()
        self._close(live)

    def _close(self, live: LiveRequest) -> None:
        self._forget(live)
        self._parts.observer.request(live.report(live.sequence.finish_reason))
        live.emit_completion()

    def _fail_row(self, request_id: str, cause: str) -> None:
        """Ends a row's request, unless it has ended while the row was computed."""
        if request_id in self._live:
            self._fail(self._live[request_id].sequence, _step_failed(cause))

    def _fail(self, sequence: Sequence, error: Exception) -> None:
        self._parts.scheduler.finish(sequence, None)
        self._emit_error(self._live[sequence.request.request_id], error)

    def _emit_error(self, live: LiveRequest, error: Exception) -> None:
        self._forget(live)
        self._parts.observer.request(live.report(error))
        live.emit(error)

    def _forget(self, live: LiveRequest) -> None:
        del self._live[live.sequence.request.request_id]
        self._names.discard(live.sequence.request.request_id)


def _step_failed(cause: str) -> StepFailed:
    return StepFailed(f"the model failed on this request: {cause}; other requests go on")
