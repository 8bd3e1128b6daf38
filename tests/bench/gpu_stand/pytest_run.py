"""Runs pytest as a process of its own and counts what came of it."""

import importlib.util
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# Most of the time is Triton's compiler, which takes a core each; four are left to what runs beside.
_SPARE_CORES = 4
_MOST_WORKERS = 16
_LAST_LINES = 3


@dataclass(frozen=True, slots=True)
class TestRun:
    """What pytest said: its exit code, how many tests ended how, and the failed ones with their reasons."""

    __test__ = False

    code: int
    counts: Mapping[str, int]
    failures: Mapping[str, str]
    last_lines: Sequence[str]


def run_pytest(
    paths: Sequence[str],
    report: Path,
    prefix: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
) -> TestRun:
    """Runs the tests under `paths`; `prefix` is a command that runs it. Its output goes to `report`.log.

    Warnings are shown and fail nothing: the libraries here are not those that the tests pin. Raises
    subprocess.TimeoutExpired.
    """
    command = [*prefix, sys.executable, "-m", "pytest", *paths, "-q", "-W", "default"]
    command += ["-p", "no:cacheprovider", f"--junitxml={report}"]
    if importlib.util.find_spec("xdist"):
        command += ["-n", str(workers(os.cpu_count() or 1))]
    log = report.with_suffix(".log")
    with log.open("wb") as out:
        done = subprocess.run(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            timeout=timeout_s,
            check=False,
        )
    counts, failures = _counted(report)
    lines = log.read_text("utf-8", "replace").splitlines()
    return TestRun(done.returncode, counts, failures, lines[-_LAST_LINES:])


def workers(cores: int) -> int:
    """How many processes share the tests; 0 is this one alone.

    >>> workers(2), workers(8), workers(16), workers(128)
    (0, 4, 12, 16)
    """
    return min(_MOST_WORKERS, max(0, cores - _SPARE_CORES))


def _counted(report: Path) -> tuple[dict[str, int], dict[str, str]]:
    if not report.is_file():
        return {}, {}
    cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    failures = {
        f"{case.get('classname')}::{case.get('name')}": (fault.get("message") or "").partition("\n")[0]
        for case in cases
        for kind in ("failure", "error")
        if (fault := case.find(kind)) is not None
    }
    skipped = sum(case.find("skipped") is not None for case in cases)
    passed = len(cases) - len(failures) - skipped
    return {"passed": passed, "failed": len(failures), "skipped": skipped}, failures
