"""Counts and times what a layer adds to a decode step, by rows, with adapters and without."""

import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from bench.gpu_stand.device_base import random_bases
from bench.gpu_stand.four_bit_products import HostClock
from bench.gpu_stand.notes import Notes
from bench.gpu_stand.profiled import profiled
from bench.gpu_stand.setting import Setting
from fakes.engine.cuda.launches import Launches
from fakes.engine.cuda.layer_steps import LayerSteps, layer_steps
from parfocal.bench.made.base import write_settings
from parfocal.bench.workloads.shapes import shape_named
from parfocal.engine import EngineConfig
from parfocal.engine.adapters import Place
from parfocal.engine.backends.cuda import Card, CudaBackend, card_of
from parfocal.engine.backends.cuda.clock import CudaClock
from parfocal.engine.backends.cuda.four_bit import Clock
from parfocal.engine.backends.cuda.fused.shrinking import InTurn, OnTwoStreams
from parfocal.engine.backends.cuda.lora import Adapters
from parfocal.engine.backends.cuda.side_stream import TorchSideStream
from parfocal.engine.backends.cuda.steps import CudaCapturer, CudaDecode
from parfocal.engine.backends.cuda.steps.decode_inputs import DecodeInputs, Parts, decode_inputs
from parfocal.engine.devices import Machine, device_at
from parfocal.engine.loading import load_base
from parfocal.engine.lora import LoraWeights, ModuleWeights, PlainCopies
from parfocal.engine.scheduling import Plan, PlanRow, lay_out

_TIMES = 9
# Enough to tell a layer from what surrounds them, and few enough to be made in seconds.
_LAYERS = {True: 2, False: 8}
_CONTEXT = {True: 20, False: 512}
_BLOCK_TOKENS = 16
_KINDS = {
    "base": Adapters.NONE,
    "one": Adapters.BY_ROW,
    "one_in_tiles": Adapters.SHARED,
    "distinct": Adapters.BY_ROW,
}

Found = dict[str, float | str]


class NoCard:
    """What a dry run has instead of a card's graphs and memory."""

    def capture(self, run: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
        """Runs again at each replay."""
        return run

    def most_bytes(self, work: Callable[[], object]) -> int:
        """Measures nothing."""
        work()
        return 0


@torch.inference_mode()
def measure_all(setting: Setting, notes: Notes) -> None:
    """Measures every number of rows; keeps each as it is found."""
    rows = (1,) if setting.is_dry else (1, 8, 32, 64)
    layers, rank = _LAYERS[setting.is_dry], setting.scale.mixed.rank
    notes.begin(f"Making {layers} layers of a random {setting.scale.shape}")
    steps = _made(setting, layers, max(rows), rank)
    device = steps.base.device
    clock: Clock = HostClock() if setting.is_dry else CudaClock(device)
    for _ in range(max(rows)):
        steps.store.copy_in(steps.store.lay_out(_adapter(steps)))
    # Makes what is made once, such as tables of levels.
    steps.fused(1).decode(_inputs(steps, 1, "base"), Adapters.NONE)
    found: list[Found] = []
    for count in rows:
        for kind, adapters in _KINDS.items():
            notes.begin(f"{count} rows, adapters: {kind}")
            inputs = _inputs(steps, count, kind)
            for way, made in _ways(steps, adapters):
                shallow, deep = (_run(made(some), inputs, adapters, clock) for some in (1, layers))
                told: Found = {"rows": count, "adapters": kind, "way": way}
                found.append(told | _compared(shallow, deep, layers - 1))
                notes.put(layer=found, **{f"launched_{way}_{kind}": dict(Counter(deep.launched))})
    notes.sum_up(layer=found)


def _ways(steps: LayerSteps, adapters: Adapters) -> Iterator[tuple[str, Callable[[int], CudaDecode]]]:
    """Yields what makes a step of so many layers: fused, on a card with each way to shrink, by modules."""
    yield "fused", steps.fused
    if steps.base.device.type == "cuda" and adapters is not Adapters.NONE:
        side = TorchSideStream(steps.base.device)
        for shrinking in (OnTwoStreams(side), InTurn()):
            yield f"fused_{shrinking.name}", replace(steps, shrinking=shrinking).fused
    if adapters is not Adapters.SHARED:
        yield "modules", steps.by_modules


def _made(setting: Setting, layers: int, rows: int, rank: int) -> LayerSteps:
    folder = setting.scratch / "few-layers"
    folder.mkdir()
    write_settings(replace(shape_named(setting.scale.shape), layers=layers), folder)
    config = EngineConfig(
        device=setting.scale.device,
        dtype="float32" if setting.is_dry else "bfloat16",
        kernels=setting.scale.kernels,
        max_rank=rank,
    )
    blocks = rows * -(-_CONTEXT[setting.is_dry] // _BLOCK_TOKENS)
    with random_bases():
        if setting.is_dry:
            card = Card(4, PlainCopies(), NoCard(), HostClock, NoCard())
            backend = CudaBackend(Machine(), card, torch.float32)
            return layer_steps(load_base(folder, config, backend=backend), blocks, rows, rank)
        device = device_at(torch.device("cuda", 0))
        card = card_of(device.at)
        backend = CudaBackend(device, card, torch.bfloat16)
        return layer_steps(load_base(folder, config, backend=backend), blocks, rows, rank, card.processors)


def _adapter(steps: LayerSteps) -> LoraWeights:
    """Small random matrices on every linear; where they lie is what counts."""
    dtype = steps.store.read_dtype
    modules = {
        path: ModuleWeights(
            torch.full((steps.rank, wide), 0.01, dtype=dtype),
            torch.full((tall, steps.rank), 0.01, dtype=dtype),
        )
        for path, (wide, tall) in steps.base.shapes.items()
    }
    return LoraWeights("adapter", modules)


def _inputs(steps: LayerSteps, rows: int, kind: str) -> DecodeInputs:
    """A step's inputs: each row at the end of a context of its own."""
    context = _CONTEXT[steps.base.device.type == "cpu"]
    each = -(-context // _BLOCK_TOKENS)
    planned = []
    for row in range(rows):
        place = None if kind == "base" else Place(0, row if kind == "distinct" else 0)
        blocks = tuple(range(row * each, (row + 1) * each))
        planned.append(PlanRow(f"row {row}", (1,), context - 1, blocks, place, None))
    numbers = torch.empty(Parts.size(rows, each), dtype=torch.int32, device=steps.base.device)
    inputs = decode_inputs(rows, each, numbers)
    inputs.fill(lay_out(Plan(tuple(planned))), _BLOCK_TOKENS)
    return inputs


@dataclass(frozen=True)
class _Run:
    """The kernels of a step, in order, and what it takes."""

    launched: Sequence[str]
    seconds: float


def _compared(shallow: _Run, deep: _Run, more: int) -> Found:
    """What the whole step launches and takes, and what each of `more` layers adds."""
    launches = len(deep.launched)
    return {
        "launches_a_step": launches,
        "launches_a_layer": (launches - len(shallow.launched)) / more,
        "microseconds_a_step": 1e6 * deep.seconds,
        "microseconds_a_layer": 1e6 * (deep.seconds - shallow.seconds) / more,
    }


def _run(step: CudaDecode, inputs: DecodeInputs, adapters: Adapters, clock: Clock) -> _Run:
    """Runs a step: on a card some times as a captured graph, elsewhere once in the interpreter."""

    def run() -> torch.Tensor:
        return step.decode(inputs, adapters)

    if not inputs.device_values.is_cuda:
        with Launches() as launches:
            seconds = clock.seconds(run)
        return _Run(launches.names, seconds)
    replay = CudaCapturer(inputs.device_values.device).capture(run)
    replay()
    launched = [name for name, _ in profiled(run, inputs.device_values.device)]
    return _Run(launched, statistics.median(clock.seconds(replay) for _ in range(_TIMES)))
