"""What can be had of a GPU is what torch holds already and what nobody else has taken."""

from dataclasses import dataclass

import torch

from parfocal.engine.devices import Gpu, Machine, device_at, machine_bytes

CUDA = torch.device("cuda", 0)


@dataclass(frozen=True)
class Card:
    """A card's memory as CUDA tells it."""

    free: int
    total: int
    reserved: int

    def mem_get_info(self, device: torch.device) -> tuple[int, int]:
        return self.free, self.total

    def memory_reserved(self, device: torch.device) -> int:
        return self.reserved


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
