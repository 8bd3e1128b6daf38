"""What a constraint adds to a step: the same rows with and without one, in turn, in one run."""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tokenizers import Tokenizer

from bench.constraints.engine_stand import EngineStand
from bench.constraints.samples import SCHEMAS
from parfocal.engine import Completion, EngineConfig, Request, Sampling, Stop
from parfocal.engine.constraints import Constraint, JsonSchema

# Arrays of objects, so that the answers go on as long as they are let.
_LONG = ("order", "person", "ticket", "entities", "recipe", "weather", "address", "call")
_PROMPT = tuple(range(10, 42))


@dataclass(frozen=True)
class Taken:
    """Seconds a token, of the clock and of the processor: the second counts no other process."""

    wall: float
    processor: float


@dataclass
class Cost:
    """What each round took, held and free; `rows` at once, each of `tokens`."""

    rows: int
    tokens: int
    held: list[Taken] = field(default_factory=list)
    free: list[Taken] = field(default_factory=list)

    def shares(self, of: Callable[[Taken], float]) -> list[float]:
        """What the constraints add in each round, as shares of a free step."""
        return [of(held) / of(free) - 1 for held, free in zip(self.held, self.free, strict=True)]

    @property
    def step_ms(self) -> float:
        """A free step, in milliseconds."""
        return 1000 * self.rows * statistics.median(taken.wall for taken in self.free)


@dataclass(frozen=True)
class Setting:
    """What is measured: a base, the tokenizer whose texts its tokens stand for, rows, tokens, rounds."""

    base: Path
    tokenizer: Path | None
    rows: int
    tokens: int
    rounds: int
    greedy: bool


def measure(setting: Setting) -> Cost:
    """Runs the rounds after one that warms up, each pair in turn begun by the other one."""
    config = EngineConfig(device="cpu", max_requests=setting.rows, prefix_cache=True)
    tokenizer = None if setting.tokenizer is None else Tokenizer.from_file(str(setting.tokenizer))
    stand = EngineStand(setting.base, {}, config, tokenizer)
    constraints = [stand.compile(JsonSchema(_endless(name))) for name in _LONG]
    cost = Cost(setting.rows, setting.tokens)
    for number in range(setting.rounds + 1):
        turns: list[tuple[list[Taken], Sequence[Constraint | None]]] = [
            (cost.held, constraints),
            (cost.free, [None]),
        ]
        for taken, held in turns if number % 2 else reversed(turns):
            found = _round(stand, setting, number, held)
            if number:
                taken.append(found)
    stand.close()
    return cost


def _endless(name: str) -> str:
    """The schema, for as many as fit."""
    inside = dict(SCHEMAS[name])
    outside = {key: inside.pop(key) for key in ("$defs",) if key in inside}
    return json.dumps({"type": "array", "items": inside, "minItems": 1000, **outside})


def _round(stand: EngineStand, setting: Setting, number: int, held: Sequence[Constraint | None]) -> Taken:
    sampling = Sampling() if setting.greedy else Sampling(temperature=1.0)
    requests = [
        Request(
            f"{row}",
            (*_PROMPT, 42 + row),
            sampling=replace(sampling, seed=number * 100 + row),
            stop=Stop(max_tokens=setting.tokens, ignore_eos=True),
            constraint=held[row % len(held)],
        )
        for row in range(setting.rows)
    ]
    begun = time.process_time()
    items, seconds = stand.run(requests)
    processor = time.process_time() - begun
    tokens = sum(len(item.token_ids) for item in items if isinstance(item, Completion))
    assert tokens == setting.rows * setting.tokens, [item for item in items if isinstance(item, Exception)]
    return Taken(seconds / tokens, processor / tokens)
