"""A mixed batch says what PEFT says for each request alone, token by token, on every architecture."""

from pathlib import Path

import pytest

from oracle.bases import configurations, write_base
from oracle.engines import open_engine
from oracle.mixed_batch import check_against_peft, mixed_requests
from oracle.peft_oracle import AdapterShape, PeftOracle, write_adapter
from parfocal.engine import EngineConfig

ADAPTERS = {
    "r4": AdapterShape(4),
    "r8": AdapterShape(8, alpha=32, options={"use_rslora": True}),
    "r16": AdapterShape(16),
    "r64": AdapterShape(64, alpha=64),
    "pattern": AdapterShape(
        8, options={"rank_pattern": {"layers.1.self_attn.o_proj": 5}, "alpha_pattern": {"down_proj": 24}}
    ),
}
# Five adapters, one twice with a shared prefix, and base rows.
NAMES = ["r4", "r8", "r16", "r64", "pattern", "", "", "r16"]
NEW_TOKENS = 20


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

    check_against_peft(engine, mixed_requests(NAMES, NEW_TOKENS, seed=7), PeftOracle(base, folders))
