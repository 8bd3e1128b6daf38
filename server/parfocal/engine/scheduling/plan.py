"""What one step computes, as plain values.

The seam between the scheduler (no torch) and the runner (no queues).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from parfocal.engine.adapters import Place
from parfocal.engine.request import Sampling, TokenLogprob

# Below this, temperature means greedy: dividing by it would leave one token anyway, or overflow.
GREEDY_TEMPERATURE = 1e-5


@dataclass(frozen=True, slots=True)
class SamplingRow:
    """What one row of logits needs.

    `position` counts the tokens generated so far; with `draw_seed` (the request's seed, or one chosen at
    random for it) it fixes the row's random number. `banned_ids` may not be drawn now. `output_ids` are the
    generated tokens; penalties read them and `prompt_ids`.
    """

    sampling: Sampling
    position: int
    prompt_ids: Sequence[int]
    output_ids: Sequence[int]
    banned_ids: tuple[int, ...]
    logprobs: bool
    top_logprobs: int
    draw_seed: int

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is taken."""
        return self.sampling.temperature < GREEDY_TEMPERATURE

    @property
    def penalised(self) -> bool:
        """Whether earlier tokens change the logits."""
        sampling = self.sampling
        return (
            sampling.repetition_penalty != 1.0
            or sampling.presence_penalty != 0.0
            or sampling.frequency_penalty != 0.0
        )

    @property
    def wants_logprobs(self) -> bool:
        """Whether the answer must carry log-probabilities."""
        return self.logprobs or self.top_logprobs > 0


@dataclass(frozen=True, slots=True, eq=False)
class PlanRow:
    """The share of one request in a step. Rows are equal only to themselves, however alike they are.

    `token_ids` are computed now, the first at position `start`; `blocks` hold the positions 0 to
    `start + len(token_ids)`; `place` is None for the base. `sampling` is None while the prompt is unfinished.
    `request_id` is for people and never looked up.
    """

    request_id: str
    token_ids: Sequence[int]
    start: int
    blocks: Sequence[int]
    place: Place | None
    sampling: SamplingRow | None


@dataclass(frozen=True, slots=True)
class Plan:
    """The rows of one step. The runner may compute them in any order and returns results in this one."""

    rows: tuple[PlanRow, ...]

    @property
    def tokens(self) -> int:
        """How many tokens the step computes."""
        return sum(len(row.token_ids) for row in self.rows)

    def alone(self) -> list["Plan"]:
        """Returns the same work as one plan for each row, to find the row that fails."""
        return [Plan((row,)) for row in self.rows]


@dataclass(frozen=True, slots=True)
class SampledToken:
    """A row's token. With a non-empty `error` there is none: `token_id` is -1, the row's request must end."""

    token_id: int
    logprob: TokenLogprob | None = None
    error: str = ""
