"""Where an adapter's files are and what they mean: what the engine is told by whoever fetched them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RankAndScale:
    """A module has factors `[rank, in]` and `[out, rank]`; their product counts `scale` times."""

    rank: int
    scale: float


@dataclass(frozen=True, slots=True)
class AdapterFolder:
    """A folder with an adapter's weights, and every module that they adapt, by its path in the base."""

    path: Path
    modules: Mapping[str, RankAndScale]
