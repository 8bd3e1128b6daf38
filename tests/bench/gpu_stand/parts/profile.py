"""A step's kernels by time and by number, for decode steps and for prompts, by rows and by adapters.

Steps of the whole engine, in graphs as they serve. A decode step is what a longer answer launches beyond a
shorter one: prompts, and what else both have, falls out. Of prompts also the arithmetic of the base's
products, beside what the card can do at most.
"""

import contextlib
import statistics

from bench.gpu_stand.launch_profile import (
    Kernels,
    a_step,
    counted,
    launches,
    launches_a_layer,
    longest,
    table,
)
from bench.gpu_stand.notes import Notes
from bench.gpu_stand.parts.decode import open_bench
from bench.gpu_stand.pictures import draw_parts
from bench.gpu_stand.profiled import profiled
from bench.gpu_stand.setting import Setting
from parfocal.bench.limits.hardware import Hardware
from parfocal.bench.profiles.growth import Point, growth_visits
from parfocal.bench.profiles.step_bench import Batch, Step, StepBench
from parfocal.bench.workloads.shapes import Shape, shape_named

_SHORT = 3
_LONGEST = 20
# How many adapters the rows of prompts are of.
_PROMPT_ADAPTERS = (0, 1, 8, 64)
# Prompts that no batch had before, so that none is cached; warm-ups count from the first number.
_WARM_UP, _FRESH = 1_000, 2_000

Found = dict[str, object]


def measure(setting: Setting, notes: Notes) -> None:
    """Profiles every kind of step; keeps each as it is found."""
    scale, layers = setting.scale, shape_named(setting.scale.shape).layers
    hardware, _ = setting.hardware()
    visits = growth_visits(scale.mixed, scale.rows, max(scale.rows))
    bench = open_bench(setting, visits, notes)
    decode, prompts = dict[str, Kernels](), dict[str, Kernels]()
    documents = dict[str, list[Found]](decode=[], prompts=[])
    with contextlib.closing(bench):
        notes.begin("Loading the adapters")
        bench.load_adapters()
        for point in _points(scale.rows):
            notes.begin(f"Decode steps: {_name(point)}")
            kernels, steps = _decoded(bench, point, 2 if setting.is_dry else 16)
            decode[_name(point)] = kernels
            documents["decode"].append(_document(point, kernels, steps, layers))
            notes.put(**documents)
        for number, point in enumerate(_prompt_points(max(scale.rows))):
            notes.begin(f"Prompts: {_name(point)}")
            kernels, steps = _prompted(bench, point, number)
            prompts[_name(point)] = kernels
            document = _document(point, kernels, steps, layers)
            document |= _rate(steps, shape_named(scale.shape), hardware)
            documents["prompts"].append(document)
            notes.put(**documents)
    titles = {"decode": "A decode step", "prompts": "A step of prompts"}
    text = "\n".join(
        f"## {titles[name]}, rows x distinct adapters\n\n{table(found, layers)}"
        for name, found in (("decode", decode), ("prompts", prompts))
    )
    (notes.folder / "profile.md").write_text(text, encoding="utf-8")
    draw_parts({"decode step": decode, "step of prompts": prompts}, notes.picture())
    notes.sum_up(**{name: [_short(one) for one in found] for name, found in documents.items()})


def _points(rows: tuple[int, ...]) -> list[Point]:
    """So many rows each of the base, on one adapter and each on its own."""
    return list(dict.fromkeys(Point(count, adapters) for count in rows for adapters in (0, 1, count)))


def _prompt_points(rows: int) -> list[Point]:
    """As many rows as there may be, of each number of adapters that they can be of."""
    return [Point(rows, count) for count in dict.fromkeys(min(one, rows) for one in _PROMPT_ADAPTERS)]


def _rate(steps: list[Step], shape: Shape, hardware: Hardware) -> Found:
    """What full steps of prompts do of the base's products in a second, and as a share of the card's most.

    Adapters, attention and the head are time and no work here.
    """
    most = max(step.tokens for step in steps)
    each = 2 * sum(linear.parameters for linear in shape.linears)
    rate = statistics.median(each * step.tokens / step.seconds for step in steps if step.tokens == most)
    return {
        "tokens_a_full_step": most,
        "tflops": rate / 1e12,
        "share_of_the_cards_most": rate / hardware.flops_per_second,
    }


def _name(point: Point) -> str:
    return f"{point.rows} x {point.adapters}"


def _decoded(bench: StepBench, point: Point, steps: int) -> tuple[Kernels, list[Step]]:
    """What a decode step launches, and unprofiled steps for their time; the prompts are cached before."""
    rows = point.row_adapters()
    bench.run(Batch(rows, _SHORT))
    timed = [step for step in bench.run(Batch(rows, _SHORT + steps)) if not step.prompt_tokens]
    device = bench.base.device
    shorter, longer = (
        counted(profiled(lambda tokens=tokens: bench.run(Batch(rows, tokens)), device))  # type: ignore[misc]
        for tokens in (_SHORT, _SHORT + steps)
    )
    return a_step(longer, shorter, steps), timed


def _prompted(bench: StepBench, point: Point, number: int) -> tuple[Kernels, list[Step]]:
    """What a step of prompts launches, on average over one batch's prompts, and unprofiled steps."""
    rows = point.row_adapters()
    timed = bench.run(Batch(rows, 1, _WARM_UP + number))
    steps: list[Step] = []
    launched = profiled(lambda: steps.extend(bench.run(Batch(rows, 1, _FRESH + number))), bench.base.device)
    return a_step(counted(launched), {}, len(steps)), timed


def _document(point: Point, kernels: Kernels, steps: list[Step], layers: int) -> Found:
    taken = sum(launched.microseconds for launched in kernels.values())
    whole = 1e6 * statistics.median(step.seconds for step in steps)
    return {
        "rows": point.rows,
        "adapters": point.adapters,
        "tokens_a_step": statistics.mean(step.tokens for step in steps),
        "launches_a_step": launches(kernels),
        "launches_a_layer": launches_a_layer(kernels, layers),
        "kernel_microseconds": taken,
        # Negative where kernels run beside each other.
        "microseconds_without_kernels": whole - taken,
        "step_microseconds": whole,
        "kernels": longest(kernels, _LONGEST),
    }


def _short(document: Found) -> Found:
    return {name: value for name, value in document.items() if name != "kernels"}
