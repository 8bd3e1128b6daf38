"""With `deterministic`, a request draws from the same logits, to the last bit, whatever else is computed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from transformers import PretrainedConfig

from oracle.bases import configurations, write_base
from oracle.engines import run_all
from oracle.heard_logits import Heard, open_heard_engine
from oracle.peft_oracle import AdapterShape, write_adapter
from parfocal.engine import AdapterKey, Completion, EngineConfig, Request, Sampling, Stop
from parfocal.engine.backends.native import load
from parfocal.engine.loading import load_base
from parfocal.engine.model import ResidentBase

USUAL = EngineConfig(device="cpu", deterministic=True, kv_cache_bytes=1 << 24, max_rank=32)
# What computes the base: our kernels, which need not be told, by integers or exactly, and torch.
WAYS: dict[str, dict[str, object]] = {
    "native, untold": {"deterministic": False},
    "native, exact": {"dtype": "float32"},
    "native": {},
    "native, 8 bits": {"activation_bits": 8, "adapter_dtype": "int8"},
    "torch, unpacked": {"dtype": "float32", "kernels": "torch"},
    "torch, packed": {"dtype": "float32", "kernels": "torch", "unpack_bytes": 0},
    "torch, auto": {"kernels": "torch"},
    "torch, bfloat16": {"dtype": "bfloat16", "kernels": "torch"},
}
RANKS = {"r4": 4, "r16": 16, "r24": 24}
DRAWN = Sampling(temperature=1.0, top_p=0.9, top_k=200, seed=11)
PROMPT = tuple(range(3, 44))
TOKENS = 8
LONG = Stop(max_tokens=30, ignore_eos=True)
TRIES = 5


@dataclass(frozen=True)
class Place:
    """A base and its adapters."""

    base: Path
    adapters: dict[str, Path]


@dataclass(frozen=True)
class Stage:
    """A base as it is loaded by `config`, for many engines one after the other, and its adapters."""

    base: ResidentBase
    adapters: dict[str, Path]
    config: EngineConfig


@dataclass(frozen=True)
class Answer:
    """A request's answer, and the logits of each of its tokens."""

    completion: Completion
    logits: torch.Tensor

    def is_same(self, other: "Answer") -> bool:
        """Whether tokens, log-probabilities and logits are equal, bit by bit."""
        mine, its = self.completion, other.completion
        return (
            (mine.token_ids, mine.logprobs) == (its.token_ids, its.logprobs)
            and self.logits.shape == other.logits.shape
            and torch.equal(self.logits.view(torch.int32), other.logits.view(torch.int32))
        )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return placed(tmp_path_factory.mktemp("same"), configurations(layers=2)["llama"])


def placed(folder: Path, kind: PretrainedConfig) -> Place:
    base = write_base(folder / "base", kind)
    shapes = {name: AdapterShape(rank) for name, rank in RANKS.items()}
    adapters = {
        name: write_adapter(folder / name, base, shape, seed)
        for seed, (name, shape) in enumerate(shapes.items())
    }
    return Place(base, adapters)


@pytest.fixture(scope="module", params=WAYS)
def config(request: pytest.FixtureRequest) -> EngineConfig:
    """Settings for each way of computing that runs here."""
    changes = WAYS[request.param]
    if "torch" not in request.param and load() is None:
        pytest.skip("the native kernels do not run here")
    return replace(USUAL, **changes)  # type: ignore[arg-type]  # settings by name


def staged(place: Place, config: EngineConfig) -> Stage:
    return Stage(load_base(place.base, config), place.adapters, config)


@pytest.fixture(scope="module")
def stage(place: Place, config: EngineConfig) -> Stage:
    return staged(place, config)


def asked(name: str = "asked") -> Request:
    """The request whose answer must not change."""
    stop = Stop(max_tokens=TOKENS, ignore_eos=True)
    return Request(name, PROMPT, AdapterKey("r16"), sampling=DRAWN, stop=stop, top_logprobs=5)


def others(count: int) -> Iterator[Request]:
    """Requests of all kinds: short and long, of every adapter and of none, drawn in different ways."""
    names = ["r16", "", "r24", "r4"]
    for number in range(count):
        name = names[number % len(names)]
        yield Request(
            f"other-{number}",
            tuple((7 * at + number) % 256 for at in range(1 + 13 * number % 45)),
            AdapterKey(name) if name else None,
            sampling=replace(DRAWN, seed=number, top_p=1.0 - number % 3 / 10) if number % 2 else Sampling(),
            stop=Stop(max_tokens=1 + number % 12, ignore_eos=True),
            logprobs=number % 4 == 1,
        )


def answer(done: dict[str, Completion], heard: Heard, name: str = "asked") -> Answer:
    return Answer(done[name], heard.of(name))


def answered(stage: Stage, beside: list[Request], **changes: object) -> tuple[Answer, Heard]:
    """Returns the answer of a new engine, of changed settings, that is given the others first."""
    config = replace(stage.config, **changes)  # type: ignore[arg-type]  # settings by name
    engine, heard = open_heard_engine(stage.base, stage.adapters, config)
    return answer(run_all(engine, [*beside, asked()]).completions, heard), heard


@pytest.fixture(scope="module")
def alone(stage: Stage) -> Answer:
    return answered(stage, [])[0]


@pytest.mark.parametrize("count", [1, 15])
def test_neighbours_change_no_bit(stage: Stage, alone: Answer, count: int) -> None:
    beside, _ = answered(stage, list(others(count)))

    assert beside.is_same(alone)


def test_how_a_prompt_is_cut_changes_no_bit(stage: Stage, alone: Answer) -> None:
    cut, heard = answered(stage, list(others(4)), max_batch_tokens=9)

    assert len([size for size in heard.chunks["asked"] if size > 1]) > 2
    assert cut.is_same(alone)


def test_a_cached_prompt_changes_no_bit(stage: Stage, alone: Answer) -> None:
    engine, heard = open_heard_engine(stage.base, stage.adapters, stage.config)
    run_all(engine, [asked("first"), *others(3)])
    again = answer(run_all(engine, [asked()]).completions, heard)

    assert again.completion.cached_tokens > 0
    assert again.is_same(alone)


def test_being_preempted_changes_no_bit(place: Place, config: EngineConfig, alone: Answer) -> None:
    # Ten blocks: three for each prompt and one more, which the first of the others takes.
    few = staged(place, replace(config, context_tokens=96, prefix_cache=False))
    bytes_of_ten = few.base.kv_shape.token_bytes * config.block_tokens * 10
    long = [
        replace(request, request_id=f"long-{number}", prompt_ids=(*PROMPT, *PROMPT[:4]), stop=LONG)
        for number, request in enumerate(others(2))
    ]
    # Who is preempted depends on whose adapter has come first.
    for _ in range(TRIES):
        preempted, heard = answered(few, long, kv_cache_bytes=bytes_of_ten)
        if heard.begun["asked"] > 1:
            break

    assert heard.begun["asked"] > 1
    assert preempted.is_same(alone)


@pytest.mark.parametrize("architecture", [name for name in configurations() if name != "llama"])
def test_so_it_is_for_every_architecture_by_the_kernels(architecture: str, tmp_path: Path) -> None:
    if load() is None:
        pytest.skip("the native kernels do not run here")
    stage = staged(placed(tmp_path, configurations(layers=2)[architecture]), USUAL)
    alone, _ = answered(stage, [])
    beside, _ = answered(stage, list(others(7)), max_batch_tokens=25)

    assert beside.is_same(alone)


@pytest.mark.parametrize("dtype", ["float32", "auto"])
def test_so_it_is_where_the_kernels_do_not_take_a_base_whole(dtype: str, tmp_path: Path) -> None:
    kind = configurations(layers=2)["llama"]
    kind.update({"hidden_act": "relu"})
    stage = staged(placed(tmp_path, kind), replace(USUAL, dtype=dtype))
    alone, _ = answered(stage, [])
    beside, _ = answered(stage, list(others(3)))

    assert beside.is_same(alone)
