"""The callers' side of requests: each one's text, what has been sent of it, and how it ends.

Changes scheduling state only through `Scheduler.finish`.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from parfocal.engine.inbox import Emit
from parfocal.engine.observer import Observer, RequestReport
from parfocal.engine.request import Completion, Delta, FinishReason
from parfocal.engine.scheduling import Scheduler, Sequence
from parfocal.engine.stopwatch import TEXT, Stopwatch
from parfocal.engine.text import TextStream


@dataclass(slots=True)
class LiveRequest:
    """Turns a sequence's new tokens into deltas.

    `pushed` and `sent` count the tokens read and sent so far.
    """

    sequence: Sequence
    text: TextStream
    emit: Emit
    pushed: int = 0
    sent: int = 0
    pending: str = ""

    def push(self) -> bool:
        """Reads the sequence's new tokens; returns True if a stop string is complete.

        A token that ends the request has no text: it is not part of the answer. Before `min_tokens` no stop
        string ends a request.
        """
        ids = self.sequence.output_ids
        end = len(ids) - (self.sequence.finish_reason is FinishReason.STOP)
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

    def emit_completion(self) -> None:
        """Sends the last delta, with the whole result."""
        if not self.text.stopped:
            self.pending += self.text.finish()
        self.emit(self._delta(self._completion()))

    def report(self, end: FinishReason | Exception | None) -> RequestReport:
        """Returns the ended request's figures."""
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
        return Delta(text, ids, logprobs, completion)

    def _completion(self) -> Completion:
        sequence = self.sequence
        assert sequence.finish_reason is not None, "a completion needs a finish reason"
        return Completion(
            request_id=sequence.request.request_id,
            text=self.text.text,
            token_ids=tuple(sequence.output_ids),
            finish_reason=sequence.finish_reason,
            stop_string=self.text.stopped,
            logprobs=tuple(sequence.logprobs),
            prompt_tokens=len(sequence.request.prompt_ids),
            cached_tokens=sequence.cached_tokens or 0,
            timings=sequence.clock.timings(),
            adapter=sequence.request.adapter,
        )


class LiveRequests:
    """The requests that have begun and not ended. Each ends once: by `advance`, `end`, `fail` or `fail_all`.

    `names` holds the ids of all accepted requests that have not ended, including those not yet begun, whose
    ids are taken. Only it is read and extended by other threads.
    """

    def __init__(self, scheduler: Scheduler, observer: Observer, watch: Stopwatch) -> None:
        self.names: set[str] = set()
        self._scheduler = scheduler
        self._observer = observer
        self._watch = watch
        self._live: dict[str, LiveRequest] = {}
        self._held: list[Sequence] = []  # their new tokens are sent while the device computes the next step

    def begin(self, live: LiveRequest) -> None:
        """Queues a request."""
        self._live[live.sequence.request.request_id] = live
        self._scheduler.add(live.sequence)

    def find(self, request_id: str) -> Sequence | None:
        """Returns the request's sequence; None if it has ended or not begun."""
        live = self._live.get(request_id)
        return None if live is None else live.sequence

    def hold(self, advanced: Iterable[Sequence]) -> None:
        """Holds a step's results until `send_held`."""
        self._held += advanced

    def send_held(self) -> None:
        """Sends the last step's results to requests that have not ended since, and ends those complete."""
        held, self._held = self._held, []
        going_on = [self._live[s.request.request_id] for s in held if s.request.request_id in self._live]
        with self._watch.part(TEXT):
            stopped = [live.push() for live in going_on]
        for live, is_stopped in zip(going_on, stopped, strict=True):
            self._advance(live, is_stopped)

    def end(self, sequence: Sequence, reason: FinishReason) -> None:
        """Ends a request before its answer is complete; sends what there is."""
        live = self._live[sequence.request.request_id]
        self._scheduler.finish(sequence, reason)
        if sequence in self._held:
            with self._watch.part(TEXT):
                live.push()
        self._complete(live)

    def fail(self, sequence: Sequence, error: Exception) -> None:
        """Ends a request in an error."""
        self._scheduler.finish(sequence, None)
        self._refuse(self._live[sequence.request.request_id], error)

    def fail_all(self, error: Exception) -> None:
        """Ends every request in an error. Leaves the scheduler alone: it may be what is broken."""
        for live in tuple(self._live.values()):
            self._refuse(live, error)

    def _advance(self, live: LiveRequest, is_stopped: bool) -> None:
        sequence = live.sequence
        if is_stopped and sequence.finish_reason in (None, FinishReason.LENGTH):
            self._scheduler.finish(sequence, FinishReason.STOP_STRING)
        if sequence.finish_reason is None:
            live.emit_delta()
        else:
            self._complete(live)

    def _complete(self, live: LiveRequest) -> None:
        self._forget(live)
        self._observer.request(live.report(live.sequence.finish_reason))
        live.emit_completion()

    def _refuse(self, live: LiveRequest, error: Exception) -> None:
        self._forget(live)
        self._observer.request(live.report(error))
        live.emit(error)

    def _forget(self, live: LiveRequest) -> None:
        del self._live[live.sequence.request.request_id]
        self.names.discard(live.sequence.request.request_id)
