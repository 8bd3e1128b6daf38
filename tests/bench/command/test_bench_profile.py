"""The profiles of a bench: where a step's time goes and how it grows, with a clock that never lies."""

import ctypes
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import nn
from typer.testing import Result

from bench.pictures.growth_picture import growth_figure
from bench.pictures.steps_picture import steps_figure
from parfocal.bench.profiles.growth import BASE, DISTINCT, ONE, Point, growth_visits
from parfocal.bench.profiles.step_bench import Step
from parfocal.bench.profiles.step_parts import DECODE, PROMPTS, StepTime, step_time
from parfocal.bench.workloads.workload import Workload
from parfocal.engine.backends.native import Library, load
from parfocal.engine.backends.native.profile import PHASES, FusedProfile, NativeProfile
from parfocal.engine.model import ModuleProfile
from parfocal.engine.stopwatch import ATTENTION, HEAD, LORA, NORMS, ROTATION, ROWS, CpuMarks, Stopwatch
from parfocal.engine.stopwatch import BASE as BASE_LINEARS

Run = Callable[..., Result]
SMALL = Workload("llama-test", requests=4, adapters=3, rank=4, prompt_tokens=24, new_tokens=5)


class SlowNorm(nn.Module):
    """Passes its input on."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class Decoder(nn.Module):
    """A model of a norm and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.lm_head = SlowNorm(), nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.lm_head(self.norm(x))
        return logits


def _instants(*instants: float) -> Any:
    left: Iterator[float] = iter(instants)
    return lambda: next(left)


def _profile_of(model: Decoder) -> ModuleProfile:
    return ModuleProfile(model, lambda _: (), Stopwatch())


def test_while_an_inner_part_runs_the_outer_ones_clock_stands() -> None:
    watch = Stopwatch(CpuMarks(_instants(0.0, 1.0, 3.0, 7.0, 10.0, 12.0)))

    with watch.watching():
        with watch.part("outer"), watch.part("inner"):
            pass
        with watch.part("outer"):
            pass

    assert watch.take() == {"outer": 1.0 + 4.0 + 2.0, "inner": 2.0}
    assert watch.take() == {}


def test_while_nobody_watches_no_clock_is_read() -> None:
    watch = Stopwatch(CpuMarks(_instants()))

    with watch.part("outer"), watch.part("inner"):
        pass

    assert watch.take() == {}


def test_a_part_ends_with_its_error() -> None:
    watch = Stopwatch(CpuMarks(_instants(0.0, 2.0, 5.0, 6.0)))

    with watch.watching():
        with pytest.raises(ValueError, match="no"), watch.part("broken"):
            raise ValueError("no")
        with watch.part("whole"):
            pass

    assert watch.take() == {"broken": 2.0, "whole": 1.0}


class LateMarks:
    """A device that has passed its marks only when somebody waits for them."""

    def __init__(self) -> None:
        self.waited = 0
        self._now = 0.0

    def now(self) -> float:
        self._now += 1.0
        return self._now

    def seconds(self, begin: float, end: float) -> float:
        self.waited += 1
        return end - begin


def test_a_device_is_waited_for_when_times_are_taken_and_not_while_it_works() -> None:
    marks = LateMarks()
    watch = Stopwatch(marks)
    with watch.watching():
        for _ in range(3):
            with watch.part("part"):
                assert marks.waited == 0

    assert watch.take() == {"part": 3.0}
    assert marks.waited == 3


def test_a_profile_sees_the_models_parts_only_while_it_watches() -> None:
    model = Decoder()
    profile = _profile_of(model)

    model(torch.zeros(1, 2))
    assert profile.take() == {}
    with profile.watching():
        model(torch.zeros(1, 2))
    assert profile.take().keys() == {NORMS, HEAD}
    model(torch.zeros(1, 2))
    assert profile.take() == {}


def test_a_profile_leaves_no_hook_behind_even_after_an_error() -> None:
    model = Decoder()
    profile = _profile_of(model)

    with pytest.raises(ValueError, match="no"), profile.watching():
        raise ValueError("no")

    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


class OwnClock:
    """A native call's clock: 1, 2, 3 and 4 seconds of its phases, each time that it is read."""

    def __init__(self) -> None:
        self.on = 0

    def profile(self, on: int) -> None:
        self.on = on

    def profiled(self, to: int) -> None:
        seconds = (ctypes.c_double * len(PHASES)).from_address(to)
        seconds[:] = [1.0, 2.0, 3.0, 4.0]


def test_a_fused_profile_adds_what_the_native_call_counts_and_joins_all_that_is_row_wise() -> None:
    model, own = Decoder(), OwnClock()
    profile = FusedProfile(_profile_of(model), NativeProfile(cast(Library, own)))

    with profile.watching():
        assert own.on
        model(torch.zeros(1, 2))
    seconds = profile.take()

    assert not own.on
    assert seconds.keys() == {BASE_LINEARS, LORA, ATTENTION, ROWS, HEAD} <= set(profile.parts)
    assert [seconds[part] for part in (BASE_LINEARS, LORA, ATTENTION)] == [1.0, 2.0, 3.0]
    assert seconds[ROWS] > 4.0
    assert not {NORMS, ROTATION} & set(profile.parts)


def test_what_no_part_took_is_other_and_all_parts_make_the_whole() -> None:
    plain = [Step(seconds, 4, 0, {}) for seconds in (1.0, 2.0, 9.0)]
    clocked = [Step(seconds, 4, 0, {HEAD: seconds / 2}) for seconds in (2.0, 4.0, 8.0)]

    time = step_time(plain, clocked, (HEAD,))

    assert (time.steps, time.tokens, time.seconds, time.clocked_seconds) == (3, 4, 2.0, 4.0)
    assert (time.parts[HEAD], time.other) == (2.0, 2.0)
    assert sum(time.all_parts.values()) == time.clocked_seconds


def test_growth_visits_every_kind_of_step_once() -> None:
    visits = growth_visits(SMALL)

    assert [point.rows for point in visits.by_rows[BASE]] == [1, 2, 4, 8, 16, 32, 64]
    assert {point.adapters for point in visits.by_rows[ONE]} == {1}
    assert all(point.adapters == point.rows for point in visits.by_rows[DISTINCT])
    assert [point.adapters for point in visits.by_adapters] == [0, 1, 2, 4, 8, 16]
    assert len(set(visits.points())) == len(visits.points())
    assert Point(4, 2).row_adapters() == [0, 1, 0, 1]
    assert Point(2, 0).row_adapters() == [None, None]
    assert visits.workload.batch == visits.workload.adapters == 64


def test_the_picture_of_growth_has_every_line_and_its_roofline() -> None:
    visits = growth_visits(SMALL)
    found = {point: 0.001 * (1 + point.rows + point.adapters) for point in visits.points()}

    by_rows, by_adapters = growth_figure(visits, found, found, "made up").axes

    assert len(by_rows.get_lines()) == 2 * 3
    measured, roofline = by_adapters.get_lines()
    times: list[float] = list(measured.get_ydata())  # type: ignore[arg-type]  # points
    assert times == pytest.approx([17, 18, 19, 21, 25, 33])
    assert times == list(roofline.get_ydata())  # type: ignore[arg-type]  # points


def test_the_picture_of_steps_gives_prompts_an_axis_of_their_own() -> None:
    decode = StepTime(3, 4, 0.05, 0.06, {HEAD: 0.04})
    found = {DECODE: decode, PROMPTS: StepTime(3, 96, 1.5, 1.6, {HEAD: 0.1})}

    decodes, prompts = steps_figure(found, {DECODE: 0.01, PROMPTS: 0.5}, "made up").axes

    assert [bar.get_width() for bar in decodes.patches] == pytest.approx([40.0, 20.0])  # type: ignore[attr-defined]
    assert [bar.get_width() for bar in prompts.patches] == pytest.approx([100.0, 1500.0])  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def _profile(run: Run, cache: Path, plot: Path, *arguments: str) -> dict[str, Any]:
    size = ("--requests=4", "--adapters=3", "--rank=4", "--prompt-tokens=20-24", "--new-tokens=5")
    flags = ["--shape=llama-test", *size, *arguments]
    done = run("bench", "--json", f"--cache={cache}", f"--plot={plot}", *flags)
    assert done.exit_code == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("kernels", ["auto", "torch"])
def test_a_profile_of_steps_tells_of_every_kind_whatever_the_kernels(
    run: Run, cache: Path, tmp_path: Path, kernels: str
) -> None:
    found = _profile(run, cache, tmp_path / "steps.png", "--profile=steps", f"--kernels={kernels}")

    assert found["steps"].keys() == {"decode step", "decode step, base only", "prompt step"}
    for name, step in found["steps"].items():
        lora = step["parts"]["LoRA"]
        assert lora == 0.0 if "base only" in name else lora > 0.0
        is_fused = "norms, rotation, activation" in step["parts"]
        row_wise = ("norms, rotation, activation",) if is_fused else ("norms", "rotation", "activation")
        for part in ("base linears", "attention", "head", *row_wise, "sampling", "scheduling", "text"):
            assert step["parts"][part] > 0.0, part
        assert is_fused == (kernels == "auto" and load() is not None)
        assert 0.0 < step["share_of_limit"] < 1.0
    assert found["steps"]["decode step"]["tokens"] == 4
    assert (tmp_path / "steps.png").read_bytes().startswith(b"\x89PNG")


def test_a_profile_of_growth_has_a_time_and_a_limit_for_every_step(
    run: Run, cache: Path, tmp_path: Path
) -> None:
    found = _profile(run, cache, tmp_path / "growth.png", "--profile=growth", "--warmup=0")

    points = [*found["by_adapters"], *(point for line in found["by_rows"].values() for point in line)]
    assert len(points) == 6 + 3 * 7
    assert all(point["seconds"] > point["limit"]["seconds"] > 0.0 for point in points)
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")
