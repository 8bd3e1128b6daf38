"""What a bench asks for: how many requests, on which adapters, how long. Values only; knows no server."""

import random
from dataclasses import dataclass

from .errors import BadWorkload
from .shapes import Shape, shape_named

# Timed rounds have numbers from 0; a warm-up's prompts must not be among theirs.
WARMUP_ROUND = 1_000_000


@dataclass(frozen=True, slots=True)
class Workload:
    """One bench: `requests` at once, adapters in turn, every answer exactly `new_tokens` long and greedy.

    `repeats` timed rounds follow `warmup` untimed ones. No two rounds share a prompt, so that a prefix cache
    saves nobody any work.
    """

    shape: str = "llama-135m"
    requests: int = 16
    adapters: int = 16
    rank: int = 16
    prompt_tokens: int = 128
    new_tokens: int = 64
    dtype: str = "auto"
    warmup: int = 1
    repeats: int = 1
    seed: int = 0

    def sizes(self) -> Shape:
        """Returns the base's sizes. Raises BadWorkload for an unknown name."""
        return shape_named(self.shape)

    def check(self) -> None:
        """Raises BadWorkload for what cannot be run."""
        shape = self.sizes()
        for name in ("requests", "adapters", "rank", "prompt_tokens", "new_tokens", "repeats"):
            if getattr(self, name) < 1:
                raise BadWorkload(f"{name} is {getattr(self, name)}; it must be at least 1", field=name)
        if self.warmup < 0:
            raise BadWorkload(f"warmup is {self.warmup}; it must not be negative", field="warmup")
        if self.prompt_tokens + self.new_tokens > shape.context_tokens:
            raise BadWorkload(
                f"{self.prompt_tokens} prompt and {self.new_tokens} new tokens exceed the "
                f"{shape.context_tokens} tokens of {shape.name}; ask for fewer",
                field="prompt_tokens",
            )

    @property
    def distinct_adapters(self) -> int:
        """Returns how many adapters one round uses."""
        return min(self.adapters, self.requests)

    @property
    def generated_tokens(self) -> int:
        """Returns how many tokens one round generates."""
        return self.requests * self.new_tokens

    def adapter_names(self) -> tuple[str, ...]:
        """Returns the names under which the adapters are published."""
        return tuple(f"bench/adapter-{number}" for number in range(self.adapters))


@dataclass(frozen=True, slots=True)
class Call:
    """One request of a round: its prompt's token ids and the adapter it names; "" is the base."""

    prompt_ids: tuple[int, ...]
    adapter: str


def calls_of_round(workload: Workload, number: int, base_only: bool) -> list[Call]:
    """Returns the requests of a round; the same workload and number give the same prompts every time."""
    vocabulary = workload.sizes().vocabulary
    draw = random.Random(f"{workload.seed}/{number}/{base_only}")
    names = workload.adapter_names()
    return [
        Call(
            tuple(draw.randrange(vocabulary) for _ in range(workload.prompt_tokens)),
            "" if base_only else names[index % workload.adapters],
        )
        for index in range(workload.requests)
    ]
