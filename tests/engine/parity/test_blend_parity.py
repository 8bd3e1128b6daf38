"""A blend says what PEFT's weighted combination says, in one batch with its parts and the base."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from oracle.engines import open_engine, run_all
from oracle.peft_oracle import AdapterShape, PeftOracle, write_adapter
from parfocal.engine import AdapterKey, AdapterRefused, EngineConfig, Request, Stop, blend
from parfocal.engine.engine import Engine

# Different modules, ranks, scales, and a rank for one module alone.
ADAPTERS = {
    "r4": AdapterShape(4, targets=["q_proj", "v_proj", "down_proj"]),
    "rs8": AdapterShape(8, alpha=32, options={"use_rslora": True}),
    "pattern": AdapterShape(
        8, options={"rank_pattern": {"layers.1.self_attn.o_proj": 5}, "alpha_pattern": {"down_proj": 24}}
    ),
}
# PEFT gives a combination the scaling of its first part's kind: the first is none of rsLoRA's.
BLENDS: dict[str, Mapping[str, float]] = {
    "two": {"r4": 0.7, "rs8": 0.3},
    "against": {"pattern": -0.5, "rs8": 1.5},
    "all": {"r4": 0.25, "rs8": 0.5, "pattern": 1.0},
    "less": {"pattern": 0.125},
}
EXACT = EngineConfig(
    device="cpu", dtype="float32", max_batch_tokens=48, kv_cache_bytes=1 << 24, max_rank=32, slots=4
)
NEW_TOKENS = 12


@pytest.fixture(scope="module")
def folders(llama_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("blends")
    return {
        name: write_adapter(folder / name, llama_base, shape, seed)
        for seed, (name, shape) in enumerate(ADAPTERS.items())
    }


@pytest.fixture(scope="module")
def oracle(llama_base: Path, folders: dict[str, Path]) -> PeftOracle:
    made = PeftOracle(llama_base, folders)
    for name, parts in BLENDS.items():
        made.blend(name, parts)
    return made


def _key(name: str) -> AdapterKey | None:
    if name in BLENDS:
        return blend([(AdapterKey(part, part, 1), weight) for part, weight in BLENDS[name].items()])
    return AdapterKey(name, name, 1) if name else None


def _requests(new_tokens: int) -> list[Request]:
    torch.manual_seed(5)
    return [
        Request(
            name,
            tuple(torch.randint(256, (12 + 7 * number,)).tolist()),
            _key(name),
            stop=Stop(max_tokens=new_tokens, ignore_eos=True),
            prompt_logprobs=0,
        )
        for number, name in enumerate([*BLENDS, *ADAPTERS, ""])
    ]


@pytest.mark.parametrize("kernels", ["auto", "torch"])
def test_a_blend_says_what_pefts_weighted_combination_says(
    kernels: str, llama_base: Path, folders: dict[str, Path], oracle: PeftOracle
) -> None:
    engine = open_engine(llama_base, folders, replace(EXACT, kernels=kernels))
    requests = _requests(NEW_TOKENS)
    done = run_all(engine, requests).completions

    for request in requests:
        name = request.request_id
        assert list(done[name].token_ids) == oracle.greedy(request.prompt_ids, name, NEW_TOKENS)
        right = oracle.logprobs(request.prompt_ids, name)
        for place, entry in enumerate(list(done[name].prompt_logprobs)[1:]):
            assert entry is not None
            assert entry.logprob == pytest.approx(float(right[place, entry.token_id]), abs=1e-4)


@pytest.mark.parametrize(
    ("settings", "tolerance"),
    [
        ({"adapter_dtype": "int16", "kernels": "torch"}, 0.01),
        ({"adapter_dtype": "bfloat16", "kernels": "torch"}, 0.1),
        ({"adapter_dtype": "int8", "kernels": "torch"}, 0.5),
        ({"dtype": "auto"}, 0.1),
        ({"dtype": "auto", "adapter_dtype": "int8"}, 0.5),
    ],
    ids=["int16", "bfloat16", "int8", "as served", "as served, int8"],
)
def test_a_blend_is_as_exact_as_its_parts_where_numbers_are_rounded(
    settings: dict[str, str],
    tolerance: float,
    llama_base: Path,
    folders: dict[str, Path],
    oracle: PeftOracle,
) -> None:
    config = replace(EXACT, **settings)  # type: ignore[arg-type]
    requests = _requests(1)
    done = run_all(open_engine(llama_base, folders, config), requests).completions
    worst: dict[str, float] = {}
    for request in requests:
        name = request.request_id
        right = oracle.logprobs(request.prompt_ids, name)
        found = [(entry.token_id, entry.logprob) for entry in done[name].prompt_logprobs if entry]
        worst[name] = max(abs(float(right[at, token]) - value) for at, (token, value) in enumerate(found))

    assert max(worst[name] for name in BLENDS) < max(tolerance, 2 * max(worst[name] for name in ADAPTERS))


def test_blends_take_slots_like_any_adapter_and_are_shown_by_name(
    llama_base: Path, folders: dict[str, Path]
) -> None:
    engine = open_engine(llama_base, folders, replace(EXACT, slots=1))
    requests = _requests(2)
    done = run_all(engine, [replace(one, prompt_logprobs=None) for one in requests])

    assert not done.errors
    (two,) = (status for status in engine.adapters() if status.adapter == _key("two"))
    assert two.adapter.name == "r4@1*0.7+rs8@1*0.3"
    assert two.rank == 12
    again = run_all(engine, [replace(requests[0], prompt_logprobs=None)]).completions["two"]
    assert again.token_ids == done.completions["two"].token_ids


def test_a_blend_whose_ranks_add_up_to_too_much_is_refused_by_module(
    llama_base: Path, folders: dict[str, Path]
) -> None:
    engine: Engine = open_engine(llama_base, folders, replace(EXACT, max_rank=16))
    done = run_all(engine, [one for one in _requests(1) if one.request_id in ("all", "two", "")])

    assert set(done.completions) == {"two", ""}
    error = done.errors["all"]
    assert isinstance(error, AdapterRefused)
    assert "would have rank 8 + 4 + 8 = 20 in this blend" in str(error)
    assert "ranks up to 16" in str(error)


def test_a_part_that_is_missing_ends_the_blend_alone(llama_base: Path, folders: dict[str, Path]) -> None:
    engine = open_engine(llama_base, {**folders, "rs8": Path("/nowhere")}, EXACT)
    done = run_all(engine, [one for one in _requests(1) if one.request_id in ("two", "r4", "less")])

    assert set(done.errors) == {"two"}
    assert set(done.completions) == {"r4", "less"}
