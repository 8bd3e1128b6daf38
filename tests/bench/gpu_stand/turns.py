"""Gives parts their turns, each in a process of its own with a limit: none takes another's time with it.

Knows no GPU and no part: what runs is a command, and what it found is a file.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# A process that was asked to end gets so long to do so.
_GRACE_S = 5.0
_STDERR = 2
# With fewer left, a part would only be cut off.
LEAST_S = 5.0


@dataclass(frozen=True, slots=True)
class Part:
    """A part's name, the most seconds that it may take, and the command that waits for a line on stdin."""

    name: str
    limit_s: float
    command: Sequence[str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a part ended: ok, failed, timed out, or skipped; its error, and what it found until then."""

    status: str
    seconds: float
    limit_s: float
    error: str = ""
    summary: Mapping[str, object] | None = None

    def document(self) -> dict[str, object]:
        """Returns it for machines, without what there is not."""
        facts = {"status": self.status, "seconds": round(self.seconds, 1), "limit_seconds": self.limit_s}
        said = {"error": self.error} if self.error else {}
        return {**facts, **said, "summary": self.summary or {}}


class Turn:
    """A part's process, from its start on: it imports, and waits."""

    def __init__(self, part: Part, results: Path) -> None:
        self.part = part
        self._found = results / f"{part.name}.json"
        self._found.unlink(missing_ok=True)
        # A session of its own, so that what it starts ends with it. Its words are progress, and no result.
        self._process = subprocess.Popen(
            part.command, stdin=subprocess.PIPE, stdout=_STDERR, start_new_session=True
        )
        self._begun = time.monotonic()
        self._is_stopped = False

    def begin(self) -> None:
        """Lets the part measure."""
        self._begun = time.monotonic()
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(b"now\n")
            self._process.stdin.close()
        except BrokenPipeError:
            pass  # it has ended already; `end` says how

    def end(self, left_s: float) -> Outcome:
        """Waits for the part, as long as it may take, and returns how it ended."""
        limit = max(0.0, min(self.part.limit_s, left_s))
        try:
            self._process.wait(limit)
            is_late = False
        except subprocess.TimeoutExpired:
            is_late = True
        # Also after a good end: what the part started must not go on beside the next one.
        self.stop()
        return self._outcome(limit, is_late)

    def drop(self) -> Outcome:
        """Ends a part that has had no turn."""
        self.stop()
        return Outcome("skipped", 0.0, self.part.limit_s, "no time was left")

    def stop(self) -> None:
        """Ends the part's process, and all that it started; once, for its number may be another's later."""
        if self._is_stopped:
            return
        self._is_stopped = True
        for sign, grace in ((signal.SIGTERM, _GRACE_S), (signal.SIGKILL, None)):
            try:
                os.killpg(self._process.pid, sign)
            except ProcessLookupError:
                break
            try:
                self._process.wait(grace)
            except subprocess.TimeoutExpired:
                continue
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        self._process.wait()

    def _outcome(self, limit: float, is_late: bool) -> Outcome:
        found = json.loads(self._found.read_text("utf-8")) if self._found.is_file() else {}
        seconds, code = time.monotonic() - self._begun, self._process.returncode
        if is_late:
            return Outcome("timed out", seconds, limit, f"cut off after {limit:.0f} s", found.get("summary"))
        error = found.get("error", "")
        if code != 0:
            error = error or f"ended with code {code}"
        return Outcome("failed" if error else "ok", seconds, limit, error, found.get("summary"))


def take_turns(parts: Sequence[Part], results: Path, until: float, ahead: int) -> dict[str, Outcome]:
    """Runs the parts one after the other until `time.monotonic()` is `until`; starts so many ahead."""
    outcomes: dict[str, Outcome] = {}
    started: list[Turn] = []
    try:
        for place, part in enumerate(parts):
            started += [Turn(each, results) for each in parts[len(started) : place + 1 + ahead]]
            outcomes[part.name] = _turn(started[place], until)
    finally:
        for turn in started:
            turn.stop()
    return outcomes


def _turn(turn: Turn, until: float) -> Outcome:
    left = until - time.monotonic()
    if left < LEAST_S:
        return turn.drop()
    print(f"== {turn.part.name}, {left:.0f} s left", file=sys.stderr, flush=True)
    turn.begin()
    return turn.end(left)
