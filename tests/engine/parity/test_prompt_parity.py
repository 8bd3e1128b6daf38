"""What is told of a prompt is what PEFT and transformers say of it, on every backend, in mixed batches."""

from dataclasses import replace
from pathlib import Path

import pytest

from oracle.bases import configurations, write_base
from oracle.engines import open_engine
from oracle.peft_oracle import AdapterShape, PeftOracle, write_adapter
from oracle.prompt_outputs import check_embeddings, check_logprobs
from parfocal.engine import EngineConfig, Pooling
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


@pytest.mark.parametrize("pooling", Pooling)
def test_embeddings_are_the_pooled_last_hidden_states(
    engine: Engine, oracle: PeftOracle, pooling: Pooling
) -> None:
    check_embeddings(engine, oracle, LENGTHS, pooling)
