"""The fast lane of the tests, `--quick`: every file that takes less than a second.

`tests/slow.txt` lists the other files; `--record-lanes` adds to it what a run has found slow. A file's time
is that of all its tests and of its import; who imports torch first pays for it. It is the processor's time,
children's included, so that a busy machine slows no file. Where several processes share the tests (`-n`),
each measures its own, and the one that they report to adds the figures up.
"""

import os
import time
from collections import defaultdict
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

SLOW_S = 1.0
_FOLDER = Path(__file__).resolve().parent
_ROOT = _FOLDER.parent
_LIST = _FOLDER / "slow.txt"
_TAKEN = "processor_s"
# The rules of the house belong to every check, whatever they take.
_ALWAYS = frozenset({_FOLDER / "test_layout.py"})
_HEADER = "# Files that take a second or more, or load torch; added to by: pytest --record-lanes\n"


def slow_files() -> frozenset[Path]:
    """Returns the files that the fast lane leaves out."""
    lines = _LIST.read_text("utf-8").splitlines()
    return frozenset(_ROOT / line for line in lines if line and not line.startswith("#"))


class Lanes:
    """Keeps slow files out of a quick run, and tells or records what each file took."""

    def __init__(self, is_quick: bool, records: bool) -> None:
        self._left_out = slow_files() if is_quick else frozenset()
        self._is_quick = is_quick
        self._records = records
        self._taken: defaultdict[Path, float] = defaultdict(float)
        self._imports: defaultdict[Path, float] = defaultdict(float)
        self._begun = 0.0

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Leaves unread what is slow or holds no test: much of it would load torch, a conftest also."""
        if not self._is_quick:
            return None
        if collection_path.is_dir():
            return not any(path not in self._left_out for path in collection_path.rglob("test_*.py")) or None
        return collection_path in self._left_out or not _holds_tests(collection_path) or None

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Counts what importing a file takes."""
        begun = _processor_s()
        report = yield
        if isinstance(collector, pytest.Module):
            self._imports[collector.path] += _processor_s() - begun
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Counts a test with everything that it starts from."""
        self._begun = _processor_s()
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Sends what the test took with its last report, and the import with the file's first."""
        report = yield
        if call.when == "teardown":
            taken = _processor_s() - self._begun + self._imports.pop(item.path, 0.0)
            report.user_properties.append((_TAKEN, taken))
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Adds up what each file took."""
        for name, seconds in report.user_properties:
            if name == _TAKEN:
                self._taken[_ROOT / report.nodeid.partition("::")[0]] += float(str(seconds))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Says which files have become too slow for the fast lane; fails nothing."""
        if not self._is_quick:
            return
        for path, seconds in sorted(self._slow().items()):
            name = path.relative_to(_ROOT)
            terminalreporter.write_line(f"{name}: {seconds:.1f} s; add it to tests/slow.txt")

    def pytest_sessionfinish(self) -> None:
        """Adds what was slow to the list, if that was asked for, and drops files that are gone."""
        if not self._records or not self._taken:
            return
        known = {path for path in slow_files() if path.is_file()}
        slow = known | self._slow().keys()
        names = sorted(path.relative_to(_ROOT).as_posix() for path in slow)
        _LIST.write_text(_HEADER + "".join(f"{name}\n" for name in names), "utf-8")

    def _slow(self) -> dict[Path, float]:
        return {
            path: seconds
            for path, seconds in self._taken.items()
            if seconds >= SLOW_S and path not in _ALWAYS
        }


def _holds_tests(path: Path) -> bool:
    return path.name.startswith("test_") or path.name == "conftest.py"


def _processor_s() -> float:
    """Returns the seconds that this process and those that it has waited for have computed."""
    spent = os.times()
    return time.process_time() + spent.children_user + spent.children_system
