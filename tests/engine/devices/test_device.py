"""What can be had of a GPU is what torch holds and what nobody else has taken; and when it is lost."""

from dataclasses import dataclass, field

import pytest
import torch

from parfocal.engine.devices import Gpu, Machine, device_at, machine_bytes

CUDA = torch.device("cuda", 0)


@dataclass
class Card:
    """A card's memory as CUDA tells it, and the errors that its next calls raise; the last one for ever."""

    free: int = 0
    total: int = 0
    reserved: int = 0
    errors: list[Exception | None] = field(default_factory=lambda: [None])
    asked: int = 0

    def mem_get_info(self, device: torch.device) -> tuple[int, int]:
        return self.free, self.total

    def memory_reserved(self, device: torch.device) -> int:
        return self.reserved

    def empty_cache(self) -> None:
        self.reserved = 0

    def synchronize(self, device: torch.device) -> None:
        assert device == CUDA
        self.asked += 1
        error = self.errors[0] if len(self.errors) == 1 else self.errors.pop(0)
        if error is not None:
            raise error


def test_a_card_is_counted_whole_and_what_others_hold_is_not_reachable() -> None:
    device = Gpu(CUDA, Card(free=50, total=80, reserved=20))

    assert device.total_bytes() == 80
    assert device.reachable_bytes() == 70


def test_a_machines_memory_is_reachable_whole() -> None:
    assert Machine().reachable_bytes() == Machine().total_bytes() == machine_bytes() > 3


def test_a_device_is_what_torch_calls_it() -> None:
    cpu, cuda = device_at(torch.device("cpu")), device_at(CUDA)

    assert (cpu.at, cpu.overlaps) == (torch.device("cpu"), False)
    assert (cuda.at, cuda.overlaps) == (CUDA, True)
    assert cuda.share > cpu.share


ILLEGAL = torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
ASSERTED = RuntimeError("Triton Error [CUDA]: device-side assert triggered")


@pytest.mark.parametrize("error", [ILLEGAL, ASSERTED, torch.OutOfMemoryError("CUDA out of memory")])
def test_a_card_that_answers_to_nothing_after_an_error_is_lost(error: Exception) -> None:
    assert Gpu(CUDA, Card(errors=[error])).is_lost(error)


@pytest.mark.parametrize("reported_late", [[None], [ILLEGAL, None]], ids=["nothing", "what is over"])
def test_a_card_that_answers_is_not_lost_whatever_the_error_says(
    reported_late: list[Exception | None],
) -> None:
    card = Card(errors=reported_late)

    assert not Gpu(CUDA, card).is_lost(ILLEGAL)
    assert not Gpu(CUDA, card).is_lost(torch.OutOfMemoryError("CUDA out of memory"))


def test_what_no_device_raised_is_not_asked_of_it() -> None:
    card = Card(errors=[ILLEGAL])

    assert not Gpu(CUDA, card).is_lost(OSError("the disk is gone"))
    assert card.asked == 0


def test_memory_that_torch_only_keeps_is_given_back() -> None:
    card = Card(free=50, total=80, reserved=20)
    Gpu(CUDA, card).release()

    assert card.reserved == 0


def test_a_machine_is_never_lost() -> None:
    machine = Machine()
    machine.release()

    assert not machine.is_lost(ILLEGAL)
