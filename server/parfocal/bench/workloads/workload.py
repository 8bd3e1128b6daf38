"""What a bench asks for: how many requests, on which adapters, how long. Values only; knows no server."""

import math
from dataclasses import dataclass

from parfocal.bench.errors import BadWorkload
from parfocal.bench.workloads.shapes import Shape, shape_named

# Timed rounds have numbers from 0; a warm-up's prompts must not be among theirs.
WARMUP_ROUND = 1_000_000
# Where requests come one by one, not all of them run at once; a batch has at most so many unless it is told.
_OPEN_BATCH = 64
_ACTIVATION_BITS = (8, 13)
# Far beyond what a bench is for; without a limit, a typo could fill the memory.
_AT_MOST = 1_000_000
_AT_LEAST_ONE = ("requests", "adapters", "rank", "prompt_tokens", "new_tokens", "repeats")
_AT_LEAST_ONE_IF_GIVEN = ("shortest_prompt", "slots", "max_requests", "in_flight")


@dataclass(frozen=True, slots=True)
class Workload:
    """One bench: `requests`, every answer exactly `new_tokens` long and greedy.

    `repeats` timed rounds follow `warmup` untimed ones. No two rounds share a prompt, so that a prefix cache
    saves nobody any work but what `shared_prefix` promises: so many first tokens are equal among the requests
    of one adapter.

    Prompts have `prompt_tokens`, or anything from `shortest_prompt` to that. Adapters have `rank`, or `ranks`
    in turn; requests name the adapters in turn, or as popular as `zipf` makes them. They come at once; or
    `in_flight` at once and another whenever one is answered; or at `rate` per second; or at `rate_share` of
    the rate that the server just manages. The server has `slots` for adapters (as many as there are) and runs
    `max_requests` in a batch. `sweep` holds the numbers of adapters for which the rounds are repeated.
    """

    shape: str = "llama-135m"
    requests: int = 16
    adapters: int = 16
    rank: int = 16
    prompt_tokens: int = 128
    new_tokens: int = 64
    dtype: str = "auto"
    adapter_dtype: str = "auto"
    kernels: str = "auto"
    activation_bits: int = 13
    warmup: int = 1
    repeats: int = 1
    seed: int = 0
    ranks: tuple[int, ...] = ()
    shortest_prompt: int | None = None
    shared_prefix: int = 0
    zipf: float | None = None
    rate: float | None = None
    rate_share: float | None = None
    in_flight: int | None = None
    slots: int | None = None
    max_requests: int | None = None
    sweep: tuple[int, ...] = ()

    def sizes(self) -> Shape:
        """The base's sizes. Raises BadWorkload for an unknown name."""
        return shape_named(self.shape)

    def check(self) -> None:
        """Raises BadWorkload for what cannot be run."""
        shape = self.sizes()
        self._check_numbers()
        self._check_prompts()
        self._check_adapters()
        if self.prompt_tokens + self.new_tokens > shape.context_tokens:
            raise BadWorkload(
                f"{self.prompt_tokens} prompt and {self.new_tokens} new tokens exceed the "
                f"{shape.context_tokens} tokens of {shape.name}; ask for fewer",
                field="prompt_tokens",
            )

    @property
    def is_open(self) -> bool:
        """Whether requests come when they like, and not when there is room for them."""
        return self.rate is not None or self.rate_share is not None

    @property
    def batch(self) -> int:
        """How many requests the server runs at once, at most."""
        usual = self.in_flight or (_OPEN_BATCH if self.is_open else self.requests)
        return min(self.requests, self.max_requests or usual)

    @property
    def server_slots(self) -> int:
        """How many adapters fit on the server's device."""
        return self.slots or self.adapters

    @property
    def shortest(self) -> int:
        """The length of the shortest prompt that may be drawn."""
        return self.shortest_prompt or self.prompt_tokens

    @property
    def generated_tokens(self) -> int:
        """How many tokens one round generates."""
        return self.requests * self.new_tokens

    def adapter_names(self) -> tuple[str, ...]:
        """The names under which the adapters are published."""
        return tuple(f"bench/adapter-{number}" for number in range(self.adapters))

    def rank_of(self, number: int) -> int:
        """The rank of the adapter of this number."""
        return self.ranks[number % len(self.ranks)] if self.ranks else self.rank

    def _check_numbers(self) -> None:
        given = [name for name in _AT_LEAST_ONE_IF_GIVEN if getattr(self, name) is not None]
        for name in (*_AT_LEAST_ONE, *given):
            if getattr(self, name) < 1:
                raise BadWorkload(f"{name} is {getattr(self, name)}; it must be at least 1", field=name)
        for name in (*_AT_LEAST_ONE, *given, "warmup", "shared_prefix"):
            if getattr(self, name) > _AT_MOST:
                raise BadWorkload(
                    f"{name} is {getattr(self, name)}; a bench goes up to {_AT_MOST}", field=name
                )
        for name in ("warmup", "shared_prefix"):
            if getattr(self, name) < 0:
                raise BadWorkload(f"{name} is {getattr(self, name)}; it must not be negative", field=name)
        if self.activation_bits not in _ACTIVATION_BITS:
            raise BadWorkload(
                f"activation_bits is {self.activation_bits}; it is {' or '.join(map(str, _ACTIVATION_BITS))}",
                field="activation_bits",
            )
        self._check_rate()
        if self.zipf is not None and not 0.0 <= self.zipf < math.inf:
            raise BadWorkload(f"zipf is {self.zipf:g}; give an exponent from 0 (all equal) up", field="zipf")

    def _check_rate(self) -> None:
        if self.rate is not None and not 0.0 < self.rate < math.inf:
            raise BadWorkload(f"rate is {self.rate:g}; give a number of requests per second", field="rate")
        if self.rate_share is not None and not 0.0 < self.rate_share < math.inf:
            raise BadWorkload(
                f"rate is {self.rate_share:.0%} of saturation; give a share above 0 %, such as 50%",
                field="rate",
            )
        if self.is_open and self.in_flight is not None:
            raise BadWorkload(
                "rate and in_flight are both given; requests come at a rate or when others end",
                field="in_flight",
            )

    def _check_prompts(self) -> None:
        if self.shortest > self.prompt_tokens:
            raise BadWorkload(
                f"prompts from {self.shortest} to {self.prompt_tokens} tokens have no length; "
                f"give {self.prompt_tokens}-{self.shortest}",
                field="prompt_tokens",
            )
        if self.shared_prefix >= self.shortest:
            raise BadWorkload(
                f"shared_prefix is {self.shared_prefix}, but the shortest prompt has {self.shortest} tokens, "
                "and some of its own must remain; share fewer or ask for longer prompts",
                field="shared_prefix",
            )

    def _check_adapters(self) -> None:
        if min(self.ranks, default=1) < 1:
            raise BadWorkload(f"a rank is {min(self.ranks)}; it must be at least 1", field="ranks")
        if len(self.ranks) > self.adapters:
            raise BadWorkload(
                f"ranks names {len(self.ranks)} ranks for {self.adapters} adapters; "
                f"name fewer or ask for {len(self.ranks)} adapters",
                field="ranks",
            )
        most = self.adapters if self.is_open else min(self.adapters, self.requests)
        for count in self.sweep:
            if not 1 <= count <= most:
                raise BadWorkload(
                    f"sweep asks for {count} distinct adapters, but {self.requests} requests on "
                    f"{self.adapters} adapters can name 1 to {most}; ask for more of both or sweep less far",
                    field="sweep",
                )
