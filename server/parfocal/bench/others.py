"""What does the same work beside our server. Protocols only: the rivals themselves live in a checkout."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from parfocal.bench.load import Stages, Target
from parfocal.bench.workloads import Workload


class ServerRival(Protocol):
    """Another server on this machine, which is given the same calls."""

    @property
    def name(self) -> str:
        """What tables and pictures call it."""

    @property
    def url(self) -> str:
        """Where requests go."""

    def check(self, workload: Workload) -> None:
        """Raises BenchError if it cannot do the work, before anything takes time."""

    def target(self, workload: Workload) -> Target:
        """The server as something that answers the workload's rounds."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What a rival starts from: the base and adapters that our server had, its device and its dtype."""

    base: Path
    adapters: Callable[[], Mapping[str, Path]]
    device: str
    dtype: str


class BatchRival(Protocol):
    """A library that answers all requests of a round in one batch, without a server."""

    def stages(self, workload: Workload) -> int:
        """How many stages `speeds` reports, at most."""

    def speeds(self, workload: Workload, ground: Ground, stages: Stages) -> Mapping[str, tuple[float, ...]]:
        """Tokens per second by dtype, round by round. Raises BenchError."""
