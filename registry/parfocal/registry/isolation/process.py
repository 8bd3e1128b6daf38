"""The outside of an isolated process: starts it with the first question, ends it when it goes too far."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass

from parfocal.registry.isolation.framing import ANSWER, OUTGROWN, QUESTION

_START_S = 60.0  # a new process imports its libraries first, perhaps on a busy machine
_READ_BYTES = 1 << 20
# Of low priority, it may get a tenth of a processor. One that only waits, for a network say, is ended too.
_WALL_GROWTH = 10


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one answer may take: seconds of processor time, and bytes beyond those of the idle process."""

    cpu_s: int
    memory_bytes: int


class OutOfBounds(Exception):
    """A question took more than it may; its process was ended. The message says of what."""


class ProcessFailed(Exception):
    """The process did not start, or ended by a fault of its own; stderr says why."""


class IsolatedProcess:
    """Runs `python -m module`, which calls `answer_questions`. Any thread may ask; one question at a time."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_ready = False
        self._close: Callable[[], object] = _nothing

    def ask(self, question: bytes, bounds: Bounds) -> bytes:
        """The answer; raises OutOfBounds or ProcessFailed, after which a new process answers the next."""
        with self._lock:
            process = self._ready()
            try:
                _send(process, QUESTION.pack(len(question), bounds.cpu_s, bounds.memory_bytes), question)
                return _received(process, time.monotonic() + _WALL_GROWTH * bounds.cpu_s)
            except TimeoutError as error:
                self._end()
                raise OutOfBounds(f"more than {_WALL_GROWTH * bounds.cpu_s} seconds") from error
            except (EOFError, BrokenPipeError) as error:
                raise self._why_it_ended(process, bounds) from error

    def close(self) -> None:
        """Ends the process; a later question starts another."""
        with self._lock:
            self._end()

    def _ready(self) -> subprocess.Popen[bytes]:
        process = self._process
        if process is None or process.poll() is not None:
            self._end()
            process = self._started()
        if not self._is_ready:
            try:
                _received(process, time.monotonic() + _START_S)
            except (EOFError, TimeoutError) as error:
                self._end()
                raise ProcessFailed(f"{self._module} did not start") from error
            self._is_ready = True
        return process

    def _started(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", self._module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Ctrl-C is meant for the server, which then ends this process. It gets no session of its own,
            # within which alone Linux would heed its low priority.
            process_group=0,
        )
        self._process = process
        self._close = weakref.finalize(self, _ended, process)
        return process

    def _why_it_ended(self, process: subprocess.Popen[bytes], bounds: Bounds) -> OutOfBounds | ProcessFailed:
        code = process.wait()
        self._end()
        if code == -signal.SIGXCPU:
            return OutOfBounds(f"more than {bounds.cpu_s} seconds of processor time")
        if code == OUTGROWN or code in (-signal.SIGKILL, -signal.SIGABRT, -signal.SIGSEGV):
            return OutOfBounds(f"more than {bounds.memory_bytes >> 20} MiB of memory")
        return ProcessFailed(f"{self._module} ended with {code}")

    def _end(self) -> None:
        self._close()
        self._process, self._is_ready, self._close = None, False, _nothing


def _nothing() -> None:
    """What closes no process."""


def _ended(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
    process.wait()


def _send(process: subprocess.Popen[bytes], *parts: bytes) -> None:
    assert process.stdin is not None
    for part in parts:
        process.stdin.write(part)
    process.stdin.flush()


def _received(process: subprocess.Popen[bytes], ends: float) -> bytes:
    """The next answer; raises TimeoutError at `ends`, EOFError if the process ends."""
    (length,) = ANSWER.unpack(_exactly(process, ANSWER.size, ends))
    return _exactly(process, length, ends)


def _exactly(process: subprocess.Popen[bytes], count: int, ends: float) -> bytes:
    assert process.stdout is not None
    poll = select.poll()
    poll.register(process.stdout, select.POLLIN)
    pieces: list[bytes] = []
    while count:
        if not poll.poll(max(0.0, ends - time.monotonic()) * 1000):
            raise TimeoutError
        piece = os.read(process.stdout.fileno(), min(count, _READ_BYTES))
        if not piece:
            raise EOFError
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)
