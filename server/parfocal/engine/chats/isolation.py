"""Runs templates in a process of their own, with bounds on time, memory and text.

A template is someone else's program: it may loop for ever or exhaust memory. Then its process is killed, the
next chat gets a new one, and the server goes on.
"""

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any

from parfocal.engine.chats.templates import TemplateCall, Written
from parfocal.engine.errors import ChatRefused, EngineError

_START_S = 60.0  # a new process imports its libraries first, perhaps on a busy machine
_READ_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class TemplateLimits:
    """What one run may take: seconds, bytes beyond the idle process, characters of text."""

    seconds: float = 2.0
    memory_bytes: int = 512 << 20
    characters: int = 16 << 20


class TemplateProcess:
    """Runs one template at a time, in a process that starts with the first. Any thread may call it."""

    def __init__(self, limits: TemplateLimits | None = None) -> None:
        self._limits = limits or TemplateLimits()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_ready = False

    def __call__(self, call: TemplateCall) -> Written:
        """Runs the template.

        Raises:
            ChatRefused: the template raised an error, or reached one of the limits.
        """
        with self._lock:
            reply = self._answer(json.dumps(asdict(call), default=str).encode("ascii"))
        if "refusal" in reply:
            raise ChatRefused(str(reply["refusal"]), field="chat")
        return Written(reply["text"], tuple((start, end) for start, end in reply["answers"]))

    def start(self) -> None:
        """Starts the process without waiting for it, which shortens the first chat's wait."""
        with self._lock:
            self._started()

    def close(self) -> None:
        """Ends the process."""
        with self._lock:
            self._end()

    def _answer(self, question: bytes) -> dict[str, Any]:
        process = self._ready()
        ends = time.monotonic() + self._limits.seconds
        try:
            _send(process, question)
            return _received(process, ends)
        except TimeoutError as error:
            self._replace()
            raise ChatRefused(
                f"the chat template takes longer than {self._limits.seconds:g} seconds for these messages",
                field="chat",
            ) from error
        except (EOFError, BrokenPipeError) as error:
            self._replace()
            raise ChatRefused(
                "the chat template takes too much memory for these messages", field="chat"
            ) from error

    def _ready(self) -> subprocess.Popen[bytes]:
        process = self._started()
        if not self._is_ready:
            try:
                _received(process, time.monotonic() + _START_S)
            except (EOFError, TimeoutError) as error:
                self._end()
                raise EngineError("the process for chat templates did not start; the log says why") from error
            self._is_ready = True
        return process

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            command = [sys.executable, "-P", "-m", "parfocal.engine.chats.isolated"]
            self._process = subprocess.Popen(
                [*command, str(self._limits.memory_bytes), str(self._limits.characters)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is meant for the server, which then ends this process
                env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        return self._process

    def _replace(self) -> None:
        """Kills the process and starts the next right away, so that it is usually ready in time."""
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
