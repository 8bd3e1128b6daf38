"""What one step computes, and how its rows lie in the flat batch, sorted by adapter: plain values.

The seam between the scheduler (no torch) and the runner (no queues).
"""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from parfocal.engine.adapters import Place
from parfocal.engine.constraints import ConstraintState
from parfocal.engine.errors import EngineError
from parfocal.engine.request import Pooling, Sampling, TokenLogprob

# Below this, temperature means greedy: dividing by it would leave one token anyway, or overflow.
GREEDY_TEMPERATURE = 1e-5


@dataclass(frozen=True, slots=True)
class LogitBias:
    """What is added to the logits of some token ids, laid out once for all steps of a request."""

    ids: "array[int]"
    values: "array[float]"

    @classmethod
    def of(cls, biases: Mapping[int, float]) -> "LogitBias | None":
        """The biases by token id; None if there are none."""
        return cls(array("q", biases), array("f", biases.values())) if biases else None


@dataclass(frozen=True, slots=True)
class SamplingRow:
    """What one row of logits needs.

    `position` counts the tokens generated so far; with `draw_seed` (the request's seed, or one chosen at
    random for it) it fixes the row's random number. `banned_ids` may not be drawn now. `output_ids` are the
    generated tokens; penalties read them, and which tokens are among `prompt_ids`. `constraint` says which
    tokens may be drawn; `bias` are `sampling`'s, laid out.
    """

    sampling: Sampling
    position: int
    prompt_ids: Sequence[int]
    output_ids: Sequence[int]
    banned_ids: tuple[int, ...]
    logprobs: bool
    top_logprobs: int
    draw_seed: int
    constraint: ConstraintState | None = None
    bias: LogitBias | None = None

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
    def follows_unseen(self) -> bool:
        """Whether its token can be drawn before the host knows the one before."""
        return self.constraint is None and not self.penalised

    @property
    def wants_logprobs(self) -> bool:
        """Whether the answer must carry log-probabilities."""
        return self.logprobs or self.top_logprobs > 0


@dataclass(frozen=True, slots=True)
class Reading:
    """What is to be read of a row's prompt tokens, from its token `first` up to `end` (exclusive).

    `targets` are the prompt tokens that follow them, of which log-probabilities are wanted, with `top` of the
    likeliest each: none, or one for each token but a prompt's last. `pooling` is how the tokens' hidden
    states are pooled.
    """

    first: int
    end: int
    targets: Sequence[int]
    top: int
    pooling: Pooling | None


@dataclass(frozen=True, slots=True)
class PromptRead:
    """What was read: log-probabilities of the targets, as many times `top` ids and theirs, pooled states.

    `states` [hidden] are the sum of the tokens' states, or the last one's; empty if they are not pooled.
    """

    logprobs: "array[float]"
    top_ids: "array[int]"
    top_logprobs: "array[float]"
    states: Sequence[float] = ()


@dataclass(frozen=True, slots=True, eq=False)
class PlanRow:
    """The share of one request in a step. Rows are equal only to themselves, however alike they are.

    `token_ids` are computed now, the first at position `start`; `blocks` hold the positions 0 to
    `start + len(token_ids)`; `place` is None for the base. `sampling` is None while the prompt is unfinished,
    `reading` unless something is to be read of the prompt. `request_id` is for people and never looked up.

    `follows` is for a plan made before the result of the one before it was known: the place there of the row
    whose token is computed here, instead of `token_ids`, which hold one that says nothing.
    """

    request_id: str
    token_ids: Sequence[int]
    start: int
    blocks: Sequence[int]
    place: Place | None
    sampling: SamplingRow | None
    reading: Reading | None = None
    follows: int | None = None

    @property
    def end(self) -> int:
        """How many tokens it has in the cache after the step."""
        return self.start + len(self.token_ids)


@dataclass(frozen=True, slots=True)
class Plan:
    """The rows of one step. The runner may compute them in any order and returns results in this one."""

    rows: tuple[PlanRow, ...]

    @property
    def tokens(self) -> int:
        """How many tokens the step computes."""
        return sum(len(row.token_ids) for row in self.rows)

    @property
    def is_ahead(self) -> bool:
        """Whether it was made before the result of the plan before it was known."""
        return any(row.follows is not None for row in self.rows)

    def alone(self) -> list["Plan"]:
        """The same work as one plan for each row, to find the row that fails."""
        return [Plan((row,)) for row in self.rows]


@dataclass(frozen=True, slots=True)
class SampledToken:
    """A row's token, and what was read of its prompt. `token_id` is -1 if there is none.

    With a non-empty `error` there is neither, and the row's request must end; `refusal` is what it ends with
    where that is not the model's fault.
    """

    token_id: int
    logprob: TokenLogprob | None = None
    error: str = ""
    refusal: EngineError | None = None
    read: PromptRead | None = None


@dataclass(frozen=True, slots=True)
class LaidRow:
    """A plan row at its place in the flat batch: tokens `start` to `end` (exclusive)."""

    row: PlanRow
    order: int
    start: int
    end: int

    @property
    def tokens(self) -> int:
        """How many tokens the row computes."""
        return self.end - self.start

    @property
    def length(self) -> int:
        """How many tokens the row has in the cache after the step."""
        return self.row.end


@dataclass(frozen=True, slots=True)
class Segment:
    """Neighbouring tokens `start` to `end` (exclusive) that use the adapter at `place`."""

    place: Place
    start: int
    end: int

    @property
    def tokens(self) -> int:
        """The segment's length."""
        return self.end - self.start


def lay_out(plan: Plan) -> list[LaidRow]:
    """Sorts the rows by adapter place, base rows last, so that an adapter's tokens are neighbours."""
    ranked = sorted(enumerate(plan.rows), key=_by_place)
    laid, start = [], 0
    for order, row in ranked:
        laid.append(LaidRow(row, order, start, start + len(row.token_ids)))
        start = laid[-1].end
    return laid


def segments(laid: list[LaidRow]) -> list[Segment]:
    """The tokens of each row that uses an adapter."""
    return [Segment(item.row.place, item.start, item.end) for item in laid if item.row.place is not None]


def merge(found: Sequence[Segment]) -> list[Segment]:
    """Joins neighbouring segments of the same adapter."""
    merged: list[Segment] = []
    for segment in found:
        if merged and merged[-1].place == segment.place and merged[-1].end == segment.start:
            segment = Segment(segment.place, merged.pop().start, segment.end)
        merged.append(segment)
    return merged


def token_places(blocks: Sequence[int], start: int, end: int, block_tokens: int) -> list[int]:
    """Where the tokens at `start` to `end` (exclusive) of a row with these blocks lie in the cache.

    >>> token_places([3, 0], 2, 6, 4)
    [14, 15, 0, 1]
    """
    return [blocks[at // block_tokens] * block_tokens + at % block_tokens for at in range(start, end)]


def written_places(laid: Sequence[LaidRow], block_tokens: int) -> list[int]:
    """The cache place of each token's key and value in a step."""
    return [
        place
        for item in laid
        for place in token_places(item.row.blocks, item.row.start, item.length, block_tokens)
    ]


def _by_place(item: tuple[int, PlanRow]) -> tuple[int, int, int]:
    order, row = item
    return (row.place.slab, row.place.index, order) if row.place else (1 << 30, 0, order)
