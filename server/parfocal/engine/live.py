"""The callers' side of requests: each one's text, what has been sent of it, and how it ends.

Changes scheduling state only through `Scheduler.finish`, and never while a step runs. A failure that concerns
one request ends that request and no other.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from parfocal.engine.errors import SendingFailed
from parfocal.engine.observer import Observer, RequestReport
from parfocal.engine.request import Completion, Delta, FinishReason
from parfocal.engine.scheduling import Scheduler, Sequence
from parfocal.engine.stopwatch import TEXT, Stopwatch
from parfocal.engine.text import TextStream

log = logging.getLogger(__name__)

Emit = Callable[[Delta | Exception], None]


@dataclass(slots=True, eq=False)
class LiveRequest:
    """An accepted request. Turns its sequence's new tokens into deltas; `emit` takes these, or an error.

    It is what the engine knows a request by: an id may be used again once its request has ended.

    `pushed` and `sent` count the tokens read and sent so far; `told` is whether what was asked of the prompt
    has been sent. `cut_by` is why the answer ended before it was complete; `broken` is what went wrong with
    its text or with `emit`.
    """

    sequence: Sequence
    text: TextStream
    emit: Emit
    pushed: int = 0
    sent: int = 0
    told: bool = False
    pending: str = ""
    cut_by: FinishReason | None = None
    broken: Exception | None = None

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why the request ends; None while it goes on. What came first counts."""
        found = self.sequence.finish_reason
        if self.text.stopped and found in (None, FinishReason.LENGTH):
            return FinishReason.STOP_STRING
        return found or self.cut_by

    def push(self) -> bool:
        """Reads the sequence's new tokens; returns True if a stop string is complete.

        A token that ends the request has no text: it is not part of the answer. Before `min_tokens` no stop
        string ends a request.
        """
        ids = self.sequence.output_ids
        end = len(ids) - self.sequence.ends_in_stop_token
        unstoppable = min(end, max(self.pushed, self.sequence.request.stop.min_tokens - 1))
        self.pending += self.text.push(ids[self.pushed : unstoppable], may_stop=False)
        self.pending += self.text.push(ids[unstoppable:end])
        self.pushed = len(ids)
        return bool(self.text.stopped)

    def emit_delta(self) -> None:
        """Sends what has become certain since the last delta, if anything."""
        delta = self._delta(None)
        if delta.text or delta.token_ids:
            self.emit(delta)

    def finish_text(self) -> None:
        """Lets go of what was held back for a stop string."""
        if not self.text.stopped:
            self.pending += self.text.finish()

    def emit_completion(self) -> None:
        """Sends the last delta, with the whole result. Finish the text first."""
        self.emit(self._delta(self._completion()))

    def report(self, end: FinishReason | Exception | None) -> RequestReport:
        """The ended request's figures."""
        sequence, clock = self.sequence, self.sequence.clock
        outcome = end.value if isinstance(end, FinishReason) else str(getattr(end, "reason", "error")).lower()
        ended = clock.ended if clock.ended is not None else time.monotonic()
        return RequestReport(
            adapter=sequence.request.adapter,
            outcome=outcome,
            prompt_tokens=len(sequence.request.prompt_ids),
            cached_tokens=sequence.cached_tokens or 0,
            generated_tokens=len(sequence.output_ids),
            seconds=ended - clock.arrived,
            first_token_seconds=None if clock.first_token is None else clock.first_token - clock.arrived,
            timings=clock.timings(),
        )

    def _delta(self, completion: Completion | None) -> Delta:
        ids = tuple(self.sequence.output_ids[self.sent :])
        logprobs = tuple(self.sequence.logprobs[self.sent :])
        text, self.pending, self.sent = self.pending, "", self.sent + len(ids)
        if self.told or self.sequence.outputs is None:
            return Delta(text, ids, logprobs, completion)
        self.told = True
        return Delta(text, ids, logprobs, completion, self.sequence.outputs.logprobs or ())

    def _completion(self) -> Completion:
        sequence, outputs = self.sequence, self.sequence.outputs
        reason = self.finish_reason
        assert reason is not None, "a completion needs a finish reason"
        return Completion(
            request_id=sequence.request.request_id,
            text=self.text.text,
            token_ids=tuple(sequence.output_ids),
            finish_reason=reason,
            stop_string=self.text.stopped,
            logprobs=tuple(sequence.logprobs),
            prompt_tokens=len(sequence.request.prompt_ids),
            cached_tokens=sequence.cached_tokens or 0,
            timings=sequence.clock.timings(),
            adapter=sequence.request.adapter,
            constraint_met=self._constraint_met(),
            prompt_logprobs=(outputs.logprobs or ()) if outputs else (),
            embedding=outputs.embedding() if outputs else (),
        )

    def _constraint_met(self) -> bool | None:
        constraint = self.sequence.constraint
        # A stop string cuts text that the constraint has seen.
        return None if constraint is None else constraint.is_satisfied and not self.text.stopped


class LiveRequests:
    """The requests that have begun and not ended; `send_held`, `end`, `fail` or `fail_all` ends each once.

    `names` holds the ids of all accepted requests that have not ended, including those not yet begun, whose
    ids are taken. Only it is read and extended by other threads.
    """

    def __init__(self, scheduler: Scheduler, observer: Observer, watch: Stopwatch) -> None:
        self.names: set[str] = set()
        self._scheduler = scheduler
        self._observer = observer
        self._watch = watch
        self._live: dict[Sequence, LiveRequest] = {}
        self._held: list[Sequence] = []  # their new tokens are sent while the device computes the next step
        self._ended: list[tuple[Sequence, FinishReason | None]] = []  # the scheduler has not let go of them

    def __contains__(self, live: LiveRequest) -> bool:
        """Whether the request has begun and not ended."""
        return live.sequence in self._live

    def begin(self, live: LiveRequest) -> None:
        """Begins a request; it is not queued yet."""
        self._live[live.sequence] = live

    def hold(self, advanced: Iterable[Sequence]) -> None:
        """Holds a step's results until `send_held`."""
        self._held += advanced

    def send_held(self) -> None:
        """Sends the last step's results to requests that have not ended since, and ends those complete.

        May be called while a step runs: call `let_go` when the device has left it.
        """
        held, self._held = self._held, []
        going_on = [self._live[sequence] for sequence in held if sequence in self._live]
        with self._watch.part(TEXT):
            for live in going_on:
                _apart(live, live.push)
        for live in going_on:
            self._advance(live)

    def let_go(self) -> None:
        """Gives back what ended requests hold.

        Not while a step runs: it computes with their adapters, in their blocks.
        """
        ended, self._ended = self._ended, []
        for sequence, reason in ended:
            self._scheduler.finish(sequence, reason)

    def end(self, sequence: Sequence, reason: FinishReason) -> None:
        """Ends a request before its answer is complete; sends what there is.

        One whose answer is complete, though not sent yet, keeps its own reason.
        """
        live = self._live[sequence]
        self._push(live)
        if live.finish_reason is None:
            live.cut_by = reason
        self._conclude(live)
        self.let_go()

    def fail(self, sequence: Sequence, error: Exception) -> None:
        """Ends a request in an error, unless its answer is complete and only not sent yet."""
        live = self._live[sequence]
        self._push(live)
        if live.broken is None and live.finish_reason is None:
            live.broken = error
        self._conclude(live)
        self.let_go()

    def fail_all(self, error: Exception) -> None:
        """Ends every request, in an error unless its answer is complete.

        Leaves the scheduler alone: it may be what is broken.
        """
        self.send_held()
        for live in tuple(self._live.values()):
            _apart(live, live.push)
            if live.broken is None and live.finish_reason is None:
                live.broken = error
            self._conclude(live)

    def _push(self, live: LiveRequest) -> None:
        with self._watch.part(TEXT):
            _apart(live, live.push)

    def _advance(self, live: LiveRequest) -> None:
        if live.broken is None and live.finish_reason is None:
            _apart(live, live.emit_delta)
        if live.broken is not None or live.finish_reason is not None:
            self._conclude(live)

    def _conclude(self, live: LiveRequest) -> None:
        """Ends a request with its completion, or with what broke it. Raises nothing."""
        if live.broken is None:
            _apart(live, live.finish_text)
        self._forget(live)
        error = live.broken
        _apart(live, partial(self._report, live, error))
        _apart(live, live.emit_completion if error is None else partial(live.emit, error))

    def _report(self, live: LiveRequest, error: Exception | None) -> None:
        self._observer.request(live.report(error or live.finish_reason))

    def _forget(self, live: LiveRequest) -> None:
        sequence = live.sequence
        del self._live[sequence]
        self.names.discard(sequence.request.request_id)
        if not sequence.is_over:
            self._ended.append((sequence, None if live.broken else live.finish_reason))


def _apart(live: LiveRequest, act: Callable[[], object]) -> None:
    """Acts for one request, so that a failure breaks that request and no other."""
    try:
        act()
    except Exception as error:  # the engine's loop, for one request: tokenizers raise nothing narrower
        request_id = live.sequence.request.request_id
        log.exception("request %s could not be answered", request_id)
        broken = SendingFailed(f"the answer could not be sent: {error}; other requests go on")
        broken.__cause__ = error
        live.broken = broken
