"""The fast lane of the tests, `--quick`: every file of which no test takes a second.

`tests/slow.txt` lists the other files; `--record-lanes` writes it anew from what a whole run took. Both count
the processor's time, children's included, so that a busy machine slows no test.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SLOW_S = 1.0
_FOLDER = Path(__file__).resolve().parent
_ROOT = _FOLDER.parent
_LIST = _FOLDER / "slow.txt"
_HEADER = "# Files with a test that takes a second or more; written by: pytest --record-lanes\n"


def slow_files() -> frozenset[Path]:
    """Returns the files that the fast lane leaves out."""
    lines = _LIST.read_text("utf-8").splitlines()
    return frozenset(_ROOT / line for line in lines if line and not line.startswith("#"))


class Lanes:
    """Keeps slow files out of a quick run, and tells or records what each file's slowest test took."""

    def __init__(self, is_quick: bool, records: bool) -> None:
        self._left_out = slow_files() if is_quick else frozenset()
        self._is_quick = is_quick
        self._records = records
        self._slowest: dict[Path, float] = {}

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Leaves a slow file unread: most of them would load torch."""
        return True if collection_path in self._left_out else None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Counts a test with everything that it starts from."""
        begun = _processor_s()
        try:
            return (yield)
        finally:
            taken = _processor_s() - begun
            self._slowest[item.path] = max(taken, self._slowest.get(item.path, 0.0))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Says which files have become too slow for the fast lane; fails nothing."""
        if not self._is_quick:
            return
        for path, seconds in sorted(self._slowest.items()):
            if seconds >= SLOW_S:
                name = path.relative_to(_ROOT)
                terminalreporter.write_line(f"{name}: a test took {seconds:.1f} s; add it to tests/slow.txt")

    def pytest_sessionfinish(self) -> None:
        """Writes the list, if that was asked for; files that did not run keep their place."""
        if not self._records:
            return
        others = {path for path in slow_files() if path.is_file() and path not in self._slowest}
        slow = others | {path for path, seconds in self._slowest.items() if seconds >= SLOW_S}
        names = sorted(path.relative_to(_ROOT).as_posix() for path in slow)
        _LIST.write_text(_HEADER + "".join(f"{name}\n" for name in names), "utf-8")


def _processor_s() -> float:
    """Returns the seconds that this process and those that it has waited for have computed."""
    spent = os.times()
    return time.process_time() + spent.children_user + spent.children_system
