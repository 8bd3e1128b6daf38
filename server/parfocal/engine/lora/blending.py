"""Makes one adapter of several: side by side, their low-rank products are the weighted sum of theirs."""

import math
from collections.abc import Mapping, Sequence

import torch

from parfocal.engine.errors import AdapterRefused
from parfocal.engine.lora.adapter_files import LoraWeights, ModuleWeights


def blended(
    parts: Sequence[tuple[LoraWeights, float]], digest: str, dtype: torch.dtype, max_rank: int
) -> LoraWeights:
    """The weighted sum of adapters, given in float32, as one of type `dtype`; each module's ranks add up.

    A part that does not adapt a module adds nothing there. Raises AdapterRefused where the ranks add up to
    more than `max_rank`, or a number is too large for `dtype`.
    """
    modules: dict[str, list[tuple[ModuleWeights, float]]] = {}
    for weights, weight in parts:
        for path, module in weights.modules.items():
            modules.setdefault(path, []).append((module, weight))
    ranks = {path: [module.a.shape[0] for module, _ in found] for path, found in modules.items()}
    _check_ranks(ranks, max_rank, digest)
    return LoraWeights(digest, {path: _side_by_side(path, found, dtype) for path, found in modules.items()})


def _check_ranks(ranks: Mapping[str, Sequence[int]], max_rank: int, digest: str) -> None:
    path, widest = max(ranks.items(), key=lambda item: sum(item[1]))
    if sum(widest) > max_rank:
        raise AdapterRefused(
            f"{path} would have rank {' + '.join(map(str, widest))} = {sum(widest)} in this blend; this "
            f"engine serves ranks up to {max_rank}: blend fewer or smaller adapters, or raise max_rank",
            digest=digest,
            max_rank=str(max_rank),
        )


def _side_by_side(
    path: str, found: Sequence[tuple[ModuleWeights, float]], dtype: torch.dtype
) -> ModuleWeights:
    """The weights go to A, each of whose rows is scaled by itself where adapters are integers.

    There a row of B has one scale for all parts, so each part's B is brought to the same size: by a power of
    two, which rounds nothing in float32.
    """
    sizes = [_power_of_two(module.b) if dtype is torch.float32 else 1.0 for module, _ in found]
    a = torch.cat([module.a * (weight * size) for (module, weight), size in zip(found, sizes, strict=True)])
    b = torch.cat([module.b / size for (module, _), size in zip(found, sizes, strict=True)], dim=1)
    made = ModuleWeights(a.to(dtype), b.to(dtype))
    if not (made.a.isfinite().all() and made.b.isfinite().all()):
        raise AdapterRefused(
            f"{path} has numbers in this blend that {str(dtype).removeprefix('torch.')} cannot hold; "
            "lower the weights"
        )
    return made


def _power_of_two(matrix: torch.Tensor) -> float:
    """The size of its largest element, within a factor of two; 1 for zeros."""
    _, exponent = math.frexp(float(matrix.abs().max()))
    return math.ldexp(1.0, exponent)
