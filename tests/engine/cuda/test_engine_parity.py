"""The whole CUDA path says what PEFT says, graphs and all: on the GPU where there is one.

Elsewhere it is put together on the CPU's memory, and Triton's interpreter runs its kernels.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import PretrainedConfig

from fakes.engine.folder_source import FolderSource
from oracle.bases import configurations, write_base
from oracle.engines import open_engine, run_all
from oracle.peft_oracle import AdapterShape, PeftOracle, write_adapter
from parfocal.engine import (
    AdapterKey,
    EngineConfig,
    EngineMisconfigured,
    Request,
    Sampling,
    Stop,
)
from parfocal.engine.backends.cuda import Card, CudaBackend, card_of
from parfocal.engine.backends.cuda.four_bit import BlockedLinear4bit, Clock
from parfocal.engine.backends.cuda.lora.page_store import StoreShape
from parfocal.engine.backends.cuda.steps import Capturer, CudaCapturer, Peak
from parfocal.engine.backends.cuda.steps.decode_inputs import input_bytes
from parfocal.engine.backends.cuda.steps.graphs import Replay
from parfocal.engine.devices import Machine, device_at
from parfocal.engine.engine import Engine
from parfocal.engine.loading import build_engine, load_base
from parfocal.engine.lora.copies import PlainCopies
from parfocal.engine.observer import KernelReport, SilentObserver

ADAPTERS = {
    "r1": AdapterShape(1),
    "r7": AdapterShape(7, alpha=14, options={"use_rslora": True}),
    "pattern": AdapterShape(8, options={"rank_pattern": {"layers.0.self_attn.o_proj": 21}}),
}
NEW_TOKENS = 3
SHORT = {"max_batch_tokens": 4, "context_tokens": 16}
CPU = EngineConfig(device="cpu", dtype="float32", kernels="torch")
FUSED = "are computed by fused operations"
CARD = torch.device("cuda", 0)


class RunAgain:
    """Replays by running: what a capture froze would show, because inputs are refilled in between."""

    def capture(self, run: Callable[[], torch.Tensor]) -> Replay:
        run()
        return run


class Counting:
    """Counts captures and replays: of graphs on a GPU, elsewhere of what runs again."""

    def __init__(self, device: torch.device) -> None:
        self.captured = 0
        self.replayed = 0
        self._capturer: Capturer = CudaCapturer(CARD) if device.type == "cuda" else RunAgain()

    def capture(self, run: Callable[[], torch.Tensor]) -> Replay:
        captured = self._capturer.capture(run)
        self.captured += 1

        def replay() -> torch.Tensor:
            self.replayed += 1
            return captured()

        return replay


class Broken:
    """A card that can capture nothing."""

    def capture(self, run: Callable[[], torch.Tensor]) -> Replay:
        raise RuntimeError("operation not permitted when stream is capturing")


class EveryTimeTheSame:
    """A clock on which everything takes as long; what is timed has run once before."""

    def seconds(self, work: Callable[[], object]) -> float:
        return 1.0


class Clocks:
    """Counts the clocks that are made, one for each choice."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> EveryTimeTheSame:
        self.made += 1
        return EveryTimeTheSame()


class NoBytes:
    """Memory that nothing is taken of; the steps are run."""

    def most_bytes(self, work: Callable[[], object]) -> int:
        work()
        return 0


class NothingRuns:
    """Memory of which nothing is known; the largest steps are not run, which takes a third of a test."""

    def most_bytes(self, work: Callable[[], object]) -> int:
        return 0


class Reports(SilentObserver):
    """Keeps what is told of kernels."""

    def __init__(self) -> None:
        self.kernels: list[str] = []

    def kernel(self, report: KernelReport) -> None:
        self.kernels.append(report.kernel)


def card_on(device: torch.device, capturer: Capturer, clock: Callable[[], Clock], peak: Peak) -> Card:
    """The card of the device, or what stands for one; the given parts instead of its own."""
    if device.type != "cuda":
        return Card(4, PlainCopies(), capturer, clock, peak)
    return replace(card_of(CARD), capturer=capturer, clock=clock, peak=peak, side=None)


def opened(
    base: Path,
    folders: dict[str, Path],
    capturer: Counting | Broken,
    slots: int,
    *,
    device: torch.device,
    **changes: int,
) -> tuple[Engine, Reports]:
    """Opens an engine of the CUDA path; with `runs_largest_steps` it measures them first, as a card does."""
    peak: Peak = NoBytes() if changes.pop("runs_largest_steps", False) else NothingRuns()
    usual = EngineConfig(
        device=device.type,
        dtype="float32",
        kernels="torch",
        max_batch_tokens=24,
        max_requests=2,
        context_tokens=32,
        kv_cache_bytes=1 << 20,
        slots=slots,
        max_rank=32,
    )
    config = replace(usual, **changes)  # type: ignore[arg-type]  # numbers by name
    clocks = Clocks()
    card = card_on(device, capturer, clocks, peak)
    reports = Reports()
    there = device_at(CARD) if device.type == "cuda" else Machine()
    resident = load_base(base, config, backend=CudaBackend(there, card, torch.float32))
    engine = build_engine(resident, config, FolderSource(folders), reports)
    linears = [module for module in resident.model.modules() if isinstance(module, BlockedLinear4bit)]
    # Before the cache of keys and values takes what memory there is, and not again.
    assert clocks.made == (0 if config.deterministic else 1)
    assert config.deterministic or (linears and all(linear.serving for linear in linears))
    return engine, reports


def narrow(architecture: str, layers: int) -> PretrainedConfig:
    """Returns a configuration that takes few programs, in the interpreter a millisecond each.

    Where it has a window, some prompts are longer.
    """
    kind = configurations(layers)[architecture]
    kind.update({"hidden_size": 64, "intermediate_size": 64 * layers, "head_dim": 16})
    if getattr(kind, "sliding_window", None):
        kind.update({"sliding_window": 8})
    return kind


def requests() -> list[Request]:
    torch.manual_seed(3)
    names = ["r1", "r7", "", "pattern", "r7"]
    return [
        Request(
            request_id=f"q{number}",
            prompt_ids=tuple(torch.randint(256, (length,)).tolist()),
            adapter=AdapterKey(name) if name else None,
            stop=Stop(max_tokens=NEW_TOKENS, ignore_eos=True),
        )
        for number, (name, length) in enumerate(zip(names, (3, 13, 6, 21, 5), strict=True))
    ]


@pytest.fixture(scope="module")
def small_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a Llama of one layer, as narrow as blocks of 64 allow."""
    return write_base(tmp_path_factory.mktemp("bases") / "small", narrow("llama", layers=1))


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Keeps what the CUDA path logs of its choices."""
    caplog.set_level("INFO", "parfocal.engine.backends.cuda")
    return caplog


# Two layers, which differ; the other architecture in one layer and with fewer requests, since the interpreter
# takes its time.
DEEP = "gemma2"
# What these add, norms, biases and joined projections, is the same in every layer.
FLAT = [name for name in configurations() if name not in ("llama", DEEP)]


@pytest.mark.parametrize("architecture", ["llama", DEEP])
def test_the_cuda_path_says_what_peft_says_while_adapters_take_turns(
    device: torch.device, architecture: str, tmp_path: Path, told: pytest.LogCaptureFixture
) -> None:
    is_deep = architecture == DEEP
    base = write_base(tmp_path / "base", narrow(architecture, layers=2 if is_deep else 1))
    asked = requests() if is_deep else requests()[:3]
    names = {one.adapter.digest for one in asked if one.adapter}
    adapters = {name: shape for name, shape in ADAPTERS.items() if name in names}

    slots = 2 if is_deep else 1
    capturer = says_what_peft_says(device, base, adapters, asked, slots, runs_largest_steps=not is_deep)

    assert FUSED in told.text
    assert capturer.captured == 4  # one row and two, with adapters and without
    assert capturer.replayed > NEW_TOKENS


@pytest.mark.parametrize("architecture", FLAT)
def test_every_other_architecture_says_what_peft_says_on_the_cuda_path(
    device: torch.device, architecture: str, tmp_path: Path, told: pytest.LogCaptureFixture
) -> None:
    """Two adapters take turns in one slot, one request at a time: the interpreter takes its time."""
    base = write_base(tmp_path / "base", narrow(architecture, layers=1))
    adapters = {name: ADAPTERS[name] for name in ("r1", "r7")}
    asked = [replace(request, stop=Stop(max_tokens=2, ignore_eos=True)) for request in requests()[:2]]

    says_what_peft_says(device, base, adapters, asked, slots=1, max_requests=1, max_batch_tokens=16)

    assert FUSED in told.text


def says_what_peft_says(
    device: torch.device,
    base: Path,
    adapters: Mapping[str, AdapterShape],
    asked: list[Request],
    slots: int,
    **changes: int,
) -> Counting:
    """Checks every answer; there are fewer slots than adapters. Returns what captured the graphs."""
    folders = {
        name: write_adapter(base.parent / name, base, shape, seed)
        for seed, (name, shape) in enumerate(adapters.items(), start=1)
    }
    capturer = Counting(device)
    engine, reports = opened(base, folders, capturer, slots=slots, device=device, **changes)
    done = run_all(engine, asked)

    oracle = PeftOracle(base, folders, device.type)
    for request in asked:
        digest = request.adapter.digest if request.adapter else ""
        right = oracle.greedy(request.prompt_ids, digest, request.stop.max_tokens or 0)
        assert list(done.completions[request.request_id].token_ids) == right
    assert reports.kernels == []
    return capturer


def test_a_card_that_cannot_capture_answers_all_the_same(device: torch.device, small_base: Path) -> None:
    engine, reports = opened(small_base, {}, Broken(), slots=1, device=device, **SHORT)
    question = Request("q", (1, 2, 3), None, stop=Stop(max_tokens=3, ignore_eos=True))
    answer = run_all(engine, [question]).completions["q"]
    plain = open_engine(small_base, {}, replace(CPU, device=device.type))

    assert answer.token_ids == run_all(plain, [question]).completions["q"].token_ids
    assert reports.kernels == ["graphs"]


def test_adapters_that_find_no_memory_wait_for_others_to_leave(
    device: torch.device, small_base: Path, tmp_path: Path
) -> None:
    names = ("a", "b", "c")
    folders = {
        name: write_adapter(tmp_path / name, small_base, AdapterShape(16), seed)
        for seed, name in enumerate(names)
    }
    one = StoreShape(load_base(small_base, CPU).shapes, torch.float32, 16, device)
    only_one = one.most_pages * one.page_bytes
    room = {"slots": 3, "max_rank": 16, "adapter_bytes": only_one}
    engine, _ = opened(small_base, folders, Broken(), device=device, **room, **SHORT)
    asked = [
        Request(f"q-{name}", (1, 2, 3), AdapterKey(name), stop=Stop(max_tokens=2, ignore_eos=True))
        for name in names
    ]
    done = run_all(engine, asked)

    oracle = PeftOracle(small_base, folders, device.type)
    for name in names:
        assert list(done.completions[f"q-{name}"].token_ids) == oracle.greedy((1, 2, 3), name, 2)


def test_too_little_memory_for_adapters_is_refused_with_the_numbers(
    device: torch.device, small_base: Path
) -> None:
    with pytest.raises(
        EngineMisconfigured, match=r"adapter_bytes 1000 cannot hold one adapter of rank 32 on all"
    ):
        opened(small_base, {}, Broken(), slots=1, device=device, adapter_bytes=1000)
    with pytest.raises(EngineMisconfigured, match=r"adapter_bytes is for CUDA .* leave it out on cpu"):
        open_engine(small_base, {}, replace(CPU, adapter_bytes=1 << 30))


@pytest.mark.parametrize("most", [1, 64, 256, 512])
def test_the_bound_on_graphs_covers_what_all_of_them_keep(small_base: Path, most: int) -> None:
    config = replace(CPU, max_requests=most, max_batch_tokens=most, max_rank=16, slots=2)
    base = load_base(small_base, config)
    card = Card(4, PlainCopies(), Broken(), EveryTimeTheSame, NothingRuns())
    needs = CudaBackend(Machine(), card, torch.float32).needs(base, config, 1 << 30)
    blocks = -(-base.info.context_tokens // config.block_tokens)

    logits = most * base.info.vocabulary * 4
    assert needs.graph_bytes >= logits + input_bytes(most, blocks)


def test_a_deterministic_engine_gives_the_same_bits_in_any_batch(
    device: torch.device, small_base: Path, tmp_path: Path
) -> None:
    drawn = Sampling(temperature=1.0, top_p=0.9, seed=5)
    folders = {name: write_adapter(tmp_path / name, small_base, ADAPTERS[name], 1) for name in ("r1", "r7")}
    first, *_, last = (replace(one, sampling=drawn, top_logprobs=5) for one in requests())

    capturer = Counting(device)
    limits = {"deterministic": True, "unpack_bytes": 0, "max_batch_tokens": 3}
    engine, reports = opened(small_base, folders, capturer, 2, device=device, **limits)
    # Alone the prompt of five tokens is cut after three, beside the other one after two.
    alone = run_all(engine, [last]).completions["q4"]
    beside = run_all(engine, [first, last]).completions["q4"]

    assert reports.kernels == []
    assert capturer.replayed > 0
    assert (beside.token_ids, beside.logprobs) == (alone.token_ids, alone.logprobs)
