"""Draws tokens from logits on CUDA by one copy and one launch, and decides whether that is right here.

torch takes about fifteen, two or three of them copies, and where top-p is asked for it waits for the device.
A draw may differ from torch's where its number falls between two tokens' within rounding: a millionth.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from parfocal.engine.backends.cuda.fallback import Guarded, Report, Trial, choose
from parfocal.engine.backends.cuda.sampling.kernels import draw_kernel
from parfocal.engine.request import Sampling
from parfocal.engine.sampling import COLDEST, Draws, PlainDraws

# What a program takes at once, and its warps: more would not fit into its registers. A search keeps PIVOTS
# sums for each of FEW tokens.
AT_ONCE, WARPS = 1024, 16
PIVOTS, FEW = 8, 1024
_TRIAL_TOKENS = AT_ONCE + 9


class CudaDraws:
    """Draws what `PlainDraws` draws, by a kernel until it fails."""

    def __init__(self, report: Report) -> None:
        self._draw = Guarded("draws", by_kernel, PlainDraws().draw, report)

    def draw(
        self,
        logits: torch.Tensor,
        pairs: Sequence[tuple[int, int]],
        samplings: Sequence[Sampling],
        chances: npt.NDArray[np.float64],
        chosen: torch.Tensor,
    ) -> None:
        """Replaces likeliest tokens in `chosen` by draws from rows of `logits`."""
        self._draw(logits, pairs, samplings, chances, chosen)


def by_kernel(
    logits: torch.Tensor,
    pairs: Sequence[tuple[int, int]],
    samplings: Sequence[Sampling],
    chances: npt.NDArray[np.float64],
    chosen: torch.Tensor,
) -> None:
    """As `Draws.draw`. Raises what Triton raises, and then has drawn nothing."""
    whole = logits if logits.stride(1) == 1 else logits.contiguous()
    vocabulary = whole.shape[1]
    settings = _settings(pairs, samplings, chances, vocabulary)
    if whole.is_cuda:
        settings = settings.pin_memory().to(whole.device, non_blocking=True)
    sizes = {"PIVOTS": PIVOTS, "FEW": FEW, "N": AT_ONCE, "num_warps": WARPS}
    draw_kernel[(len(pairs),)](chosen, whole, settings, whole.stride(0), vocabulary, **sizes)


def choose_draws(device: torch.device, report: Report) -> Draws:
    """What draws here: our kernel if it draws what torch draws, else torch."""
    plain = PlainDraws()
    trial = Trial[Draws](lambda draws: _trial(draws, device), 0.0)
    return choose("draws", lambda: CudaDraws(report), plain, trial, report)


def _settings(
    pairs: Sequence[tuple[int, int]],
    samplings: Sequence[Sampling],
    chances: npt.NDArray[np.float64],
    vocabulary: int,
) -> torch.Tensor:
    """What the kernel knows of each row, in one tensor: one copy takes it to the device."""
    told = [
        (
            row,
            place,
            max(one.temperature, COLDEST),
            one.top_k if 0 < one.top_k < vocabulary else 0,
            one.top_p,
            min(one.min_p, 1.0),
            chance,
        )
        for (row, place), one, chance in zip(pairs, samplings, chances.tolist(), strict=True)
    ]
    return torch.from_numpy(np.array(told, np.float64))


def _trial(draws: Draws, device: torch.device) -> torch.Tensor:
    """The tokens of rows with every limit, with ties at a limit, and with none that may be taken."""
    samplings = [
        Sampling(temperature=1.0),
        Sampling(temperature=0.7, top_k=40),
        Sampling(temperature=1.3, top_p=0.9),
        Sampling(temperature=1.0, min_p=0.05),
        Sampling(temperature=0.8, top_k=100, top_p=0.95, min_p=0.01),
        Sampling(temperature=1.0, top_k=3),
        Sampling(temperature=1.0),
    ]
    source = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(len(samplings), _TRIAL_TOKENS, generator=source)
    logits[5, [3, 7, AT_ONCE, AT_ONCE + 5]] = 20.0
    chosen = logits.argmax(dim=-1)
    chosen[6] = -1
    there, found = logits.to(device), chosen.to(device)
    chances = np.linspace(0.15, 0.95, len(samplings))
    every = [(place, place) for place in range(len(samplings))]
    draws.draw(there, every, samplings, chances, found)
    return found.double()
