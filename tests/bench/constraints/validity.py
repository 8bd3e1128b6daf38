"""A thousand answers of the base `tiny` under fifty schemas, free requests among them: is every one valid?"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bench.constraints.engine_stand import EngineStand
from bench.constraints.samples import SCHEMAS, fault
from parfocal.engine import Completion, EngineConfig, Request, Sampling, Stop
from parfocal.engine.constraints import JsonSchema
from parfocal.registry import locate_base

_EACH = 20
_BATCH = 48
_MOST_TOKENS = 960
_SAMPLINGS = (
    Sampling(),
    Sampling(temperature=0.7),
    Sampling(temperature=1.0, top_p=0.9),
    Sampling(temperature=1.3, top_k=40, min_p=0.02),
    Sampling(temperature=0.8, repetition_penalty=1.2, presence_penalty=0.5),
)


@dataclass
class Validity:
    """How the answers ended, and what was wrong with any that said that it was all that was asked for."""

    schemas: Mapping[str, Any]
    ends: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    cut: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    seconds: float = 0.0
    free: int = 0

    def add(self, name: str, item: Completion | Exception) -> None:
        """Judges one answer."""
        if isinstance(item, Exception):
            self.ends[type(item).__name__] += 1
            self.faults.append(f"{name}: {item}")
            return
        self.tokens += len(item.token_ids)
        self.ends["complete" if item.constraint_met else f"cut ({item.finish_reason.value})"] += 1
        if not item.constraint_met:
            self.cut[name] += 1
        elif found := fault(item.text, self.schemas[name]):
            self.faults.append(f"{name}: {item.text[:200]!r}: {found}")


def measure(schemas: Mapping[str, Any] = SCHEMAS) -> Validity:
    """Runs every schema twenty times, sampled in five ways; every twelfth request of a batch is free."""
    config = EngineConfig(device="cpu", max_requests=_BATCH, dtype="float32")
    stand = EngineStand(locate_base("tiny", weights=True).folder, {}, config)
    asked = [(name, number) for number in range(_EACH) for name in schemas]
    found = Validity(schemas)
    for first in range(0, len(asked), _BATCH):
        _run(stand, asked[first : first + _BATCH], found)
    stand.close()
    return found


def _run(stand: EngineStand, asked: list[tuple[str, int]], found: Validity) -> None:
    held = [_request(stand, found.schemas[name], name, number) for name, number in asked]
    free = [replace(held[row], request_id=f"free {row}", constraint=None) for row in range(0, len(held), 12)]
    items, seconds = stand.run([*held, *free])
    found.seconds += seconds
    found.free += len(free)
    for (name, _), item in zip(asked, items, strict=False):
        found.add(name, item)


def _request(stand: EngineStand, schema: Any, name: str, number: int) -> Request:
    prompt = f"Write {name} number {number} as JSON."
    return Request(
        f"{name} {number}",
        tuple(stand.base.tokenizer(prompt)["input_ids"]),
        sampling=replace(_SAMPLINGS[number % len(_SAMPLINGS)], seed=number),
        stop=Stop(max_tokens=_MOST_TOKENS),
        constraint=stand.compile(JsonSchema(json.dumps(schema))),
    )
