"""On a GPU: tokens in float32 are PEFT's, one by one, on every architecture; bfloat16 stays near float32."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from oracle.bases import configurations, write_base
from oracle.engines import open_engine
from oracle.logprobs import LogProbs, first_tokens, worst_difference
from oracle.mixed_batch import check_against_peft, mixed_requests
from oracle.peft_oracle import AdapterShape, PeftOracle, write_adapter
from parfocal.engine import EngineConfig

pytestmark = pytest.mark.gpu

# 7 and 129 fill no tile of any kernel; 129 has a slab to itself.
ADAPTERS = {
    "r1": AdapterShape(1, alpha=1),
    "r7": AdapterShape(7, alpha=7, options={"use_rslora": True}),
    "r16": AdapterShape(16),
    "r129": AdapterShape(129, alpha=64),
    "pattern": AdapterShape(
        8,
        options={"rank_pattern": {"layers.1.self_attn.o_proj": 5}, "alpha_pattern": {"down_proj": 24}},
    ),
}
NAMES = ["r1", "pattern", "r7", "r129", "r16", "", "", "r7"]
NEW_TOKENS = 20
# How widely the weights of a base are spread on which rounding can be judged. On one that is spread three
# times as wide, as where tokens must differ, each layer multiplies what is off: plain torch on a CPU loses a
# likeliest token in one of four bases.
TAME = 0.05
# Of log-probabilities: twice what torch's own operations with activations, weights and adapters in bfloat16
# were off on a CPU, which is 0.07 to 0.10 on every architecture; of a wrong adapter they lose a token.
TOLERANCE = 0.2


@pytest.fixture(scope="module", params=configurations())
def architecture(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def base(architecture: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base") / architecture, configurations()[architecture])


@pytest.fixture(scope="module")
def folders(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    root = tmp_path_factory.mktemp("adapters")
    return {
        name: write_adapter(root / name, base, shape, seed)
        for seed, (name, shape) in enumerate(ADAPTERS.items(), start=1)
    }


@pytest.fixture(scope="module")
def tame_base(architecture: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    kind = configurations()[architecture]
    kind.update({"initializer_range": TAME})
    return write_base(tmp_path_factory.mktemp("tame") / architecture, kind)


@pytest.fixture(scope="module")
def oracle(base: Path, folders: dict[str, Path]) -> PeftOracle:
    return PeftOracle(base, folders, "cuda")


def _config(dtype: str, kernels: str = "auto") -> EngineConfig:
    return EngineConfig(
        device="cuda", dtype=dtype, max_batch_tokens=48, kv_cache_bytes=1 << 24, kernels=kernels
    )


@pytest.mark.parametrize("kernels", ["auto", "torch"])
def test_a_mixed_batch_in_float32_says_what_peft_says(
    base: Path, folders: dict[str, Path], oracle: PeftOracle, kernels: str
) -> None:
    engine = open_engine(base, folders, _config("float32", kernels))

    check_against_peft(engine, mixed_requests(NAMES, NEW_TOKENS, seed=7), oracle)


@pytest.mark.parametrize("kernels", ["auto", "torch"])
def test_log_probabilities_in_bfloat16_stay_near_those_of_float32(
    tame_base: Path, folders: dict[str, Path], kernels: str
) -> None:
    exact = _first_tokens(tame_base, folders, _config("float32", "torch"))
    rounded = _first_tokens(tame_base, folders, _config("bfloat16", kernels))

    assert worst_difference(exact, rounded) < TOLERANCE


def _first_tokens(base: Path, folders: dict[str, Path], config: EngineConfig) -> LogProbs:
    return first_tokens(open_engine(base, folders, config), ["", *ADAPTERS, ""])
