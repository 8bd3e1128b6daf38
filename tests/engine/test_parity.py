"""A mixed batch says what PEFT says for each request alone, token by token, on every architecture."""

from dataclasses import dataclass
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
NEW_TOKENS = 12


@dataclass(frozen=True)
class Known:
    """A base, its adapters, and what PEFT says with them."""

    base: Path
    folders: dict[str, Path]
    oracle: PeftOracle


@pytest.fixture(scope="module", params=configurations())
def known(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Known:
    root = tmp_path_factory.mktemp(request.param)
    base = write_base(root / "base", configurations(layers=2)[request.param])
    folders = {
        name: write_adapter(root / name, base, shape, seed)
        for seed, (name, shape) in enumerate(ADAPTERS.items(), start=1)
    }
    return Known(base, folders, PeftOracle(base, folders))


@pytest.mark.parametrize(
    ("kernels", "unpack_bytes"),
    [("auto", None), ("torch", None), ("torch", 0)],
    ids=["native", "unpacked", "packed"],
)
def test_a_mixed_batch_says_what_peft_says(known: Known, kernels: str, unpack_bytes: int | None) -> None:
    config = EngineConfig(
        device="cpu",
        dtype="float32",
        max_batch_tokens=48,
        kv_cache_bytes=1 << 24,
        unpack_bytes=unpack_bytes,
        kernels=kernels,
    )
    engine = open_engine(known.base, known.folders, config)

    check_against_peft(engine, mixed_requests(NAMES, NEW_TOKENS, seed=7), known.oracle)
