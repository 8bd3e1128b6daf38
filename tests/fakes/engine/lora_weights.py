"""Random adapters in memory, for tests of what holds and applies them."""

from collections.abc import Iterable, Mapping

import torch

from parfocal.engine.lora.adapter_files import LoraWeights, ModuleWeights

SHAPES: Mapping[str, tuple[int, int]] = {"up": (6, 9), "down": (9, 6), "gate": (6, 4)}


def random_adapter(
    rank: int,
    modules: Iterable[str] = SHAPES,
    seed: int = 0,
    shapes: Mapping[str, tuple[int, int]] = SHAPES,
) -> LoraWeights:
    """Returns an adapter with float64 matrices for `modules`, all of one rank."""
    numbers = torch.Generator().manual_seed(seed)
    pairs = {}
    for path in sorted(modules):
        wide, tall = shapes[path]
        a = torch.randn(rank, wide, generator=numbers, dtype=torch.float64)
        b = torch.randn(tall, rank, generator=numbers, dtype=torch.float64)
        pairs[path] = ModuleWeights(a, b)
    return LoraWeights(f"rank{rank}-{seed}", pairs)


def added(weights: LoraWeights, path: str, x: torch.Tensor) -> torch.Tensor:
    """Returns what the adapter adds for one token `x` `[in]`, by the plain formula."""
    pair = weights.modules.get(path)
    return torch.zeros(SHAPES[path][1], dtype=x.dtype) if pair is None else x @ pair.a.T @ pair.b.T
