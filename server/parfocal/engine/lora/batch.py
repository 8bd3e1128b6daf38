"""The LoRA work of one step: y += (x A) B for each row under its own adapter, base rows untouched.

Rows arrive sorted by place, so the tokens of an adapter are neighbours. Adapters with few tokens (decode)
share one batched matmul over a run of neighbouring slots; adapters with many (prefill) get a matmul each,
on views. The split is the one of Punica's BGMV and SGMV (arXiv 2310.18547).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

import torch

from parfocal.engine.lora.store import AdapterPair, Slab
from parfocal.engine.scheduling import Segment, merge

SHORT_TOKENS = 16
MAX_GAP = 2


class LoraWork(Protocol):
    """One step's LoRA work, ready to be applied to each adapted module in turn."""

    def add_to(self, y: torch.Tensor, x: torch.Tensor, path: str) -> None:
        """Adds the adapters' part to `y` `[…, tokens, out]` in place, from `x` `[…, tokens, in]`."""

    def add_to_group(self, ys: Sequence[torch.Tensor], x: torch.Tensor, paths: Sequence[str]) -> None:
        """Adds the adapters' part for several linears on the same `x`; one by one unless overridden."""
        for y, path in zip(ys, paths, strict=True):
            self.add_to(y, x, path)


@dataclass(frozen=True, slots=True)
class _Run:
    """Slots `first` to `last` (exclusive) of a slab with `width` tokens each.

    `gather` `[slots * width]` picks each slot's tokens, padded with any; `target` and `source` put the real
    ones back. All three are None when the tokens `start` to `end` fill the rectangle exactly.
    """

    slab: Slab
    first: int
    last: int
    width: int
    start: int
    end: int
    gather: torch.Tensor | None
    source: torch.Tensor | None
    target: torch.Tensor | None


class LoraBatch(LoraWork):
    """One step's segments, ready to be applied to each adapted module in turn."""

    def __init__(self, segments: Sequence[Segment], slabs: Mapping[int, Slab], device: torch.device) -> None:
        merged = merge(segments)
        self._long = [(slabs[s.place.slab], s) for s in merged if s.tokens > SHORT_TOKENS]
        short = [s for s in merged if s.tokens <= SHORT_TOKENS]
        self._runs = [_run(slabs[run[0].place.slab], run, device) for run in _runs(short)]

    def add_to(self, y: torch.Tensor, x: torch.Tensor, path: str) -> None:
        """Adds the adapters' part to `y` `[…, tokens, out]` in place, from `x` `[…, tokens, in]`."""
        rows, out = x.reshape(-1, x.shape[-1]), y.view(-1, y.shape[-1])
        for run in self._runs:
            pair = run.slab.weights.get(path)
            if pair is not None:
                _add_run(out, rows, run, pair)
        for slab, segment in self._long:
            pair = slab.weights.get(path)
            if pair is not None:
                at = segment.place.index
                (a,), (b,) = pair.whole(slice(at, at + 1), x.dtype)
                part = slice(segment.start, segment.end)
                out[part].addmm_(rows[part].to(a.dtype) @ a, b)


def _add_run(y: torch.Tensor, x: torch.Tensor, run: _Run, pair: AdapterPair) -> None:
    a, b = pair.whole(slice(run.first, run.last), x.dtype)
    shape = (run.last - run.first, run.width, -1)
    if run.gather is None or run.source is None or run.target is None:
        part = slice(run.start, run.end)
        y[part].view(shape).baddbmm_(torch.bmm(x[part].to(a.dtype).view(shape), a), b)
        return
    delta = torch.bmm(torch.bmm(x[run.gather].to(a.dtype).view(shape), a), b)
    y.index_add_(0, run.target, delta.view(-1, y.shape[-1])[run.source])


def _runs(segments: Sequence[Segment]) -> list[list[Segment]]:
    """Splits sorted segments into runs of nearby slots, so that few idle slots are computed."""
    runs: list[list[Segment]] = []
    for _, same_slab in groupby(segments, key=lambda s: s.place.slab):
        run: list[Segment] = []
        for segment in same_slab:
            if run and segment.place.index - run[-1].place.index > MAX_GAP:
                runs.append(run)
                run = []
            run.append(segment)
        runs.append(run)
    return runs


def _run(slab: Slab, segments: Sequence[Segment], device: torch.device) -> _Run:
    first, last = segments[0].place.index, segments[-1].place.index + 1
    width = max(segment.tokens for segment in segments)
    start, end = segments[0].start, segments[-1].end
    full = (last - first) * width
    if end - start == full and full == sum(segment.tokens for segment in segments):
        return _Run(slab, first, last, width, start, end, None, None, None)
    gather = [0] * full
    source: list[int] = []
    target: list[int] = []
    for segment in segments:
        corner = (segment.place.index - first) * width
        gather[corner : corner + segment.tokens] = range(segment.start, segment.end)
        source += range(corner, corner + segment.tokens)
        target += range(segment.start, segment.end)
    index = torch.tensor(gather + source + target, device=device)
    parts = torch.split(index, [full, len(source), len(target)])
    return _Run(slab, first, last, width, start, end, *parts)
