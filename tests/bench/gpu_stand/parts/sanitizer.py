"""compute-sanitizer's memcheck over the kernels' tests: reads and writes out of bounds, of any thread."""

import re
import shutil
import subprocess
from pathlib import Path

from bench.gpu_stand.notes import Notes
from bench.gpu_stand.pytest_run import run_pytest
from bench.gpu_stand.setting import Setting

_TOOL = "compute-sanitizer"
_FOLDERS = ("/usr/local/cuda*/bin", "/usr/local/cuda*/compute-sanitizer", "/opt/cuda*/bin", "/opt/nvidia/*")
_SUMMARY = re.compile(r"^=+ (?:ERROR SUMMARY|LEAK SUMMARY): .*$", re.MULTILINE)
_FOUND = re.compile(r"^=+ (?:Invalid|Misaligned|Out-of-range|Program hit) .*$", re.MULTILINE)
# torch keeps freed memory and hands it out again, where an access out of bounds is none to the tool.
_NO_CACHE = {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
# Each launches kernels directly, on small tensors of odd sizes: engines would only launch the same again.
KERNEL_FILES = (
    "tests/engine/cuda/sampling/test_cuda_bends.py",
    "tests/engine/cuda/sampling/test_cuda_draws.py",
    "tests/engine/cuda/sampling/test_cuda_likeliest.py",
    "tests/engine/cuda/fused/test_fused_kernels.py",
    "tests/engine/cuda/lora/test_lora_kernels.py",
    "tests/engine/cuda/attention/test_attention_kernels.py",
    "tests/engine/cuda/four_bit/test_products.py",
    "tests/engine/cuda/four_bit/compiled/test_compiled_products.py",
)
# What the part has, less what it takes to start and to write down what it found.
_SECONDS = 60.0


def measure(setting: Setting, notes: Notes) -> None:
    """Runs it where it is installed; says so where not. What is cut off says what was found until then.

    In a dry run the tests run without the tool, and few of them.
    """
    tool = _found_tool()
    files = [name for name in KERNEL_FILES if Path(name).is_file()]
    assert len(files) == len(KERNEL_FILES), f"some of {KERNEL_FILES} are gone: name others"
    notes.sum_up(tool=tool or "not installed", test_files=len(files))
    if setting.is_dry:
        files = files[2:3]
    elif tool is None:
        return
    notes.begin(f"Running {len(files)} files under {tool if not setting.is_dry else 'nothing'}")
    report = setting.results / "sanitizer.xml"
    checked = [str(tool), "--tool", "memcheck", "--target-processes", "all", "--error-exitcode", "99"]
    limit = None if setting.is_dry else _SECONDS
    try:
        run = run_pytest(files, report, [] if setting.is_dry else checked, _NO_CACHE, limit)
    except subprocess.TimeoutExpired:
        notes.sum_up(cut_off_after_seconds=_SECONDS)
    else:
        notes.put(failures=run.failures, last_lines=run.last_lines)
        notes.sum_up(exit_code=run.code, **run.counts)
    said = report.with_suffix(".log").read_text("utf-8", "replace")
    notes.put(log_end=said[-4000:])
    notes.sum_up(memcheck=_SUMMARY.findall(said), found=_FOUND.findall(said))


def _found_tool() -> str | None:
    on_path = shutil.which(_TOOL)
    if on_path is not None:
        return on_path
    found = (
        path for folder in _FOLDERS for path in Path("/").glob(f"{folder[1:]}/{_TOOL}") if path.is_file()
    )
    return next((str(path) for path in found), None)
