"""What one run works on, gathered once: settings, checked data, base, folder, watcher. Values only."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from parfocal.registry import BaseContract, BaseFiles, Registry
from parfocal.registry.values import JSON, FileEntry
from parfocal.training.config import TrainConfig
from parfocal.training.data import Learnable, Prepared
from parfocal.training.hyperparameters import Hyperparameters
from parfocal.training.processes import ALONE, Peers
from parfocal.training.runs.identity import Parent
from parfocal.training.runs.progress import Watcher
from parfocal.training.runs.run_folder import RunFolder

# Makes the bundle that signs what is published under a name: of the manifest's digest, and of the files.
Sign: TypeAlias = Callable[[str, str, tuple[FileEntry, ...]], bytes]


@dataclass(frozen=True, slots=True)
class Job:
    """One run, ready to begin: its data is accepted and its folder exists.

    `origin` is what the provenance says besides the settings: how these were found.
    """

    config: TrainConfig
    prepared: Prepared[Learnable]
    hyperparameters: Hyperparameters
    base: BaseFiles
    contract: BaseContract
    folder: RunFolder
    registry: Registry | None
    parent: Parent | None
    watcher: Watcher
    sign: Sign | None = None
    peers: Peers = ALONE
    origin: Mapping[str, JSON] = field(default_factory=dict)
