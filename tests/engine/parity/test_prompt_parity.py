"""What is told of a prompt is what PEFT and transformers say of it, on every backend, in mixed batches."""

from dataclasses import replace
from pathlib import Path

import pytest

from oracle.bases import configurations, write_base
from oracle.engines import open_engine, run_all
from oracle.peft_oracle import AdapterShape, PeftOracle, write_adapter
from oracle.prompt_outputs import asked, check_embeddings, check_logprobs
from parfocal.engine import EngineConfig, Pooling, Stop
from parfocal.engine.engine import Engine

ADAPTERS = {"r4": AdapterShape(4), "r16": AdapterShape(16, options={"use_rslora": True})}
LENGTHS = {"r4": 61, "r16": 40, "": 90}
EXACT = EngineConfig(device="cpu", dtype="float32", max_batch_tokens=48, kv_cache_bytes=1 << 24)
BACKENDS = {
    "native": EXACT,
    "torch": replace(EXACT, kernels="torch"),
    "one by one": replace(EXACT, kernels="torch", deterministic=True),
}


@pytest.fixture(scope="module", params=["llama", "gemma2"])
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base") / request.param, configurations()[request.param])


@pytest.fixture(scope="module")
def folders(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("adapters")
    return {name: write_adapter(folder / name, base, shape, 1) for name, shape in ADAPTERS.items()}


@pytest.fixture(scope="module")
def oracle(base: Path, folders: dict[str, Path]) -> PeftOracle:
    return PeftOracle(base, folders)


@pytest.fixture(scope="module", params=BACKENDS)
def engine(request: pytest.FixtureRequest, base: Path, folders: dict[str, Path]) -> Engine:
    return open_engine(base, folders, BACKENDS[request.param])


def test_prompt_log_probabilities_are_pefts(engine: Engine, oracle: PeftOracle) -> None:
    check_logprobs(engine, oracle, LENGTHS)


@pytest.mark.parametrize("kernels", ["auto", "torch"])
def test_what_is_told_has_the_same_bits_whatever_else_is_computed(
    base: Path, folders: dict[str, Path], kernels: str
) -> None:
    config = replace(EXACT, kernels=kernels, deterministic=True)
    lone = [replace(asked("r4", 50, prompt_logprobs=2, pooling=Pooling.MEAN), request_id="q")]
    beside = [asked(name, length, stop=Stop(max_tokens=3)) for name, length in LENGTHS.items()]
    alone = run_all(open_engine(base, folders, config), lone).completions["q"]
    crowded = open_engine(base, folders, replace(config, max_batch_tokens=9, max_requests=3))
    among = run_all(crowded, [*beside, *lone]).completions["q"]

    assert list(among.prompt_logprobs) == list(alone.prompt_logprobs)
    assert among.embedding == alone.embedding


@pytest.mark.parametrize("pooling", Pooling)
def test_embeddings_are_the_pooled_last_hidden_states(
    engine: Engine, oracle: PeftOracle, pooling: Pooling
) -> None:
    check_embeddings(engine, oracle, LENGTHS, pooling)
