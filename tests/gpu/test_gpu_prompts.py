"""On a GPU: what is told of prompts in float32 is PEFT's, with our kernels and without; so is a blend."""

from pathlib import Path

import pytest

from oracle.bases import configurations, write_base
from oracle.engines import open_engine, run_all
from oracle.peft_oracle import AdapterShape, PeftOracle, write_adapter
from oracle.prompt_outputs import asked, check_embeddings, check_logprobs
from parfocal.engine import AdapterKey, EngineConfig, Pooling, Request, Sampling, Stop, blend
from parfocal.engine.engine import Engine

pytestmark = pytest.mark.gpu

ADAPTERS = {"r4": AdapterShape(4), "r16": AdapterShape(16, options={"use_rslora": True})}
LENGTHS = {"r4": 61, "r16": 40, "": 90}


@pytest.fixture(scope="module", params=["llama", "gemma2"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base") / request.param, configurations()[request.param])


@pytest.fixture(scope="module")
def folders(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("adapters")
    return {name: write_adapter(folder / name, base, shape, 1) for name, shape in ADAPTERS.items()}


@pytest.fixture(scope="module")
def oracle(base: Path, folders: dict[str, Path]) -> PeftOracle:
    made = PeftOracle(base, folders, "cuda")
    made.blend("both", {"r4": 0.7, "r16": 0.3})
    return made


@pytest.fixture(scope="module", params=["auto", "torch"])
def engine(request: pytest.FixtureRequest, base: Path, folders: dict[str, Path]) -> Engine:
    config = EngineConfig(
        device="cuda", dtype="float32", max_batch_tokens=48, kv_cache_bytes=1 << 24, kernels=request.param
    )
    return open_engine(base, folders, config)


def test_prompt_log_probabilities_are_pefts(engine: Engine, oracle: PeftOracle) -> None:
    check_logprobs(engine, oracle, LENGTHS, tolerance=1e-3)


@pytest.mark.parametrize("pooling", Pooling)
def test_embeddings_are_the_pooled_last_hidden_states(
    engine: Engine, oracle: PeftOracle, pooling: Pooling
) -> None:
    check_embeddings(engine, oracle, LENGTHS, pooling, tolerance=1e-3)


def test_a_blend_says_what_pefts_weighted_combination_says(engine: Engine, oracle: PeftOracle) -> None:
    made = blend([(AdapterKey("r4", "r4", 1), 0.7), (AdapterKey("r16", "r16", 1), 0.3)])
    request = Request("q", asked("", 50).prompt_ids, made, stop=Stop(max_tokens=12, ignore_eos=True))
    done = run_all(engine, [request]).completions["q"]

    assert list(done.token_ids) == oracle.greedy(request.prompt_ids, "both", 12)


def test_a_bias_forces_a_token_in_a_graphs_step_too(engine: Engine) -> None:
    forced = Request(
        "q", (1, 2, 3), sampling=Sampling(logit_bias={7: 100.0}), stop=Stop(max_tokens=5, ignore_eos=True)
    )

    assert run_all(engine, [forced]).completions["q"].token_ids == (7,) * 5
