"""A request's outward side.

Its text, what has been sent of it, and its final reply. Writes no scheduling state.
"""

import time
from dataclasses import dataclass

from parfocal.engine.inbox import Emit
from parfocal.engine.observer import RequestReport
from parfocal.engine.request import Completion, Delta, FinishReason
from parfocal.engine.scheduling import Sequence
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

        A token that ended the request has no text: it is a mark, not a part of the answer. Before
        `min_tokens` no stop string ends a request.
        """
        ids = self.sequence.output_ids
        end = len(ids) - (self.sequence.finish_reason is FinishReason.STOP)
        unstoppable = min(end, max(self.pushed, self.sequence.request.stop.min_tokens - 1))
        self.pending += self.text.push(ids[self.pushed : unstoppable], may_stop=False)
        self.pending += self.text.push(ids[unstoppable:end])
        self.pushed = len(ids)
        return bool(self.text.stopped)

    def emit_delta(self) -> None:
        """Sends what became certain since the last delta, if anything did."""
        delta = self._delta(None)
        if delta.text or delta.token_ids:
            self.emit(delta)

    def emit_completion(self) -> None:
        """Sends the last delta with the whole result."""
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
