"""A mixed batch says what PEFT says for each request alone, token by token, on every architecture."""

from pathlib import Path

import pytest
import torch

from oracle.bases import configurations, write_base
from oracle.engines import open_engine, run_all
from oracle.peft_oracle import AdapterShape, PeftOracle, write_adapter
from parfocal.engine import AdapterKey, EngineConfig, Request, Stop

ADAPTERS = {
    "r4": AdapterShape(4),
    "r8": AdapterShape(8, alpha=32, options={"use_rslora": True}),
    "r16": AdapterShape(16),
    "r64": AdapterShape(64, alpha=64),
    "pattern": AdapterShape(
        8, options={"rank_pattern": {"layers.1.self_attn.o_proj": 5}, "alpha_pattern": {"down_proj": 24}}
    ),
}
NEW_TOKENS = 20


def _requests(seed: int) -> list[Request]:
    """Eight requests: five adapters, one twice with a shared prefix, and base rows; mixed lengths."""
    torch.manual_seed(seed)
    names = ["r4", "r8", "r16", "r64", "pattern", "", "", "r16"]
    prompts = [torch.randint(256, (n,)).tolist() for n in (3, 17, 40, 61, 90, 9, 33, 70)]
    prompts[7][:40] = prompts[2]
    return [
        Request(
            request_id=f"q{number}",
            prompt_ids=tuple(prompt),
            adapter=AdapterKey(name) if name else None,
            stop=Stop(max_tokens=NEW_TOKENS, ignore_eos=True),
        )
        for number, (name, prompt) in enumerate(zip(names, prompts, strict=True))
    ]


@pytest.mark.parametrize(
    ("kernels", "unpack_bytes"),
    [("auto", None), ("torch", None), ("torch", 0)],
    ids=["native", "unpacked", "packed"],
)
@pytest.mark.parametrize("architecture", configurations())
def test_a_mixed_batch_says_what_peft_says(
    architecture: str, kernels: str, unpack_bytes: int | None, tmp_path: Path
) -> None:
    base = write_base(tmp_path / "base", configurations()[architecture])
    folders = {
        name: write_adapter(tmp_path / name, base, shape, seed)
        for seed, (name, shape) in enumerate(ADAPTERS.items(), start=1)
    }
    config = EngineConfig(
        device="cpu",
        dtype="float32",
        max_batch_tokens=48,
        kv_cache_bytes=1 << 24,
        unpack_bytes=unpack_bytes,
        kernels=kernels,
    )
    engine = open_engine(base, folders, config)
    requests = _requests(seed=7)

    done = run_all(engine, requests)
    again = run_all(engine, requests)

    oracle = PeftOracle(base, folders)
    for request in requests:
        digest = request.adapter.digest if request.adapter else ""
        right = oracle.greedy(request.prompt_ids, digest, NEW_TOKENS)
        assert list(done.completions[request.request_id].token_ids) == right
        assert list(again.completions[request.request_id].token_ids) == right
    assert max(again.completions[r.request_id].cached_tokens for r in requests) >= 64
