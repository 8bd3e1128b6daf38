"""The tests that need a GPU, and those of its kernels."""

from bench.gpu_stand.notes import Notes
from bench.gpu_stand.pytest_run import run_pytest
from bench.gpu_stand.setting import Setting

KERNEL_TESTS = "tests/engine/cuda"
# Of the kernels' tests, some that Triton's interpreter is done with in seconds.
_DRY_TESTS = (
    "tests/engine/cuda/nvrtc",
    "tests/engine/cuda/sampling/test_cuda_likeliest.py",
    "tests/engine/cuda/four_bit/test_switch_points.py",
)


def measure(setting: Setting, notes: Notes) -> None:
    """Runs them. In a dry run the first are skipped, and of the second few run, in Triton's interpreter."""
    paths = ["tests/gpu", *(_DRY_TESTS if setting.is_dry else [KERNEL_TESTS])]
    notes.begin(f"Running {' and '.join(paths)}")
    run = run_pytest(paths, setting.results / "tests.xml")
    notes.put(failures=run.failures, last_lines=run.last_lines)
    notes.sum_up(exit_code=run.code, **run.counts, failed_tests=list(run.failures))
