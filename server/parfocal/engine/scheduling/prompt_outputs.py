"""What a request wants to know of its prompt beside the next token, and what has been read of that so far."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from parfocal.engine.request import Pooling, Request
from parfocal.engine.scheduling.plan import PromptRead, Reading
from parfocal.engine.scheduling.prompt_logprobs import PromptLogprobs


@dataclass(slots=True)
class PromptOutputs:
    """Log-probabilities and pooled hidden states of a prompt. Grows chunk by chunk, each token read once.

    `read` counts the prompt tokens that need not be computed again for it, also after a preemption.
    """

    prompt_ids: Sequence[int]
    pooling: Pooling | None
    logprobs: PromptLogprobs | None
    top: int
    normalised: bool
    read: int = 0
    states: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, request: Request) -> "PromptOutputs":
        """What a request wants to know: log-probabilities, an embedding or both."""
        top = request.prompt_logprobs
        logprobs = None if top is None else PromptLogprobs(request.prompt_ids, top)
        return cls(request.prompt_ids, request.pooling, logprobs, top or 0, request.normalised)

    def reusable(self, most: int) -> int:
        """How many of the first `most` tokens need no computing: their keys and values are enough."""
        is_whole = self.read == len(self.prompt_ids)
        return most if is_whole or not self._wants_all else min(most, self.read)

    def reading(self, start: int, end: int) -> Reading | None:
        """What to read when the tokens at `start` to `end` (exclusive) are computed."""
        whole = len(self.prompt_ids)
        first, stop = max(start, self.read), min(end, whole)
        if not self._wants_all:
            first = max(first, whole - 1)
        if first >= stop:
            return None
        targets = self.prompt_ids[first + 1 : stop + 1] if self.logprobs is not None else ()
        return Reading(first - start, stop - start, targets, self.top, self.pooling)

    def add(self, row_start: int, reading: Reading, read: PromptRead) -> None:
        """Takes in what was read of a row that began at the position `row_start`."""
        self.read = row_start + reading.end
        if self.logprobs is not None:
            self.logprobs.extend(read.logprobs, read.top_ids, read.top_logprobs)
        if self.pooling is Pooling.MEAN and self.states:
            self.states = [so_far + new for so_far, new in zip(self.states, read.states, strict=True)]
        else:
            self.states = list(read.states)

    def embedding(self) -> tuple[float, ...]:
        """The pooled states; empty unless they are wanted and the whole prompt has been read."""
        if self.pooling is None or self.read < len(self.prompt_ids):
            return ()
        # A mean has the direction of its sum.
        count = len(self.prompt_ids) if self.pooling is Pooling.MEAN else 1
        divisor = (math.hypot(*self.states) or 1.0) if self.normalised else count
        return tuple(value / divisor for value in self.states)

    @property
    def _wants_all(self) -> bool:
        return self.logprobs is not None or self.pooling is Pooling.MEAN
