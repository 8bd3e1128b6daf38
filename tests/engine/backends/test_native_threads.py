"""Shared work comes out the same with any number of threads, from any thread, and in a child process."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaMLP

from parfocal.engine.backends.native import Library
from parfocal.engine.backends.native.feed_forward import NativeFeedForward, is_silu_gated
from parfocal.engine.backends.native.linear import NativeLinear, pack_dense

_PATIENCE_SECONDS = 30.0


def _linear(library: Library) -> NativeLinear:
    torch.manual_seed(0)
    return pack_dense(library, torch.randn(500, 128), None)


def test_more_threads_change_no_bit(library: Library) -> None:
    linear, x = _linear(library), torch.randn(1, 40, 128)
    alone = linear(x)
    for threads in (2, 3, 8):
        library.threads(threads)
        assert all(torch.equal(linear(x), alone) for _ in range(50))


def test_callers_on_several_threads_get_their_own_answers(library: Library) -> None:
    library.threads(2)
    linear = _linear(library)
    inputs = [torch.randn(1, rows, 128) for rows in (1, 9, 30, 64)]
    right = [linear(x) for x in inputs]
    wrong: list[int] = []

    def call(number: int) -> None:
        for _ in range(300):
            if not torch.equal(linear(inputs[number]), right[number]):
                wrong.append(number)

    callers = [threading.Thread(target=call, args=(number,)) for number in range(len(inputs))]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert wrong == []


def test_a_sleeping_team_wakes_up(library: Library) -> None:
    library.threads(2)
    linear, x = _linear(library), torch.randn(1, 40, 128)
    right = linear(x)
    for _ in range(5):
        threading.Event().wait(0.02)  # long enough for the other thread to go to sleep
        assert torch.equal(linear(x), right)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_process_works_without_its_parents_threads(library: Library) -> None:
    library.threads(2)
    linear, x = _linear(library), torch.randn(1, 40, 128)
    right = linear(x)
    child = os.fork()
    if child == 0:
        os._exit(0 if torch.equal(linear(x), right) else 1)
    assert os.waitpid(child, 0)[1] == 0


def _status(child: int) -> int:
    """Returns how a child process ended; one that hangs is killed."""
    for _ in range(int(_PATIENCE_SECONDS / 0.01)):
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        threading.Event().wait(0.01)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@contextmanager
def _working(work: Callable[[], object]) -> Iterator[None]:
    """Does that work over and over on another thread while the scope lasts."""
    stop = threading.Event()

    def repeat() -> None:
        while not stop.is_set():
            work()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("profiling", [False, True])
def test_children_that_are_forked_during_a_step_work_on_and_so_does_their_parent(
    library: Library, profiling: bool
) -> None:
    library.threads(2)
    linear, x = _linear(library), torch.randn(1, 40, 128)
    right, many, times = linear(x), torch.zeros(2, 1 << 20), torch.zeros(4, dtype=torch.float64)
    gate, up = many[0].data_ptr(), many[1].data_ptr()
    library.profile(int(profiling))

    def work_on() -> bool:
        library.threads(2)
        library.profiled(times.data_ptr())
        return torch.equal(linear(x), right)

    def step() -> None:
        library.silu_times(gate, up, many.shape[1])
        linear(x)

    with _working(step):
        statuses = []
        for _ in range(8):
            child = os.fork()
            if child == 0:
                os._exit(0 if work_on() else 1)
            statuses.append(_status(child))
        assert work_on()
    library.profile(0)
    library.profiled(times.data_ptr())
    assert statuses == [0] * 8


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_of_a_child_works_too(library: Library) -> None:
    library.threads(2)
    linear, x = _linear(library), torch.randn(1, 40, 128)
    right = linear(x)
    with _working(lambda: linear(x)):
        child = os.fork()
        if child == 0:
            library.threads(2)
            linear(x)
            grandchild = os.fork()
            if grandchild == 0:
                library.threads(2)
                os._exit(0 if torch.equal(linear(x), right) else 1)
            os._exit(_status(grandchild))
        assert _status(child) == 0


@torch.inference_mode()
def test_a_gated_layer_is_transformers_layer(library: Library) -> None:
    layer = LlamaMLP(
        LlamaConfig(hidden_size=24, intermediate_size=50, num_attention_heads=4, hidden_act="silu")
    )
    assert is_silu_gated(layer)
    x = torch.randn(1, 7, 24) * 20
    torch.testing.assert_close(NativeFeedForward(library, layer)(x), layer(x), rtol=1e-5, atol=1e-5)


def test_other_activations_are_left_alone() -> None:
    gelu = LlamaMLP(
        LlamaConfig(
            hidden_size=24, intermediate_size=50, num_attention_heads=4, hidden_act="gelu_pytorch_tanh"
        )
    )
    assert not is_silu_gated(gelu)
