"""What only a real card has, so that everything else of the CUDA path can be put together without one."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..copies import Copies
from .attention import processors_of
from .clock import CudaClock
from .copies import CudaCopies, LoneCopyStream
from .four_bit import Clock
from .graphs import Capturer, CudaCapturer
from .step_peak import CudaPeak, Peak


@dataclass(frozen=True, slots=True)
class Card:
    """A card: its multiprocessors, its copies beside the steps, its graphs, its clock and its memory."""

    processors: int
    copies: Copies
    capturer: Capturer
    clock: Callable[[], Clock]
    peak: Peak


def card_of(device: torch.device) -> Card:
    """Returns the card behind a CUDA device, which becomes the thread's current one."""
    torch.cuda.set_device(device)
    return Card(
        processors=processors_of(device),
        copies=CudaCopies(LoneCopyStream(device)),
        capturer=CudaCapturer(device),
        # Holds memory while it lives.
        clock=lambda: CudaClock(device),
        peak=CudaPeak(device),
    )
