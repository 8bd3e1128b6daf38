"""What can be had of a GPU is what torch holds already and what nobody else has taken."""

from dataclasses import dataclass

import torch

from parfocal.engine.memory.device_memory import reachable_bytes, total_bytes

CUDA = torch.device("cuda")


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
    card = Card(free=50, total=80, reserved=20)

    assert total_bytes(CUDA, card) == 80
    assert reachable_bytes(CUDA, card) == 70


def test_a_machine_is_not_asked_for_a_card() -> None:
    cpu = torch.device("cpu")

    assert reachable_bytes(cpu, Card(1, 2, 3)) == total_bytes(cpu, Card(1, 2, 3)) > 3
