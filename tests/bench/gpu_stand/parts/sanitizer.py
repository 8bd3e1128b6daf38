"""compute-sanitizer's memcheck over the kernels' tests: reads and writes out of bounds, of any thread."""

import re
import shutil
from pathlib import Path

from bench.gpu_stand.notes import Notes
from bench.gpu_stand.parts.tests import KERNEL_TESTS
from bench.gpu_stand.pytest_run import run_pytest
from bench.gpu_stand.setting import Setting

_TOOL = "compute-sanitizer"
_FOLDERS = ("/usr/local/cuda*/bin", "/usr/local/cuda*/compute-sanitizer", "/opt/cuda*/bin", "/opt/nvidia/*")
_SUMMARY = re.compile(r"^=+ (?:ERROR SUMMARY|LEAK SUMMARY): .*$", re.MULTILINE)
# torch keeps freed memory and hands it out again, where an access out of bounds is none to the tool.
_NO_CACHE = {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}


def measure(setting: Setting, notes: Notes) -> None:
    """Runs it where it is installed and there are tests; says so where not."""
    tool = _found_tool()
    tests = sorted(Path(KERNEL_TESTS).glob("test_*.py"))
    notes.sum_up(tool=tool or "not installed", test_files=len(tests))
    if tool is None or not tests or setting.is_dry:
        return
    notes.begin(f"Running {KERNEL_TESTS} under {tool}")
    report = setting.results / "sanitizer.xml"
    prefix = [tool, "--tool", "memcheck", "--error-exitcode", "99"]
    run = run_pytest([KERNEL_TESTS], report, prefix, _NO_CACHE)
    said = _SUMMARY.findall(report.with_suffix(".log").read_text("utf-8", "replace"))
    notes.put(failures=run.failures, last_lines=run.last_lines)
    notes.sum_up(exit_code=run.code, memcheck=said, **run.counts)


def _found_tool() -> str | None:
    on_path = shutil.which(_TOOL)
    if on_path is not None:
        return on_path
    found = (
        path for folder in _FOLDERS for path in Path("/").glob(f"{folder[1:]}/{_TOOL}") if path.is_file()
    )
    return next((str(path) for path in found), None)
