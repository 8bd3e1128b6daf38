"""A process for what strangers can make long: it answers, and what goes too far ends it and nothing else."""

import os
import sys
from collections.abc import Iterator

import pytest

from parfocal.registry.isolation import Bounds, IsolatedProcess, OutOfBounds, ProcessFailed

BOUNDS = Bounds(cpu_s=1, memory_bytes=256 << 20)
MODULE = "fakes.registry.questions"


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator[IsolatedProcess]:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    made = IsolatedProcess(MODULE)
    yield made
    made.close()


@pytest.mark.parametrize("question", [b"", b"abc", bytes(range(256)) * 20_000])
def test_it_answers_however_long_the_question(process: IsolatedProcess, question: bytes) -> None:
    assert process.ask(question, BOUNDS) == question[::-1]
    assert process.ask(b"ab", BOUNDS) == b"ba"


@pytest.mark.parametrize(
    ("question", "said"),
    # Beside much other work, ten seconds by the clock may be over first.
    [(b"work for ever", "1 seconds of processor|10 seconds"), (b"grow for ever", "256 MiB")],
)
def test_what_takes_too_much_is_ended_and_the_next_question_is_answered(
    process: IsolatedProcess, question: bytes, said: str
) -> None:
    with pytest.raises(OutOfBounds, match=said):
        process.ask(question, BOUNDS)
    assert process.ask(b"ab", BOUNDS) == b"ba"


def test_a_fault_of_its_own_is_no_fault_of_the_question(process: IsolatedProcess) -> None:
    with pytest.raises(ProcessFailed, match="ended with 3"):
        process.ask(b"fail", BOUNDS)
    assert process.ask(b"ab", BOUNDS) == b"ba"


def test_what_a_library_prints_is_no_answer(process: IsolatedProcess) -> None:
    assert process.ask(b"print", BOUNDS) == b"tnirp"
    assert process.ask(b"ab", BOUNDS) == b"ba"


def test_it_leaves_the_processor_to_others(process: IsolatedProcess) -> None:
    assert int(process.ask(b"priority", BOUNDS)) >= 10


def test_after_it_was_closed_a_question_starts_it_again(process: IsolatedProcess) -> None:
    process.ask(b"ab", BOUNDS)
    process.close()
    assert process.ask(b"ab", BOUNDS) == b"ba"


def test_one_that_does_not_start_says_so() -> None:
    with pytest.raises(ProcessFailed, match="did not start"):
        IsolatedProcess("fakes.registry.no_such_module").ask(b"ab", BOUNDS)
