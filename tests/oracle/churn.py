"""Six adapters and two blends over fewer slots, callers that leave: every token is held against PEFT's.

All adapters carry the same name with different versions, as after moves of one alias: only digests tell
them apart.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from oracle.engines import Collector, open_engine
from oracle.peft_oracle import AdapterShape, PeftOracle, write_adapter
from parfocal.engine import AdapterKey, EngineConfig, FinishReason, Request, Stop, blend
from parfocal.engine.engine import Engine
from parfocal.engine.live import LiveRequest

RANKS = {"d1": 4, "d2": 8, "d3": 16, "d4": 64, "d5": 8, "d6": 5}
BLENDS = {"d2+d5": {"d2": 0.5, "d5": 0.75}, "d1+d3+d6": {"d1": 1.0, "d3": -0.5, "d6": 0.25}}
PROMPTS = 4
_NEW_TOKENS = 12
_RESTING = {"device": "ready", "host": "staged"}
_TOKEN_BYTES = 2 * 3 * 2 * 32 * 4  # keys and values, layers, heads, dimensions, float32


@dataclass(frozen=True)
class Tiers:
    """How many adapters the device holds, and how many of rank 16 host memory does."""

    slots: int
    on_host: int


@dataclass(frozen=True)
class Call:
    """One caller: what it asks, before which step it arrives, and after how many it leaves, if it does."""

    prompt: int
    digest: str
    arrives: int
    leaves: int | None


@dataclass(frozen=True)
class Cast:
    """Who plays on every stage: the small Llama, its adapters by digest, and PEFT with all of them."""

    base: Path
    folders: dict[str, Path]
    oracle: PeftOracle
    device: str


@dataclass
class Stage:
    """A real engine with few slots, and PEFT's answers to a few prompts under every adapter."""

    engine: Engine
    oracle: PeftOracle
    prompts: list[tuple[int, ...]]
    slots: int
    host_bytes: int
    made: int = 0

    def right(self, prompt: int, digest: str) -> list[int]:
        """Returns the tokens of a whole answer."""
        return self.oracle.greedy(self.prompts[prompt], digest, _NEW_TOKENS)


def write_cast(base: Path, root: Path, device: str = "cpu") -> Cast:
    """Writes the adapters under `root`."""
    folders = {
        digest: write_adapter(root / digest, base, AdapterShape(rank), seed)
        for seed, (digest, rank) in enumerate(RANKS.items(), start=1)
    }
    oracle = PeftOracle(base, folders, device)
    for name, parts in BLENDS.items():
        oracle.blend(name, parts)
    return Cast(base, folders, oracle, device)


def open_stage(cast: Cast, tiers: Tiers) -> Stage:
    """Returns a stage for the cast."""
    config = EngineConfig(
        device=cast.device,
        dtype="float32",
        slots=tiers.slots,
        host_cache_bytes=tiers.on_host * _adapter_bytes(cast.base),
        max_requests=5,
        max_batch_tokens=40,
        max_skips=2,
        block_tokens=8,
        kv_cache_bytes=24 * 8 * _TOKEN_BYTES,
    )
    torch.manual_seed(3)
    shared = torch.randint(256, (30,)).tolist()
    prompts = [(*shared, *torch.randint(256, (n,)).tolist()) for n in (1, 9, 25)]
    prompts.append(tuple(torch.randint(256, (5,)).tolist()))
    assert len(prompts) == PROMPTS
    return Stage(
        open_engine(cast.base, cast.folders, config),
        cast.oracle,
        prompts,
        tiers.slots,
        config.host_cache_bytes or 0,
    )


def check_churn(stage: Stage, plan: Sequence[Call]) -> None:
    """Lets the callers come and leave; raises for a wrong token, a lost request, or what is still held."""
    collector, names = Collector(), dict[str, Call]()
    lives = dict[str, LiveRequest]()
    stage.made += 1
    for step in range(2000):
        for number, call in enumerate(plan):
            name = f"r{stage.made}-{number}"
            if call.arrives == step:
                names[name] = call
                emit = functools.partial(collector.emit, name)
                lives[name] = stage.engine.submit(_request(stage, call, name), emit)
            if call.leaves is not None and call.arrives + call.leaves == step:
                stage.engine.cancel(lives[name])
        if not stage.engine.step():
            stage.engine.wait(0.002)
        if collector.ended == len(plan):
            break

    assert not collector.errors and not collector.faults
    assert set(collector.completions) == set(names), "a request was lost"
    for name, done in collector.completions.items():
        right = stage.right(names[name].prompt, names[name].digest)
        if done.finish_reason is FinishReason.CANCELLED:
            assert list(done.token_ids) == right[: len(done.token_ids)]
        else:
            assert list(done.token_ids) == right
    _check_rest(stage)


def _request(stage: Stage, call: Call, name: str) -> Request:
    stop = Stop(max_tokens=_NEW_TOKENS, ignore_eos=True)
    return Request(name, stage.prompts[call.prompt], _adapter(call.digest), stop=stop)


def _adapter(digest: str) -> AdapterKey | None:
    if digest in BLENDS:
        return blend([(_known(part), weight) for part, weight in BLENDS[digest].items()])
    return _known(digest) if digest else None


def _known(digest: str) -> AdapterKey:
    return AdapterKey(digest, "team/invoices", list(RANKS).index(digest) + 1)


def _check_rest(stage: Stage) -> None:
    engine = stage.engine
    assert engine.live == 0
    while any(status.state != _RESTING[status.tier] for status in engine.adapters()):
        engine.wait(0.01)
    assert all(status.pins == 0 for status in engine.adapters())
    assert sum(status.tier == "device" for status in engine.adapters()) <= stage.slots
    assert sum(status.host_bytes for status in engine.adapters()) <= stage.host_bytes
    assert engine.pool.free == engine.pool.total


def _adapter_bytes(base: Path) -> int:
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(base))
    linears = [m for m in model.model.modules() if isinstance(m, torch.nn.Linear)]
    return sum(4 * 16 * (m.in_features + m.out_features) for m in linears)
