"""The native decoder takes every supported architecture whole, leaves others alone, and tells its times."""

from pathlib import Path

import pytest
from transformers import LlamaConfig

from oracle.bases import VOCABULARY, configurations, write_base
from oracle.engines import open_engine, run_all
from oracle.peft_oracle import AdapterShape, write_adapter
from parfocal.engine import AdapterKey, EngineConfig, Request, Stop
from parfocal.engine.backends.native import Library
from parfocal.engine.backends.native.layers import parts_of
from parfocal.engine.backends.native.linear import Numbers
from parfocal.engine.backends.native.profile import PHASES, NativeProfile
from parfocal.engine.loading import load_base


def _requests(adapter: str) -> list[Request]:
    keys = [AdapterKey(adapter), None, AdapterKey(adapter)]
    return [
        Request(
            request_id=f"q{number}",
            prompt_ids=tuple(range(7 * number + 1, 11 * number + 9)),
            adapter=key,
            stop=Stop(max_tokens=12, ignore_eos=True),
        )
        for number, key in enumerate(keys)
    ]


@pytest.mark.parametrize("architecture", configurations())
@pytest.mark.parametrize(("dtype", "numbers"), [("float32", Numbers.EXACT), ("auto", Numbers.WIDE)])
def test_every_supported_architecture_is_computed_whole(
    library: Library, architecture: str, dtype: str, numbers: Numbers, tmp_path: Path
) -> None:
    del library
    folder = write_base(tmp_path / "base", configurations()[architecture])

    parts = parts_of(load_base(folder, EngineConfig(device="cpu", dtype=dtype)).model)

    assert parts is not None
    assert (len(parts.layers), parts.numbers) == (3, numbers)


def test_an_unknown_activation_is_left_to_transformers_own_code(library: Library, tmp_path: Path) -> None:
    del library
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=192,
        num_hidden_layers=2,
        num_attention_heads=4,
        initializer_range=0.15,
        hidden_act="relu",
    )
    base = write_base(tmp_path / "base", config)
    folders = {"one": write_adapter(tmp_path / "one", base, AdapterShape(8), seed=1)}
    answers = []
    for kernels in ("auto", "torch"):
        engine = open_engine(
            base,
            folders,
            EngineConfig(device="cpu", dtype="float32", kernels=kernels, kv_cache_bytes=1 << 22),
        )
        done = run_all(engine, _requests("one")).completions
        answers.append({name: completion.token_ids for name, completion in done.items()})

    assert parts_of(load_base(base, EngineConfig(device="cpu", dtype="float32")).model) is None
    assert answers[0] == answers[1]


def test_times_are_taken_only_while_somebody_asks(library: Library, llama_base: Path, tmp_path: Path) -> None:
    folders = {"one": write_adapter(tmp_path / "one", llama_base, AdapterShape(8), seed=1)}
    engine = open_engine(llama_base, folders, EngineConfig(device="cpu", kv_cache_bytes=1 << 22))
    profile = NativeProfile(library)

    run_all(engine, _requests("one"))
    unasked = profile.seconds()
    with profile.taken():
        run_all(engine, _requests("one"))
    taken = profile.seconds()

    assert unasked == dict.fromkeys(PHASES, 0.0)
    assert all(taken[phase] > 0.0 for phase in PHASES)
    assert profile.seconds() == unasked
