"""What kernels are compiled for."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Target:
    """A card's compute capability, and the bytes of a multiprocessor's shared memory."""

    capability: tuple[int, int]
    shared_bytes: int

    @property
    def architecture(self) -> str:
        """The name by which compilers know it."""
        return "sm_{}{}".format(*self.capability)


def target_of(device: torch.device) -> Target:
    """The card behind a CUDA device."""
    card = torch.cuda.get_device_properties(device)
    return Target((card.major, card.minor), card.shared_memory_per_multiprocessor)
