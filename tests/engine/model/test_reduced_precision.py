"""What faster numbers cost: log-probabilities against float32's, for each way to hold base and adapters."""

from dataclasses import replace
from pathlib import Path

import pytest

from oracle.engines import open_engine
from oracle.logprobs import LogProbs, first_tokens, worst_difference
from oracle.peft_oracle import AdapterShape, write_adapter
from parfocal.engine import EngineConfig, EngineMisconfigured
from parfocal.engine.backends.native import load

RANKS = {"r4": 4, "r16": 16}


@pytest.fixture(scope="module")
def folders(llama_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("adapters")
    return {
        name: write_adapter(root / name, llama_base, AdapterShape(rank), seed=rank)
        for name, rank in RANKS.items()
    }


def _first_tokens(base: Path, folders: dict[str, Path], config: EngineConfig) -> LogProbs:
    """Returns the log-probabilities of the likeliest tokens after each of six prompts."""
    config = replace(config, device="cpu", kv_cache_bytes=1 << 22)
    return first_tokens(open_engine(base, folders, config), ["", *RANKS, "", *RANKS])


# Twice what was measured, on random weights whose adapters change every answer. With activations and weights
# in bfloat16 it would be 0.15.
@pytest.mark.parametrize(
    ("activation_bits", "adapter_dtype", "tolerance"),
    [
        (13, "float32", 0.04),
        (13, "bfloat16", 0.06),
        (13, "int16", 0.06),
        (13, "int8", 0.17),
        (8, "int16", 1.7),
    ],
)
def test_log_probabilities_stay_near_those_of_float32(
    llama_base: Path, folders: dict[str, Path], activation_bits: int, adapter_dtype: str, tolerance: float
) -> None:
    if load() is None:
        tolerance = 0.5  # bitsandbytes' own kernel, which rounds to bfloat16
    exact = _first_tokens(llama_base, folders, EngineConfig(dtype="float32", adapter_dtype="float32"))
    rounded = EngineConfig(adapter_dtype=adapter_dtype, activation_bits=activation_bits)
    found = _first_tokens(llama_base, folders, rounded)

    assert worst_difference(exact, found) < tolerance


def test_an_unknown_type_of_adapters_is_named() -> None:
    with pytest.raises(EngineMisconfigured, match="int3"):
        EngineConfig(device="cpu", dtype="float32", adapter_dtype="int3")
