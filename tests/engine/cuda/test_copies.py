"""Copies follow the steps that run, wait on their own thread alone, and leave nothing under way."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
import torch

from fakes.engine.lora_weights import SHAPES, random_adapter
from parfocal.engine.backends.cuda.copies import CudaCopies, TorchCopyStream
from parfocal.engine.lora.store import LoraStore


class Diary:
    """A stream that writes down what is asked of it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def follow_steps(self) -> None:
        self.lines.append("follow steps")

    def queued(self) -> AbstractContextManager[object]:
        return self._scope()

    def finish(self) -> None:
        self.lines.append("finish")

    @contextmanager
    def _scope(self) -> Iterator[None]:
        self.lines.append("begin")
        try:
            yield
        finally:
            self.lines.append("end")


def test_work_is_queued_after_the_steps_and_finished_before_the_call_returns() -> None:
    diary = Diary()
    target = torch.ones(3)
    CudaCopies(diary).copy([target], [torch.tensor([1.0, 2.0, 3.0])])

    assert target.tolist() == [1, 2, 3]
    assert diary.lines == ["follow steps", "begin", "end", "finish"]
    CudaCopies(diary).zero([target])
    assert target.tolist() == [0, 0, 0]
    assert diary.lines == 2 * ["follow steps", "begin", "end", "finish"]


def test_copies_that_fail_leave_nothing_under_way() -> None:
    diary = Diary()
    with pytest.raises(RuntimeError):
        CudaCopies(diary).copy([torch.ones(3), torch.ones(3)], [torch.ones(3), torch.ones(4)])

    assert diary.lines[-2:] == ["end", "finish"]


def test_a_store_that_fails_to_copy_takes_no_place() -> None:
    class Refusing(Diary):
        def follow_steps(self) -> None:
            raise RuntimeError("the device is gone")

    store = LoraStore(SHAPES, torch.float64, torch.device("cpu"), copies=CudaCopies(Refusing(), pinned=False))
    with pytest.raises(RuntimeError, match="gone"):
        store.put(random_adapter(4))

    assert (store.places_used, store.size_bytes) == (0, 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int8])
def test_a_store_holds_the_same_weights_as_with_plain_copies(dtype: torch.dtype) -> None:
    diary = Diary()
    plain = LoraStore(SHAPES, dtype, torch.device("cpu"), 2)
    beside = LoraStore(SHAPES, dtype, torch.device("cpu"), 2, CudaCopies(diary, pinned=False))
    for store in (plain, beside):
        place = store.put(random_adapter(4, {"up"}, seed=1))
        store.put(random_adapter(3, seed=2))
        store.free(place)
        store.put(random_adapter(2, {"down"}, seed=3))
    for path in SHAPES:
        ours, theirs = (store.slabs[0].weights[path].parts for store in (beside, plain))
        assert all(torch.equal(our, their) for our, their in zip(ours, theirs, strict=True))


@pytest.mark.gpu
@torch.inference_mode()
def test_a_step_does_not_wait_for_copies_and_copies_wait_for_the_step() -> None:
    device = torch.device("cuda")
    copies = CudaCopies(TorchCopyStream(device))
    target = torch.zeros(1 << 26, device=device)
    source = torch.ones(1 << 26, pin_memory=True)
    big = torch.randn(8192, 8192, device=device)
    for _ in range(20):
        big = (big @ big).clamp(-1, 1)
    read = target.clone()  # queued behind the products: reads zeros although the copy is asked for now
    copies.copy([target], [source])

    assert float(read.sum()) == 0
    assert float(target.min()) == 1
