"""A kernel that fails or errs is replaced by plain torch, once, for good, and not in silence."""

import ast
import logging
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path as Folder

import pytest
import torch
from triton.runtime.errors import OutOfResources

from parfocal.engine import KERNELS, KernelReport, SilentObserver
from parfocal.engine.backends import cuda
from parfocal.engine.backends.cuda.fallback import Guarded, Trial, choose, reports_to
from parfocal.engine.backends.cuda.four_bit import Way
from parfocal.engine.backends.cuda.four_bit.compiled.product import CompiledProduct
from parfocal.engine.backends.cuda.fused.shrinking import InOneLaunch, OnTwoStreams

Path = Callable[[torch.Tensor], torch.Tensor]
TRIAL = Trial[Path](lambda path: path(torch.tensor([1.0, -4.0])), tolerance=0.01)
FULL_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("Triton Error [CUDA]: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
]
FAILURES = [
    OutOfResources(300_000, 100_000, "shared memory"),
    RuntimeError("no kernel image is available for execution on the device"),
    torch.AcceleratorError("an illegal memory access was encountered"),
    OSError("libcuda.so: cannot open shared object file"),
    ImportError("No module named 'triton'"),
    subprocess.CalledProcessError(1, ["ptxas", "kernel.ptx"]),
]


class Reports:
    """Keeps what is reported."""

    def __init__(self) -> None:
        self.all: list[tuple[str, str]] = []

    def __call__(self, kernel: str, reason: str) -> None:
        self.all.append((kernel, reason))


@pytest.fixture
def reports() -> Reports:
    """What the paths under test report."""
    return Reports()


def doubled(x: torch.Tensor) -> torch.Tensor:
    return x * 2


def nearly_doubled(x: torch.Tensor) -> torch.Tensor:
    return x * 2.001


def tripled(x: torch.Tensor) -> torch.Tensor:
    return x * 3


def broken(x: torch.Tensor) -> torch.Tensor:
    return x * float("nan")


def shortened(x: torch.Tensor) -> torch.Tensor:
    return doubled(x)[:1]


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("path", [doubled, nearly_doubled])
def test_a_fast_path_that_agrees_is_chosen_without_a_word(
    path: Path, reports: Reports, caplog: pytest.LogCaptureFixture
) -> None:
    assert choose("lora", lambda: path, doubled, TRIAL, reports) is path
    assert (reports.all, warnings_in(caplog)) == ([], [])


@pytest.mark.parametrize("error", FAILURES + FULL_MEMORY, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("when", ["made", "run"])
def test_a_fast_path_that_fails_is_given_up_with_one_warning_and_one_report(
    error: Exception, when: str, reports: Reports, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(x: torch.Tensor) -> torch.Tensor:
        raise error

    def made() -> Path:
        if when == "made":
            raise error
        return failing

    assert choose("lora", made, doubled, TRIAL, reports) is doubled
    ((kernel, reason),) = reports.all
    (warning,) = warnings_in(caplog)
    assert kernel == "lora"
    assert reason.startswith(type(error).__name__)
    assert all(part in warning for part in ("lora: ", " on ", reason, "slower, same results"))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (tripled, "max error 4 exceeds tolerance 0.08"),
        (broken, "max error nan"),
        (shortened, "(1,) numbers for (2,)"),
    ],
)
def test_a_fast_path_whose_numbers_differ_is_given_up(wrong: Path, words: str, reports: Reports) -> None:
    assert choose("lora", lambda: wrong, doubled, TRIAL, reports) is doubled
    assert words in reports.all[0][1]


def test_a_reason_is_one_line_of_bearable_length(reports: Reports) -> None:
    def made() -> Path:
        raise RuntimeError("at 3:7:\n" + "    much code\n" * 100)

    choose("lora", made, doubled, TRIAL, reports)

    assert "\n" not in reports.all[0][1]
    assert len(reports.all[0][1]) == 300


def test_what_the_plain_path_raises_and_programmers_mistakes_are_raised(reports: Reports) -> None:
    def failing(x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("the base itself is broken")

    def mistaken(x: torch.Tensor) -> torch.Tensor:
        raise KeyError("model.layers.0")

    with pytest.raises(RuntimeError, match="the base itself"):
        choose("lora", lambda: doubled, failing, TRIAL, reports)
    with pytest.raises(KeyError):
        choose("lora", lambda: mistaken, doubled, TRIAL, reports)
    with pytest.raises(KeyError):
        Guarded("lora", mistaken, doubled, reports)(torch.ones(1))
    assert reports.all == []


class WearsOut:
    """Doubles so many times and fails ever after."""

    def __init__(self, times: int, error: Exception) -> None:
        self.calls, self._times, self._error = 0, times, error

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        if self.calls > self._times:
            raise self._error
        return x * 2


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_the_first_failed_launch_ends_the_fast_path_and_costs_no_answer(
    error: Exception, reports: Reports, caplog: pytest.LogCaptureFixture
) -> None:
    fast = WearsOut(2, error)
    guarded = Guarded("attention", fast, doubled, reports)
    answers = [guarded(torch.tensor([number])).tolist() for number in range(5)]

    assert answers == [[0], [2], [4], [6], [8]]
    assert (fast.calls, guarded.is_fast) == (3, False)
    assert [kernel for kernel, _ in reports.all] == ["attention"]
    assert len(warnings_in(caplog)) == 1


class FailsOnce:
    """Doubles every time but the third."""

    def __init__(self, error: Exception) -> None:
        self.calls, self._error = 0, error

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        if self.calls == 3:
            raise self._error
        return x * 2


@pytest.mark.parametrize("error", FULL_MEMORY, ids=lambda error: type(error).__name__)
def test_memory_that_is_full_for_once_costs_the_fast_path_one_call(
    error: Exception, reports: Reports, caplog: pytest.LogCaptureFixture
) -> None:
    fast = FailsOnce(error)
    plain = FailsOnce(error)
    guarded = Guarded("lora", fast, plain, reports)
    answers = [guarded(torch.tensor([number])).tolist() for number in range(6)]

    assert answers == [[0], [2], [4], [6], [8], [10]]
    assert (fast.calls, plain.calls, guarded.is_fast) == (6, 1, True)
    assert (reports.all, warnings_in(caplog)) == ([], [])


def test_full_memory_that_leaves_the_plain_path_none_either_is_raised_and_passes(reports: Reports) -> None:
    fast, plain = (WearsOut(0, FULL_MEMORY[0]) for _ in range(2))
    guarded = Guarded("lora", fast, plain, reports)
    with pytest.raises(torch.OutOfMemoryError):
        guarded(torch.ones(1))

    assert guarded.is_fast
    assert reports.all == []


@pytest.mark.parametrize("error", FULL_MEMORY, ids=lambda error: type(error).__name__)
def test_memory_that_is_full_at_the_trial_is_given_back_and_the_trial_repeated(
    error: Exception, reports: Reports
) -> None:
    errors = [error]

    def once_full(x: torch.Tensor) -> torch.Tensor:
        if errors:
            raise errors.pop()
        return x * 2

    assert choose("graphs", lambda: once_full, doubled, TRIAL, reports) is once_full
    assert reports.all == []


def test_what_fails_on_the_plain_path_too_is_raised(reports: Reports) -> None:
    gone = WearsOut(0, torch.AcceleratorError("the device is gone"))
    guarded = Guarded("attention", gone, gone, reports)
    for _ in range(2):
        with pytest.raises(torch.AcceleratorError, match="gone"):
            guarded(torch.ones(1))

    assert len(reports.all) == 1


class Watcher(SilentObserver):
    """Keeps the reports on kernels."""

    def __init__(self) -> None:
        self.reports: list[KernelReport] = []

    def kernel(self, report: KernelReport) -> None:
        self.reports.append(report)


def test_an_observer_is_told() -> None:
    watcher = Watcher()
    choose("lora", lambda: tripled, doubled, TRIAL, reports_to(watcher))

    assert [report.kernel for report in watcher.reports] == ["lora"]


def names_given() -> Iterator[str]:
    """Yields what the CUDA backend calls kernels that may be replaced; of formatted names the start."""
    replacing = {"choose", "Guarded", "unless_memory_is_full"}
    for path in Folder(cuda.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            name = node.args[0] if node.func.id in replacing and node.args else None
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield name.value
            elif isinstance(name, ast.JoinedStr) and isinstance(name.values[0], ast.Constant):
                yield str(name.values[0].value)


def test_every_kernel_that_may_be_replaced_is_named_for_those_who_count() -> None:
    formatted = {
        "products_": [*(way.name.lower() for way in Way), CompiledProduct.name],
        "shrink_": [InOneLaunch.name, OnTwoStreams.name],
    }
    found = {given + kind for given in names_given() for kind in formatted.get(given, [""])}

    assert found == set(KERNELS)
    assert len(KERNELS) == len(set(KERNELS))
