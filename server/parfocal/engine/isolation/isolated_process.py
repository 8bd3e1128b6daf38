"""The outside of an isolated process: starts it, asks it, kills it when it takes too long."""

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from parfocal.engine.errors import EngineError

_START_S = 60.0  # a new process imports its libraries first, perhaps on a busy machine
_READ_BYTES = 1 << 16


class IsolatedProcess:
    """Answers one question at a time, in a process that starts with the first. Any thread may ask.

    `module` is run with `arguments` and calls `answer_lines`, after reading `first_line` if there is one. A
    process that was killed or has died is replaced at once, so that the next one is usually ready in time.
    """

    def __init__(self, module: str, arguments: Sequence[str], first_line: bytes | None = None) -> None:
        self._module = module
        self._arguments = arguments
        self._first_line = first_line
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_ready = False

    def ask(self, question: bytes, seconds: float) -> dict[str, Any]:
        """The answer to a line of JSON.

        Raises:
            TimeoutError: there was none in time.
            EOFError: the process died of the question.
            EngineError: the process did not start.
        """
        with self._lock:
            process = self._ready()
            ends = time.monotonic() + seconds
            try:
                _send(process, question)
                return _received(process, ends)
            except BrokenPipeError as error:
                self._replace()
                raise EOFError from error
            except (EOFError, TimeoutError):
                self._replace()
                raise

    def start(self) -> None:
        """Starts the process without waiting for it, which shortens the first question's wait."""
        with self._lock:
            self._started()

    def close(self) -> None:
        """Ends the process."""
        with self._lock:
            self._end()

    def _ready(self) -> subprocess.Popen[bytes]:
        process = self._started()
        if not self._is_ready:
            try:
                if self._first_line is not None:
                    _send(process, self._first_line)
                _received(process, time.monotonic() + _START_S)
            except (EOFError, TimeoutError, BrokenPipeError) as error:
                self._end()
                raise EngineError(f"the process of {self._module} did not start; the log says why") from error
            self._is_ready = True
        return process

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", self._module, *self._arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is meant for the server, which then ends this process
                env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        return self._process

    def _replace(self) -> None:
        self._end()
        self._started()

    def _end(self) -> None:
        if self._process is None:
            return
        process, self._process, self._is_ready = self._process, None, False
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        process.wait()


def _send(process: subprocess.Popen[bytes], line: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(line + b"\n")
    process.stdin.flush()


def _received(process: subprocess.Popen[bytes], ends: float) -> dict[str, Any]:
    """The next line of the process as JSON; raises TimeoutError at `ends`, EOFError if the process ends."""
    assert process.stdout is not None
    poll = select.poll()
    poll.register(process.stdout, select.POLLIN)
    pieces: list[bytes] = []
    while not pieces or not pieces[-1].endswith(b"\n"):
        if not poll.poll(max(0.0, ends - time.monotonic()) * 1000):
            raise TimeoutError
        pieces.append(os.read(process.stdout.fileno(), _READ_BYTES))
        if not pieces[-1]:
            raise EOFError
    reply: dict[str, Any] = json.loads(b"".join(pieces))
    return reply
