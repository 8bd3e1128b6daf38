"""The engine: requests in, deltas out, one step at a time.

Synchronous, so that it can be tested step by step.

    schedule() -> Plan -> run(plan) -> tokens -> commit(tokens) -> deltas

Where the device computes beside the caller, it has the next plan as a rule before this one's tokens are read.

`validate`, `submit`, `cancel`, `post`, `drain`, `adapters`, `live` and the counts of `pool` are for any
thread. `step`, `wait` and `fail_all` are for the thread that steps, one at a time, as `owner` asserts.
"""

import logging
import random
import threading
import time
from collections.abc import Callable
from functools import partial

from parfocal.engine.adapters import LoadAdvanced, LoadEnded, PrefetchEnded
from parfocal.engine.ahead import Ahead
from parfocal.engine.errors import (
    DeviceLost,
    EngineDraining,
    EngineError,
    InvalidRequest,
    QueueFull,
    StepFailed,
)
from parfocal.engine.inbox import Cancelled, Message, Submitted
from parfocal.engine.live import Emit, LiveRequest, LiveRequests
from parfocal.engine.observer import LoadReport, StepReport
from parfocal.engine.parts import AdapterStatus, Parts
from parfocal.engine.request import AdapterKey, FinishReason, Request, TokenLogprob
from parfocal.engine.scheduling import (
    BlockPool,
    Clock,
    LogitBias,
    Plan,
    PlanRow,
    PromptOutputs,
    PromptRead,
    Sequence,
)
from parfocal.engine.self_check import Drawn, SelfCheck
from parfocal.engine.stopwatch import SCHEDULING
from parfocal.engine.tracebacks import in_short, release_frames

log = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 1.0
# How long rows wait for others' adapters to be copied: this part of the last step's time, but no longer.
_COPY_SHARE, _COPY_SECONDS = 0.2, 0.05


class Engine:
    """Continuous batching of requests over one base and many adapters."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._live = LiveRequests(parts.scheduler, parts.observer, parts.watch)
        self._draining = False
        self._door = threading.Lock()
        self._seeds = random.Random()  # a seed is no secret, and the system takes its time to make one
        self._ahead = Ahead(parts.scheduler, parts.runner) if parts.runner.goes_ahead else None
        self._check = SelfCheck(parts.pool, partial(self._attempt, meanwhile=self._live.send_held))
        self._failed_rows = 0
        self._copying: frozenset[str] = frozenset()
        self._step_seconds = 0.0
        self._told: LoadReport | None = None

    def validate(self, request: Request) -> None:
        """Raises what `submit` would raise for faults of the request itself."""
        self._parts.admission.check(request)

    def submit(self, request: Request, emit: Emit) -> LiveRequest:
        """Queues a request; `emit` gets its deltas on the engine's thread, the last of which ends it.

        Returns what `cancel` takes; its state is for the engine's thread alone.

        Raises:
            InvalidRequest: a field is out of range, or the id is in use.
            QueueFull: too many requests wait.
            EngineDraining: the engine is stopping.
        """
        self.validate(request)
        live = self._accepted(request, emit)
        with self._door:  # so that nothing is posted after `drain` has returned, when nobody may read it
            self._check_room(request)
            self._live.names.add(request.request_id)
            self._parts.inbox.post(Submitted(live))
        return live

    def cancel(self, live: LiveRequest) -> None:
        """Ends a request before the next step; leaves one alone that has ended, and who has its id now."""
        self._parts.inbox.post(Cancelled(live))

    def post(self, message: Message) -> None:
        """Hands the engine a message, waking it if it waits."""
        self._parts.inbox.post(message)

    def drain(self) -> None:
        """Refuses new requests from now on; those accepted go on."""
        with self._door:
            self._draining = True

    def pin(self, adapter: AdapterKey) -> None:
        """Pins an adapter that is on the device for good. Only for the thread that may call `step`."""
        self._parts.residency.pin(adapter)

    def adapters(self) -> list[AdapterStatus]:
        """Every adapter that is on the device, in host memory, or loading."""
        return self._parts.residency.statuses()

    @property
    def pool(self) -> BlockPool:
        """The blocks of KV cache, for their counts."""
        return self._parts.pool

    @property
    def live(self) -> int:
        """How many accepted requests have not ended."""
        return len(self._live.names)

    def step(self) -> bool:
        """Reads the inbox, computes one step and emits what came of it; returns False if it had no work.

        Raises EngineFailed if no later step can succeed, DeviceLost if that is the device's fault.
        """
        with self._parts.owner:
            return self._step()

    def _step(self) -> bool:
        for message in self._parts.inbox.read():
            self._take(message)
        self._expire()
        queued = self._ahead.take() if self._ahead is not None else None
        if self._check.is_due and queued is None and not self._check.passes():
            self._send_held()
            return False
        begun = time.monotonic()
        plan = queued or self._planned()
        if not plan.rows:
            self._send_held()
            self._tell_load()
            return False
        self._failed_rows = 0
        advanced = self._compute(plan)
        # What was queued behind a step that failed as a whole says nothing of the next.
        self._check.is_due = self._failed_rows >= len(plan.rows) or (self._check.is_due and plan.is_ahead)
        self._live.hold(advanced)
        if not self._parts.runner.overlaps:
            self._send_held()
        generated = sum(sequence.max_tokens > 0 for sequence in advanced)
        self._step_seconds = time.monotonic() - begun
        self._parts.observer.step(self._report(plan, generated, self._step_seconds))
        return True

    def _planned(self) -> Plan:
        """What the step computes. Copies from host memory that begin now are waited for, if only briefly.

        Most take a small part of a step. Who misses its beginning by that waits for the whole of it.
        """
        plan = self._scheduled()
        begun = self._parts.residency.copying - self._copying
        # Alone, or where the device computes meanwhile, nobody gains by it.
        if begun and plan.rows and not self._parts.runner.overlaps:
            self._await_copies(begun, min(_COPY_SHARE * self._step_seconds, _COPY_SECONDS))
            plan = self._scheduled()
        self._copying = self._parts.residency.copying
        return plan

    def _scheduled(self) -> Plan:
        with self._parts.watch.part(SCHEDULING):
            return self._parts.scheduler.schedule()

    def _await_copies(self, begun: frozenset[str], seconds: float) -> None:
        """Handles messages until these adapters' copies have ended, for at most so long."""
        until = time.monotonic() + seconds
        while True:
            for message in self._parts.inbox.read():
                self._take(message)
            left = until - time.monotonic()
            if left <= 0 or not begun & self._parts.residency.copying:
                return
            self.wait(left)

    def wait(self, seconds: float) -> None:
        """Waits for a message and handles it; for when `step` had nothing to do."""
        message = self._parts.inbox.wait(seconds)
        if message is not None:
            with self._parts.owner:
                self._take(message)

    def close(self) -> None:
        """Stops the loading threads. No step may follow."""
        self._parts.close()

    def fail_all(self, error: Exception) -> None:
        """Ends every request, with `error` unless its answer is complete; for when the engine has failed.

        Releases nothing: no step may follow, and the scheduler's state may be what is broken.
        """
        with self._parts.owner:
            for message in self._parts.inbox.read():
                if isinstance(message, Submitted):
                    self._live.begin(message.live)
            self._live.fail_all(error)

    def _check_room(self, request: Request) -> None:
        if self._draining:
            raise EngineDraining("the server is stopping; send the request to another one")
        waiting = len(self._live.names) - len(self._parts.scheduler.running)
        if waiting >= self._parts.max_waiting:
            raise QueueFull(
                f"{waiting} requests wait and the limit is {self._parts.max_waiting}; try again later",
                retry_after_s=RETRY_AFTER_SECONDS,
            )
        if request.request_id in self._live.names:
            raise InvalidRequest(
                f"request_id {request.request_id!r} is in use; choose another", field="request_id"
            )

    def _take(self, message: Message) -> None:
        match message:
            case Submitted(live):
                self._live.begin(live)
                self._parts.scheduler.add(live.sequence)
            case Cancelled(live):
                if live in self._live:
                    self._live.end(live.sequence, FinishReason.CANCELLED)
            case LoadAdvanced(adapter, state):
                self._parts.residency.advanced(adapter, state)
            case LoadEnded():
                self._loaded(message)
            case PrefetchEnded():
                self._prefetched(message)

    def _accepted(self, request: Request, emit: Emit) -> LiveRequest:
        seed = request.sampling.seed
        wants_nothing = request.prompt_logprobs is None and request.pooling is None
        sequence = Sequence(
            request,
            max_tokens=self._parts.admission.max_tokens(request),
            draw_seed=seed if seed is not None else self._seeds.getrandbits(63),
            clock=Clock(time.monotonic()),
            constraint=None if request.constraint is None else request.constraint.start(),
            bias=LogitBias.of(request.sampling.logit_bias),
            outputs=None if wants_nothing else PromptOutputs.of(request),
        )
        return LiveRequest(sequence, self._parts.text(request.stop.strings), emit)

    def _loaded(self, message: LoadEnded) -> None:
        adapter, error = message.adapter, message.result.exception()
        if error is None:
            self._parts.residency.loaded(adapter, message.result.result())
            return
        self._check_device(error)
        pinning = [s for s in self._parts.scheduler if s.slot is not None and s.digest == adapter.digest]
        refusal = self._parts.residency.failed(adapter, error)
        for sequence in pinning:
            self._live.fail(sequence, refusal)

    def _prefetched(self, message: PrefetchEnded) -> None:
        adapter, error = message.adapter, message.result.exception()
        if error is None:
            self._parts.residency.prefetched(adapter, message.result.result())
            return
        self._check_device(error)
        refusal = self._parts.residency.prefetch_failed(adapter, error)
        for sequence in [s for s in self._parts.scheduler.waiting if s.digest == adapter.digest]:
            self._live.fail(sequence, refusal)

    def _expire(self) -> None:
        now = time.monotonic()
        for sequence in tuple(self._parts.scheduler):
            if sequence.request.deadline is not None and sequence.request.deadline <= now:
                self._live.end(sequence, FinishReason.DEADLINE)

    def _send_held(self) -> None:
        """Sends while no step runs."""
        self._live.send_held()
        self._live.let_go()

    def _compute(self, plan: Plan) -> list[Sequence]:
        """Runs a plan; if it fails, runs each row alone, so that only the rows at fault end in an error.

        A plan made ahead that fails is forgotten: its requests' tokens are known now, and are planned anew.
        """
        drawn = self._attempt(plan, self._while_it_runs)
        if isinstance(drawn, Exception) and plan.is_ahead:
            self._parts.scheduler.abandon(plan)
            return []
        if isinstance(drawn, Exception) and len(plan.rows) > 1:
            tried = ((row, self._attempt(row, self._live.send_held)) for row in plan.alone())
            return [sequence for row, found in tried for sequence in self._applied(row, found)]
        return self._applied(plan, drawn)

    def _applied(self, plan: Plan, drawn: Drawn | Exception) -> list[Sequence]:
        """Commits what came of a plan; one that has failed is of one row."""
        if isinstance(drawn, Exception):
            self._fail_row(plan.rows[0], in_short(drawn), drawn)
            return []
        return self._commit(plan, drawn)

    def _while_it_runs(self) -> None:
        # First, so that the device has work after this step however long the texts take.
        if self._ahead is not None:
            self._ahead.queue()
        self._live.send_held()

    def _attempt(self, plan: Plan, meanwhile: Callable[[], None]) -> Drawn | Exception:
        """Runs a plan; returns the error if it fails, once nothing holds the failed step's memory any more.

        Raises DeviceLost.
        """
        try:
            return self._parts.runner.run(plan, meanwhile)
        except Exception as error:  # the engine's loop, for one step: kernels and drivers raise anything
            log.exception("a step of %d rows failed", len(plan.rows))
            failure = error
        finally:
            self._live.let_go()
        # Outside the block, and without the frames: both hold the step's tensors.
        release_frames(failure)
        self._check_device(failure)
        if self._ahead is not None:
            self._ahead.give_up()
        self._parts.runner.release()
        return failure

    def _check_device(self, error: BaseException) -> None:
        """Raises DeviceLost if the device, having raised `error`, can compute nothing any more."""
        if self._parts.runner.is_lost(error):
            raise DeviceLost(f"the device is lost: {in_short(error)}; send the request to another server")

    def _commit(self, plan: Plan, drawn: Drawn) -> list[Sequence]:
        """Commits the good rows. A row whose logits were not finite ends in an error."""
        good: list[tuple[int, TokenLogprob | None] | None] = []
        read: dict[PlanRow, PromptRead] = {}
        for row, token in zip(plan.rows, drawn, strict=True):
            if token is not None and token.refusal is not None:
                self._refuse_row(row, token.refusal)
            elif token is not None and token.error:
                self._fail_row(row, token.error)
            elif token is not None and token.read is not None:
                read[row] = token.read
            is_drawn = row.sampling is not None and token is not None and not token.error
            good.append((token.token_id, token.logprob) if token is not None and is_drawn else None)
        with self._parts.watch.part(SCHEDULING):
            return self._parts.scheduler.commit(plan, good, read)

    def _fail_row(self, row: PlanRow, cause: str, raised: Exception | None = None) -> None:
        """Ends a row's request, unless it has ended while the row was computed."""
        self._failed_rows += 1
        if sequence := self._parts.scheduler.planned(row):
            failed = StepFailed(f"the model failed on this request: {cause}; other requests go on")
            failed.__cause__ = raised  # so that the log of the request's end shows where the model failed
            self._live.fail(sequence, failed)

    def _refuse_row(self, row: PlanRow, refusal: EngineError) -> None:
        """Ends a row's request with what it alone is at fault for, unless it has ended meanwhile."""
        if sequence := self._parts.scheduler.planned(row):
            self._live.fail(sequence, refusal)

    def _report(self, plan: Plan, generated: int, seconds: float) -> StepReport:
        """The figures of a step that took `seconds` and generated `generated` tokens."""
        begun = (row for row in plan.rows if row.sampling is None or row.sampling.position == 0)
        load = self._told = self._load()
        return StepReport(
            seconds=seconds,
            tokens=plan.tokens,
            prompt_tokens=sum(len(row.token_ids) for row in begun),
            generated_tokens=generated,
            running=load.running,
            waiting=load.waiting,
            blocks_used=load.blocks_used,
            blocks_cached=load.blocks_cached,
            blocks_free=load.blocks_free,
        )

    def _tell_load(self) -> None:
        """Reports what is left where requests have ended since the last step: their callers may have left."""
        load = self._load()
        if load != self._told:
            self._told = load
            self._parts.observer.load(load)

    def _load(self) -> LoadReport:
        pool, scheduler = self._parts.pool, self._parts.scheduler
        return LoadReport(
            running=len(scheduler.running),
            waiting=len(scheduler.waiting),
            blocks_used=pool.total - pool.free,
            blocks_cached=pool.cached,
            blocks_free=pool.free - pool.cached,
        )
