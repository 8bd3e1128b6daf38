"""Loads a base through a cache for CUDA's kernels, and stops half-way to be killed.

`python -m fakes.engine.killed_repack BASE CACHE WHERE`: WHERE is `packing`, when a layer has been repacked,
or `writing`, when an entry's tensors are on disk but not its seal. Prints `here` and waits.
"""

import sys
import time
from pathlib import Path

import torch
from torch import nn

from parfocal.engine import BaseCache, EngineConfig
from parfocal.engine.backends.cuda import Card, CudaBackend
from parfocal.engine.backends.cuda.four_bit import BlockedLinears
from parfocal.engine.devices import Machine
from parfocal.engine.loading import load_base
from parfocal.engine.lora.copies import PlainCopies
from parfocal.engine.model import ResidentBase

CONFIG = EngineConfig(device="cpu", dtype="float32", kernels="torch")


def never(*_: object) -> None:
    """Stands where a card has what loading does not ask for."""
    raise AssertionError("not while loading")


def backend() -> CudaBackend:
    """CUDA's backend on a CPU, good for loading."""
    card = Card(1, PlainCopies(), never, never, never)  # type: ignore[arg-type]
    return CudaBackend(Machine(), card, torch.float32)


def loaded(base: Path, cache: BaseCache | None) -> ResidentBase:
    """The base as CUDA's kernels hold it."""
    return load_base(base, CONFIG, cache=cache, backend=backend())


def _wait() -> None:
    print("here", flush=True)
    time.sleep(600)


class _StopsPacking(BlockedLinears):
    def pack(self, model: nn.Module) -> None:
        layer = model.get_submodule("model.layers.0")
        super().pack(layer)
        _wait()


class _StopsWriting(BaseCache):
    """The label goes into the seal, after the tensors."""

    @property
    def label(self) -> str:
        """Where it stops."""
        _wait()
        return ""

    @label.setter
    def label(self, label: str) -> None:
        """Ignores it."""


def _main(base: Path, root: Path, where: str) -> None:
    stopping = backend()
    if where == "packing":
        stopping.linears = _StopsPacking()
    cache = BaseCache(root) if where == "packing" else _StopsWriting(root)
    load_base(base, CONFIG, cache=cache, backend=stopping)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
