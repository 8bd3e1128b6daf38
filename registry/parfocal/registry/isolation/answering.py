"""The inside of an isolated process: answers until its input ends, within each question's bounds."""

import contextlib
import gc
import io
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

from parfocal.registry.isolation.framing import ANSWER, OUTGROWN, QUESTION

_LESS_URGENT = 10


def answer_questions(answer: Callable[[bytes], bytes]) -> None:
    """Answers what stands in the standard input, at a low priority; an empty answer announces that it began.

    A question that outgrows its bounds ends the process; so does an error, which is told on stderr.
    """
    _be_patient()
    questions, answers = sys.stdin.buffer, _answers()
    idle_bytes = _address_space()
    _write(answers, b"")
    with contextlib.suppress(BrokenPipeError):  # who asked is gone
        while head := questions.read(QUESTION.size):
            length, cpu_s, memory_bytes = QUESTION.unpack(head)
            _bound(resource.RLIMIT_CPU, _cpu_s() + cpu_s)
            if idle_bytes is not None:
                _bound(resource.RLIMIT_AS, idle_bytes + memory_bytes)
            try:
                _write(answers, answer(questions.read(length)))
            except MemoryError:
                # Not by an exception, whose way out could need memory too.
                os._exit(OUTGROWN)
            gc.collect()


def _answers() -> io.FileIO:
    """The standard output, which from now on is stderr to everybody else: a library may print."""
    own = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return own


def _write(answers: io.FileIO, answer: bytes) -> None:
    rest = memoryview(ANSWER.pack(len(answer)) + answer)
    while rest:
        rest = rest[answers.write(rest) :]


def _be_patient() -> None:
    with contextlib.suppress(OSError):
        os.nice(max(0, _LESS_URGENT - os.nice(0)))


def _bound(what: int, most: int) -> None:
    """Lowers or raises the soft limit, never over the hard one."""
    hard = resource.getrlimit(what)[1]
    resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _cpu_s() -> int:
    """The seconds of processor time so far, rounded up as the system counts them."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return int(used.ru_utime + used.ru_stime) + 1


def _address_space() -> int | None:
    """Its present size in bytes, where the system reports it (not on macOS)."""
    sizes = Path("/proc/self/statm")
    return int(sizes.read_text("ascii").split()[0]) * resource.getpagesize() if sizes.is_file() else None
