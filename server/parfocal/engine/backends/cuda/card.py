"""What only a real card has, so that the rest of the CUDA path can be assembled without one."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from parfocal.engine.backends.cuda.attention import processors_of
from parfocal.engine.backends.cuda.clock import CudaClock
from parfocal.engine.backends.cuda.copies import CudaCopies, LoneCopyStream
from parfocal.engine.backends.cuda.four_bit import Clock
from parfocal.engine.backends.cuda.side_stream import SideStream, TorchSideStream
from parfocal.engine.backends.cuda.steps import Capturer, CudaCapturer, CudaPeak, Peak
from parfocal.engine.lora import Copies


@dataclass(frozen=True, slots=True)
class Card:
    """A card: its multiprocessors, its copies beside the steps, its graphs, its clock and its memory.

    `side` is a second stream within steps; None where there is none.
    """

    processors: int
    copies: Copies
    capturer: Capturer
    clock: Callable[[], Clock]
    peak: Peak
    side: SideStream | None = None


def card_of(device: torch.device) -> Card:
    """The card behind a CUDA device, which becomes the thread's current one."""
    torch.cuda.set_device(device)
    return Card(
        processors=processors_of(device),
        copies=CudaCopies(LoneCopyStream(device)),
        capturer=CudaCapturer(device),
        # Holds memory as long as it exists.
        clock=lambda: CudaClock(device),
        peak=CudaPeak(device),
        side=TorchSideStream(device),
    )
