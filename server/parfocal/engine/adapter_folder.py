"""Where an adapter's files are and how they are meant, as whoever fetches them tells the engine."""

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
