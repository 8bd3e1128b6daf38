"""Trains an adapter from data to a published version; torch is imported only once the data is accepted."""

import gc
from pathlib import Path

from parfocal.engine import wait_briefly
from parfocal.registry import Registry, describe_base, locate_base, open_registry
from parfocal.training.config import TrainConfig
from parfocal.training.data import Prepared, prepare
from parfocal.training.errors import DataRefused, NothingToResume
from parfocal.training.library_noise import quiet_libraries
from parfocal.training.parent import find_parent
from parfocal.training.recipe import Recipe
from parfocal.training.runs import (
    Checkpoint,
    Checkpoints,
    Identity,
    Job,
    RunFolder,
    SilentWatcher,
    TrainResult,
    Watcher,
)


def check(config: TrainConfig) -> Prepared:
    """Returns what the checks find in the data, and the hyper-parameters they lead to; trains nothing.

    Raises:
        InvalidConfig: a setting is out of its range.
        DataUnreadable: a data file is missing.
        BaseUnfit: the base has no usable tokenizer or configuration.
        RegistryError: the base cannot be reached, or is stored in a form that is not served.
    """
    config.check()
    base = locate_base(config.base, weights=False)
    prepared = prepare(config, base.folder)
    describe_base(base)  # refuses a base that could not be served
    return prepared


def train(
    config: TrainConfig, watcher: Watcher | None = None, registry: Registry | None = None
) -> TrainResult:
    """Checks the data, trains, scores adapter and base, and publishes where `config.registry` says.

    `registry` is used instead of opening `config.registry`, where given. On CPU the same settings, data
    and base give the same adapter bit for bit.

    Raises:
        TrainingError: one of its kinds, as `errors` lists them.
        RegistryError: base, parent or registry cannot be reached, or the name breaks the grammar.
    """
    job = _job(config, watcher or SilentWatcher(), registry, None)
    return _carry_out(job, None)


def resume(output: Path, watcher: Watcher | None = None, registry: Registry | None = None) -> TrainResult:
    """Goes on with the run in `output`, which was interrupted or could not be published; else as `train`.

    On CPU the result is bit for bit that of a run that was never interrupted.

    Raises:
        NothingToResume: the folder holds no run, or one that is finished.
        ResumeMismatch: data or base are no longer what the run began with.
    """
    folder, config = RunFolder.open(output)
    if folder.finished:
        raise NothingToResume(f"the run in {folder.path} is finished", field="output")
    job = _job(config, watcher or SilentWatcher(), registry, folder)
    checkpoint = Checkpoints(folder.checkpoints).latest()
    at = f"step {checkpoint.step}" if checkpoint else "the start: it was stopped before its first checkpoint"
    job.watcher.say(f"Resuming from {at}")
    return _carry_out(job, checkpoint)


def _job(config: TrainConfig, watcher: Watcher, registry: Registry | None, folder: RunFolder | None) -> Job:
    """Checks everything that needs no weights, and only then makes the folder of a new run."""
    wait_briefly()
    prepared = check(config)
    recipe = _accepted(prepared, watcher)
    base = locate_base(config.base, weights=True)
    contract = describe_base(base)
    if registry is None and config.registry is not None:
        registry = open_registry(config.registry)
    parent = find_parent(config, contract, recipe, registry)
    identity = Identity(prepared.data_digest, prepared.held_out_digest, contract)
    if folder is None:
        folder = RunFolder.create(config, identity)
    folder.check_identity(identity)
    folder.write_report(prepared.report.to_json())
    return Job(config, prepared, recipe, base, contract, folder, registry, parent, watcher)


def _accepted(prepared: Prepared, watcher: Watcher) -> Recipe:
    for line in prepared.report.lines():
        watcher.say(line)
    if prepared.recipe is None:
        raise DataRefused(prepared.report)
    for choice in prepared.recipe.choices:
        watcher.say(f"{choice.name:<14}{choice.value!s:<12}{choice.reason}")
    return prepared.recipe


def _carry_out(job: Job, checkpoint: Checkpoint | None) -> TrainResult:
    with quiet_libraries():
        from parfocal.training.computing import fixed_threads
        from parfocal.training.finishing import finish
        from parfocal.training.methods import fit

        with fixed_threads():
            fitted = fit(job, checkpoint)
            gc.collect()  # the trainer and its model hold each other; scoring loads the base once more
            result = finish(job, fitted)
    Checkpoints(job.folder.checkpoints).clear()
    for line in result.lines():
        job.watcher.say(line)
    return result
