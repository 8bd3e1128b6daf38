"""What drawing one token needs, and what comes of it. Plain values: no torch."""

from collections.abc import Sequence
from dataclasses import dataclass

from parfocal.engine.request import Sampling, TokenLogprob

# Below this a temperature means greedy: dividing by it would leave one token anyway, or overflow.
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


@dataclass(frozen=True, slots=True)
class SampledToken:
    """A row's token. With a non-empty `error` there is none: `token_id` is -1, the row's request must end."""

    token_id: int
    logprob: TokenLogprob | None = None
    error: str = ""
