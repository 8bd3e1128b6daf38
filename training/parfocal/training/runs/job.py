"""What one run works on, gathered once: settings, checked data, base, folder, watcher. Values only."""

from dataclasses import dataclass

from parfocal.registry import BaseContract, BaseFiles, Registry
from parfocal.training.config import TrainConfig
from parfocal.training.data import Prepared
from parfocal.training.hyperparameters import Hyperparameters
from parfocal.training.runs.identity import Parent
from parfocal.training.runs.progress import Watcher
from parfocal.training.runs.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class Job:
    """One run, ready to begin: its data is accepted and its folder exists."""

    config: TrainConfig
    prepared: Prepared
    hyperparameters: Hyperparameters
    base: BaseFiles
    contract: BaseContract
    folder: RunFolder
    registry: Registry | None
    parent: Parent | None
    watcher: Watcher
