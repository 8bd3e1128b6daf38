"""Finds the likeliest tokens of logits on CUDA by one launch, and decides whether that is right here.

torch takes five: the highest logits with their places, whether they are finite, the opposite, and the mark.
"""

from collections.abc import Callable, Mapping

import torch

from parfocal.engine.backends.cuda.fallback import Guarded, Report, Trial, choose
from parfocal.engine.backends.cuda.sampling.kernels import likeliest_kernel
from parfocal.engine.sampling import Likeliest, PlainLikeliest

# What a program takes at once, and its warps: enough of a row in flight at a time to hide how far memory is.
AT_ONCE, WARPS = 4096, 16
_TRIAL_TOKENS = AT_ONCE + 9

_Find = Callable[[torch.Tensor], torch.Tensor]


class CudaLikeliest:
    """Finds what `PlainLikeliest` finds, by a kernel until it fails."""

    def __init__(self, report: Report) -> None:
        self._plain = PlainLikeliest()
        self._find = Guarded("likeliest", by_kernel, self._plain.of_all, report)

    def of_all(self, logits: torch.Tensor) -> torch.Tensor:
        """The likeliest token of each row of `logits` [rows, vocabulary]."""
        return self._find(logits)

    def of_allowed(self, logits: torch.Tensor, allowed: Mapping[int, bytes], chosen: torch.Tensor) -> None:
        """The likeliest allowed tokens, of logits on a CPU."""
        self._plain.of_allowed(logits, allowed, chosen)


def by_kernel(logits: torch.Tensor) -> torch.Tensor:
    """The likeliest token of each row of `logits` [rows, vocabulary]. Raises what Triton raises."""
    rows = logits if logits.stride(1) == 1 else logits.contiguous()
    chosen = torch.empty(rows.shape[0], dtype=torch.int64, device=rows.device)
    launch(chosen, rows, None, 1)
    return chosen


def launch(chosen: torch.Tensor, rows: torch.Tensor, bent: torch.Tensor | None, stride: int) -> None:
    """Writes to `chosen` the likeliest tokens of `rows` [rows, vocabulary], whose tokens lie together.

    `bent` holds the rows' places in `chosen`, each at the head of `stride` numbers; there a -1 stays.
    """
    places = chosen if bent is None else bent
    sizes = {"BENT": bent is not None, "STRIDE": stride, "N": AT_ONCE, "num_warps": WARPS}
    likeliest_kernel[(rows.shape[0],)](chosen, rows, places, rows.stride(0), rows.shape[1], **sizes)


def choose_likeliest(device: torch.device, report: Report) -> Likeliest:
    """What finds the likeliest tokens here: our kernel if it finds what torch finds, else torch."""
    logits = _trial_logits().to(device)
    plain: _Find = PlainLikeliest().of_all
    trial = Trial[_Find](lambda find: find(logits).double(), 0.0)
    if choose("likeliest", lambda: by_kernel, plain, trial, report) is plain:
        return PlainLikeliest()
    return CudaLikeliest(report)


def _trial_logits() -> torch.Tensor:
    """Rows with one highest logit, with several, and with none that may be taken."""
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(6, _TRIAL_TOKENS, generator=draw)
    logits[1, [7, AT_ONCE + 3]] = 9.0
    logits[2] = -torch.inf
    logits[3, AT_ONCE + 1] = torch.inf
    logits[4, 5] = torch.nan
    logits[5, :-1] = -torch.inf
    return logits
