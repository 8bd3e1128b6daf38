"""Trains an adapter from data to a published version; torch is imported only once the data is accepted."""

import contextlib
import gc
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parfocal.engine import quick_imports, quiet_libraries, wait_briefly
from parfocal.registry import Registry, describe_base, locate_base, open_registry
from parfocal.training.config import TrainConfig
from parfocal.training.data import Prepared, prepare
from parfocal.training.errors import (
    DataRefused,
    Diverged,
    Interrupted,
    NothingToResume,
    ParentMismatch,
)
from parfocal.training.hyperparameters import Hyperparameters
from parfocal.training.parent import begun_from, check_parent, fetch_parent, find_parent
from parfocal.training.planning import Plan, estimate_lines
from parfocal.training.processes import Place, joined
from parfocal.training.publishing import ask_registry, open_existing
from parfocal.training.rewards import check_rewards
from parfocal.training.runs import (
    Checkpoint,
    Identity,
    Job,
    Parent,
    RunFolder,
    Sign,
    SilentWatcher,
    TrainResult,
    Watcher,
    absolute,
    full_disk_named,
    resumed,
    tool_versions,
)
from parfocal.training.settings import resolved_settings, settings_toml
from parfocal.training.several import Invitation, check_several, goes_on_from, leading, led
from parfocal.training.signing import SigningKey
from parfocal.training.targets import check_targets
from parfocal.training.watching import check_trackers, followed

if TYPE_CHECKING:
    from parfocal.training.methods import Fitted

_OWN_KEY = SigningKey()


def check(config: TrainConfig, key: SigningKey = _OWN_KEY) -> Prepared[Any]:
    """Checks the data, and chooses the hyper-parameters that follow; trains nothing.

    Raises:
        InvalidConfig: a setting is out of its range, or there is no such device or target module.
        DataUnreadable: a data file is missing.
        BaseUnfit: the base has no usable tokenizer or configuration.
        RegistryError: base, registry or parent cannot be reached, the base's form is not served, or the key
            to sign with is none.
        ParentMismatch: the adapter to continue from does not fit.
    """
    config, registry = _completed(config)
    prepared = _prepared(config)
    check_trackers(config.track)
    key.sign(config)
    # refuses a base that cannot be served
    contract = describe_base(locate_base(config.base_name, weights=False))
    if registry is not None:
        ask_registry(registry, config.name)
    _check_device(config)
    check_targets(config.targets, contract)
    check_rewards(config.rewards, contract, registry)
    if prepared.hyperparameters is not None:
        check_parent(config, contract, prepared.hyperparameters, registry)
    return prepared


def plan(config: TrainConfig) -> Plan:
    """Checks as `check` does, and says what `train` would do with these settings; trains nothing.

    Raises:
        DataRefused: the data has faults.
    """
    config, _ = _completed(config)
    prepared = check(config)
    if prepared.hyperparameters is None:
        raise DataRefused(prepared.report)
    return _planned(config, prepared, prepared.hyperparameters, weights=False)


def train(
    config: TrainConfig,
    watcher: Watcher | None = None,
    registry: Registry | None = None,
    key: SigningKey = _OWN_KEY,
) -> TrainResult:
    """Checks the data, trains, scores adapter and base, and publishes where `config.registry` says.

    `registry` is used instead of opening `config.registry`, where given; `key` reads the one that signs. On
    CPU the same settings, data and base give the same adapter bit for bit. Of several processes, as torchrun
    starts them, process 0 calls this and the others `assist`.

    Raises:
        TrainingError: one of its kinds, as `errors` lists them.
        RegistryError: base, parent or registry cannot be reached, or the name breaks the grammar.
    """
    with leading() as peers, followed(config, watcher or SilentWatcher()) as (everyone, tell):
        result = _carry_out(led(checked(config, everyone, registry, key).begin(), None, peers), None)
        tell(result.to_json())
    return result


def resume(
    output: Path,
    watcher: Watcher | None = None,
    registry: Registry | None = None,
    settings: Mapping[str, object] | None = None,
    key: SigningKey = _OWN_KEY,
) -> TrainResult:
    """Continues the run in `output`, which was interrupted or could not be published; otherwise as `train`.

    `settings` may change where the result goes, and what else leaves the adapter as it is. On CPU the result
    is bit for bit that of a run that was never interrupted.

    Raises:
        NothingToResume: the folder holds no run, or one that is finished.
        ResumeMismatch: a setting, the data, the base or the recipe is not what the run began with.
        RunDamaged: its record or its checkpoint is not as it was written.
    """
    folder, began = RunFolder.open(output)
    if folder.is_search:
        raise NothingToResume(
            f"{folder.path} holds a search, not a run; go on with: "
            f"parfocal tune --resume --output {folder.path}",
            field="output",
        )
    if folder.finished:
        raise NothingToResume(
            f"the run in {folder.path} is finished; publish it with: "
            f"parfocal train --publish-run {folder.path}",
            field="output",
        )
    if folder.diverged:
        raise NothingToResume(
            f"the run in {folder.path} has ended, and would end so again: {folder.diverged}", field="output"
        )
    config = resumed(replace(began, output=folder.path), settings or {})  # the folder may have been moved
    checkpoint = folder.checkpoints.latest()
    at = f"step {checkpoint.step}" if checkpoint else "the start: it was stopped before its first checkpoint"
    with leading() as peers, followed(config, watcher or SilentWatcher()) as (everyone, tell):
        begun = Begun(folder, checkpoint)
        job = led(checked(config, everyone, registry, key, begun).begin(begun), checkpoint, peers)
        job.watcher.say(f"Resuming from {at}")
        result = _carry_out(job, checkpoint)
        tell(result.to_json())
    return result


def assist() -> None:
    """Takes part in a run that process 0 trains or resumes: the same steps on other rows. Writes nothing.

    It is told the settings. Returns when the steps are done, also where the run is stopped or diverges, which
    process 0 tells of.

    Raises:
        PeerLost: another process has ended, or does not come.
        TrainingError: one of its kinds, as `errors` lists them, if it is this process that cannot go on.
    """
    with joined(Place.from_environment()) as peers:
        invitation = Invitation(peers)
        config = invitation.config
        prepared = _prepared(config)
        if prepared.hyperparameters is None:
            raise DataRefused(prepared.report)
        chosen = prepared.hyperparameters.shared_by(peers.place.size, config)
        base = locate_base(config.base_name, weights=True)
        contract = describe_base(base)
        invitation.check(prepared, contract)
        folder = invitation.folder
        job = Job(config, prepared, chosen, base, contract, folder, None, None, SilentWatcher(), peers=peers)
        peers.meet(config.process_minutes)
        with contextlib.suppress(Interrupted, Diverged):
            _fitted(job, invitation.checkpoint)


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that began earlier, and how far it came."""

    folder: RunFolder
    checkpoint: Checkpoint | None

    def parent(self, registry: Registry | None) -> Parent | None:
        """The parent as it was when the run began.

        Without its files where the registry has them no more and a checkpoint replaces them.
        """
        pinned = self.folder.parent
        if pinned is None:
            return None
        try:
            return fetch_parent(pinned, registry)
        except ParentMismatch:
            if self.checkpoint is None:
                raise
            return pinned


def _completed(config: TrainConfig) -> tuple[TrainConfig, Registry | None]:
    """The settings with what a parent decides, and the registry if it exists."""
    config.check()
    registry = None if config.registry is None else open_existing(config.registry)
    return begun_from(config, registry), registry


@dataclass(frozen=True, slots=True)
class Checked:
    """A run whose settings, data, base and registry are accepted; nothing of it is on disk yet."""

    planned: Plan
    registry: Registry | None
    parent: Parent | None
    watcher: Watcher
    sign: Sign | None

    def begin(self, begun: Begun | None = None) -> Job:
        """Creates the folder of a new run, or proves that it is the run that begun; writes what was found.

        Raises:
            RunExists: the folder holds something already.
            ResumeMismatch: data, rows, base or recipe are not those that it began with.
        """
        planned = self.planned
        config, prepared, chosen = planned.config, planned.prepared, planned.hyperparameters
        identity = Identity(
            prepared.data_digest,
            prepared.held_out_digest,
            planned.contract,
            prepared.validation_digest,
            chosen.to_json(),
            self.parent,
            tool_versions(),
            prepared.replay_digest,
        )
        folder = RunFolder.create(config, identity) if begun is None else begun.folder
        folder.check_identity(identity)
        folder.write_report(prepared.report.to_json())
        job = Job(
            config,
            prepared,
            chosen,
            planned.base,
            planned.contract,
            folder,
            self.registry,
            self.parent,
            self.watcher,
            self.sign,
        )
        write_settings(job)
        return job


def write_settings(job: Job) -> None:
    """Writes the settings that give the adapter of `job` again into its folder."""
    config, chosen = job.config, job.hyperparameters
    settings = resolved_settings(absolute(config), chosen, job.parent.name if job.parent else None)
    reasons = {choice.name: choice.reason for choice in chosen.choices}
    head = (
        "The same run again: parfocal train --settings THIS_FILE\n"
        f"data of this run: {job.prepared.data_digest}"
    )
    job.folder.write_settings(settings_toml(settings, reasons, head))


def checked(
    config: TrainConfig,
    watcher: Watcher,
    registry: Registry | None,
    key: SigningKey,
    begun: Begun | None = None,
) -> Checked:
    """Checks everything that needs no weights; raises as `train`."""
    wait_briefly()
    sign = key.sign(config)
    if begun is None and config.parent is not None:
        config.check()
        registry = registry or (None if config.registry is None else open_registry(config.registry))
        config = begun_from(config, registry)
    prepared = _prepared(config)
    planned = _planned(config, prepared, _accepted(prepared, watcher), weights=True)
    for line in planned.lines():
        watcher.say(line)
    if registry is None and config.registry is not None:
        registry = open_registry(config.registry)
    if registry is not None:
        ask_registry(registry, config.name)
    _check_device(config)
    check_targets(config.targets, planned.contract)
    check_rewards(config.rewards, planned.contract, registry)
    if begun is None:
        parent = find_parent(config, planned.contract, planned.hyperparameters, registry)
    else:
        parent = begun.parent(registry)
    return Checked(planned, registry, parent, watcher, sign)


def _planned(config: TrainConfig, prepared: Prepared[Any], chosen: Hyperparameters, *, weights: bool) -> Plan:
    base = locate_base(config.base_name, weights=weights)
    return Plan(config, prepared, chosen, base, describe_base(base))


def _prepared(config: TrainConfig) -> Prepared[Any]:
    config.check()
    check_several(config, Place.from_environment())
    return prepare(config, locate_base(config.base_name, weights=False).folder)


def _check_device(config: TrainConfig) -> None:
    """Asks torch only where the device was named, as importing it takes seconds."""
    if config.device in ("auto", "cpu"):
        return
    with quiet_libraries(), quick_imports():
        from parfocal.training.methods import training_device

        training_device(config)


def _accepted(prepared: Prepared[Any], watcher: Watcher) -> Hyperparameters:
    for line in prepared.report.lines():
        watcher.say(line)
    if prepared.hyperparameters is None:
        raise DataRefused(prepared.report)
    return prepared.hyperparameters


def _fitted(job: Job, checkpoint: Checkpoint | None) -> "Fitted":
    with quiet_libraries(), quick_imports():
        from parfocal.training.computing import fixed_threads
        from parfocal.training.methods import fit
    with (
        quiet_libraries(),
        fixed_threads(),
        goes_on_from(job.folder),
        job.peers.losses_named(),
        full_disk_named(job.folder.path),
    ):
        return fit(job, checkpoint)


def _carry_out(job: Job, checkpoint: Checkpoint | None) -> TrainResult:
    with quiet_libraries():
        with quick_imports():
            from parfocal.training.computing import give_back_memory
            from parfocal.training.finishing import finish

        planned = Plan(job.config, job.prepared, job.hyperparameters, job.base, job.contract)
        for line in estimate_lines(planned):
            job.watcher.say(line)
        with full_disk_named(job.folder.path):
            try:
                fitted = _fitted(job, checkpoint)
            except Diverged as error:
                job.folder.write_diverged(str(error))
                raise
            gc.collect()  # the trainer and its model form a cycle, and scoring loads the base once more
            give_back_memory()
            result = finish(job, fitted)
    job.folder.checkpoints.clear()
    for line in result.lines():
        job.watcher.say(line)
    return result
