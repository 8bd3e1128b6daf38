"""Six adapters over fewer slots, callers that leave, few blocks, one name re-pointed: never a wrong token.

All adapters carry the same name with different versions, as after moves of one alias: only digests tell
them apart.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForCausalLM

from oracle.engines import Collector, open_engine
from oracle.peft_oracle import AdapterShape, PeftOracle, write_adapter
from parfocal.engine import AdapterKey, EngineConfig, FinishReason, Request, Stop
from parfocal.engine.engine import Engine

RANKS = {"d1": 4, "d2": 8, "d3": 16, "d4": 64, "d5": 8, "d6": 5}
NEW_TOKENS = 12
_RESTING = {"device": "ready", "host": "staged"}
TOKEN_BYTES = 2 * 3 * 2 * 32 * 4  # keys and values, layers, heads, dimensions, float32


@dataclass
class Stage:
    """A real engine with few slots, and PEFT's answers to a few prompts under every adapter."""

    engine: Engine
    oracle: PeftOracle
    prompts: list[tuple[int, ...]]
    slots: int
    host_bytes: int

    def __post_init__(self) -> None:
        self.right = functools.cache(self._right)
        self.made = 0

    def _right(self, prompt: int, digest: str) -> list[int]:
        return self.oracle.greedy(self.prompts[prompt], digest, NEW_TOKENS)


@dataclass(frozen=True)
class Call:
    """One caller: what it asks, before which step it arrives, and after how many it leaves, if it does."""

    prompt: int
    digest: str
    arrives: int
    leaves: int | None


calls = st.builds(
    Call,
    prompt=st.integers(0, 3),
    digest=st.sampled_from(["", *RANKS]),
    arrives=st.integers(0, 12),
    leaves=st.none() | st.integers(0, 20),
)


# Slots, and how many adapters of rank 16 host memory holds.
TIERS = [(2, 0), (2, 2), (1, 1), (2, 100)]


@pytest.fixture(scope="module", params=TIERS, ids=lambda tiers: f"{tiers[0]} slots, {tiers[1]} on the host")
def stage(
    request: pytest.FixtureRequest, llama_base: Path, tmp_path_factory: pytest.TempPathFactory
) -> Stage:
    slots, on_host = request.param
    root = tmp_path_factory.mktemp("adapters")
    folders = {
        digest: write_adapter(root / digest, llama_base, AdapterShape(rank), seed)
        for seed, (digest, rank) in enumerate(RANKS.items(), start=1)
    }
    config = EngineConfig(
        device="cpu",
        dtype="float32",
        slots=slots,
        host_cache_bytes=on_host * _adapter_bytes(llama_base),
        max_requests=5,
        max_batch_tokens=40,
        max_skips=2,
        block_tokens=8,
        kv_cache_bytes=24 * 8 * TOKEN_BYTES,
    )
    torch.manual_seed(3)
    shared = torch.randint(256, (30,)).tolist()
    prompts = [(*shared, *torch.randint(256, (n,)).tolist()) for n in (1, 9, 25)]
    prompts.append(tuple(torch.randint(256, (5,)).tolist()))
    return Stage(
        open_engine(llama_base, folders, config),
        PeftOracle(llama_base, folders),
        prompts,
        slots,
        config.host_cache_bytes or 0,
    )


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=st.lists(calls, min_size=1, max_size=9))
def test_churn_never_changes_a_token_and_leaks_nothing(stage: Stage, plan: list[Call]) -> None:
    collector, names = Collector(), {}
    stage.made += 1
    for step in range(2000):
        for number, call in enumerate(plan):
            name = f"r{stage.made}-{number}"
            if call.arrives == step:
                names[name] = call
                stage.engine.submit(_request(stage, call, name), functools.partial(collector.emit, name))
            if call.leaves is not None and call.arrives + call.leaves == step:
                stage.engine.cancel(name)
        if not stage.engine.step():
            stage.engine.wait(0.002)
        if collector.ended == len(plan):
            break

    assert not collector.errors
    assert set(collector.completions) == set(names), "a request was lost"
    for name, done in collector.completions.items():
        right = stage.right(names[name].prompt, names[name].digest)
        if done.finish_reason is FinishReason.CANCELLED:
            assert list(done.token_ids) == right[: len(done.token_ids)]
        else:
            assert list(done.token_ids) == right
    _check_rest(stage)


def _request(stage: Stage, call: Call, name: str) -> Request:
    version = list(RANKS).index(call.digest) + 1 if call.digest else 0
    adapter = AdapterKey(call.digest, "team/invoices", version) if call.digest else None
    return Request(
        name, stage.prompts[call.prompt], adapter, stop=Stop(max_tokens=NEW_TOKENS, ignore_eos=True)
    )


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
