"""What a caller asks of the engine and what it gets back. Plain values: no torch, no wire, no registry."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from parfocal.engine.constraints import Constraint


class FinishReason(enum.Enum):
    """Why a request ended."""

    STOP = "stop"  # an end-of-sequence or stop token
    LENGTH = "length"  # max_tokens, or the context is full
    STOP_STRING = "stop_string"
    CANCELLED = "cancelled"
    DEADLINE = "deadline"


class Pooling(enum.Enum):
    """Which hidden states after the final norm become a request's embedding."""

    MEAN = "mean"  # the mean over all tokens of the prompt
    LAST = "last"  # the last token's


@dataclass(frozen=True, slots=True)
class AdapterKey:
    """An adapter as the engine knows it: its content digest is its only identity, also for `==` and `hash`.

    `name` and `version` are carried for people (metrics, logs, replies) and never looked up. A blend has
    `parts`: adapters and their weights; `blend` makes one.

    >>> AdapterKey("sha256:1", "team/old", 1) == AdapterKey("sha256:1", "team/new", 7)
    True
    """

    digest: str
    name: str = field(default="", compare=False)
    version: int = field(default=0, compare=False)
    parts: tuple[tuple["AdapterKey", float], ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are sampled. The default is greedy: temperature 0.

    `top_k` 0 and `top_p` 1.0 mean no limit. Penalties follow the OpenAI (presence, frequency) and CTRL
    (repetition, arXiv 1909.05858) definitions. The same `seed` draws the same random numbers whatever shares
    the batch, and so the same tokens from the same logits: see `EngineConfig.deterministic`.

    `logit_bias` is added to the logits of these token ids, -100 to 100, before all else (penalties, bans,
    temperature), also where the likeliest token is taken.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None
    # Not hashed: a mapping need not be hashable.
    logit_bias: Mapping[int, float] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Stop:
    """When a request ends. `max_tokens` None means: up to the context's end.

    With 0 nothing is generated: for requests that only want to know something of their prompt.
    """

    max_tokens: int | None = None
    min_tokens: int = 0
    strings: tuple[str, ...] = ()
    token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One generation. `prompt_ids` are token ids; `deadline` is a `time.monotonic()` instant in seconds.

    `logprobs` asks for the chosen token's log-probability, `top_logprobs` for that many of the likeliest
    beside it; both are of the model's own distribution, before bias, penalties, constraint and temperature.
    The answer is held to `constraint`, which `ConstraintCompiler` makes.

    `prompt_logprobs` asks for the same of every prompt token but the first, with that many of the likeliest
    (0: its own alone). `pooling` asks for an embedding of the prompt, `normalised` to the length 1 or not;
    nothing is generated then. Both but `Pooling.LAST` compute the whole prompt, whatever the prefix cache
    holds; later requests find it there.
    """

    request_id: str
    prompt_ids: tuple[int, ...]
    adapter: AdapterKey | None = None
    sampling: Sampling = field(default_factory=Sampling)
    stop: Stop = field(default_factory=Stop)
    logprobs: bool = False
    top_logprobs: int = 0
    deadline: float | None = None
    constraint: Constraint | None = None
    prompt_logprobs: int | None = None
    pooling: Pooling | None = None
    normalised: bool = True


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token with its natural-log probability; `top` lists the likeliest tokens at that place."""

    token_id: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds that a request spent queued, waiting for its adapter, on its prompt, and on its answer.

    `load` is the part of `queue` in which only the adapter was missing.
    """

    queue: float = 0.0
    load: float = 0.0
    prefill: float = 0.0
    decode: float = 0.0


@dataclass(frozen=True, slots=True)
class Completion:
    """The whole result of a request. `cached_tokens` prompt tokens came from the prefix cache.

    `constraint_met` is whether the text is all that the request's constraint asks for: False for an answer
    that was cut, by `max_tokens` for example, None where there was no constraint.

    `prompt_logprobs` has an entry for each prompt token, None for the first, if they were asked for;
    `embedding` are the pooled hidden states, if they were.
    """

    request_id: str
    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    stop_string: str
    logprobs: tuple[TokenLogprob, ...]
    prompt_tokens: int
    cached_tokens: int
    timings: Timings
    adapter: AdapterKey | None
    constraint_met: bool | None = None
    prompt_logprobs: Sequence[TokenLogprob | None] = ()
    embedding: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Delta:
    """What has become certain since the last delta: text that no stop string can cut any more, and its
    tokens.

    The first delta has `prompt_logprobs`, if they were asked for; the last has `completion`.
    """

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[TokenLogprob, ...] = ()
    completion: Completion | None = None
    prompt_logprobs: Sequence[TokenLogprob | None] = ()
