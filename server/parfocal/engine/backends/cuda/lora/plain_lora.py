"""LoRA by torch's own operations on the same pages: slower, and correct wherever torch is."""

from collections.abc import Sequence

import torch

from parfocal.engine.backends.cuda.lora.page_store import PageStore
from parfocal.engine.lora import LoraWork
from parfocal.engine.scheduling import Segment, merge


class PlainLora(LoraWork):
    """One step's LoRA work, adapter by adapter."""

    def __init__(self, store: PageStore, segments: Sequence[Segment]) -> None:
        self._store = store
        self._segments = merge(segments)

    def add_to(self, y: torch.Tensor, x: torch.Tensor, path: str) -> None:
        """Adds the adapters' part to `y` `[…, tokens, out]` in place, from `x` `[…, tokens, in]`."""
        self.add_to_group([y], x, (path,))

    def add_to_group(self, ys: Sequence[torch.Tensor], x: torch.Tensor, paths: Sequence[str]) -> None:
        """Adds the adapters' part for several linears on the same `x`."""
        for y, path in zip(ys, paths, strict=True):
            self._add(y, x, path)

    def _add(self, y: torch.Tensor, x: torch.Tensor, path: str) -> None:
        rows, out = x.reshape(-1, x.shape[-1]), y.view(-1, y.shape[-1])
        for segment in self._segments:
            found = self._store.matrices(segment.place, path, x.dtype)
            if found is not None:
                a, b = found
                out[segment.start : segment.end] += rows[segment.start : segment.end] @ a.T @ b.T
