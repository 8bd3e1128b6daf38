"""One run in several processes: what is refused of it, and what its leader and the others tell each other."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from parfocal.registry import BaseContract
from parfocal.registry.values import JSON
from parfocal.training.config import TrainConfig
from parfocal.training.data import Prepared
from parfocal.training.errors import DataUnreadable, InvalidConfig, PeerLost, ResumeMismatch
from parfocal.training.hyperparameters import rows_of_each
from parfocal.training.processes import Peers, Place, joined, refuse_sharding
from parfocal.training.runs import Checkpoint, Identity, Job, RunFolder, absolute

_BEGUN = "begun"
_ALONE = {"grpo": "it draws and rewards its answers in one"}


def check_several(config: TrainConfig, place: Place) -> None:
    """Refuses what several processes cannot do, before any data is read; raises InvalidConfig."""
    refuse_sharding()
    if place.size == 1:
        return
    if config.method in _ALONE:
        raise InvalidConfig(
            f"method {config.method} does not run in {place.size} processes, as {_ALONE[config.method]}; "
            "start parfocal train by itself",
            field="method",
        )
    if ":" in config.device:
        raise InvalidConfig(
            f"device is {config.device!r}, and {place.size} processes cannot share it; leave it out, and "
            "each takes the one of its number",
            field="device",
        )
    micro, _ = rows_of_each(place.size, config)
    if config.method == "kto" and micro < 2:
        raise InvalidConfig(
            f"kto compares the rows of a forward pass, and {place.size} processes have one each of "
            f"batch_size {config.batch_size}; give at least {2 * place.size}",
            field="batch_size",
        )


@contextmanager
def leading() -> Iterator[Peers]:
    """Joins a run as the process that leads it.

    Raises:
        InvalidConfig: this is another of its processes.
        PeerLost: the others cannot be reached.
    """
    place = Place.from_environment()
    if not place.leads:
        raise InvalidConfig(
            f"this is {place}, and process 0 trains; the others call parfocal.training.assist()",
            field="device",
        )
    with joined(place) as peers:
        yield peers


def led(job: Job, checkpoint: Checkpoint | None, peers: Peers) -> Job:
    """The leader's job, once the others have been told of it and all have met.

    Raises:
        InvalidConfig: the rows of a step cannot be dealt evenly.
        PeerLost: another process has ended, or does not come.
    """
    if peers.place.size == 1:
        return job
    shared = job.hyperparameters.shared_by(peers.place.size, job.config)
    point: dict[str, JSON] = {} if checkpoint is None else {"step": checkpoint.step, "note": checkpoint.note}
    peers.tell(
        _BEGUN,
        {
            "settings": absolute(job.config).to_json(),
            "folder": str(job.folder.path),
            "checkpoint": point,
            "identity": identity_of(job.prepared, job.contract).to_json(),
        },
    )
    job.watcher.say(
        f"Training in {peers.place.size} processes: each learns an equal part of every step's rows"
    )
    peers.meet(job.config.process_minutes)
    return replace(job, hyperparameters=shared, peers=peers)


class Invitation:
    """What the leader has told: the settings, the run's folder and how far it has come."""

    def __init__(self, peers: Peers) -> None:
        told = peers.hear(_BEGUN)
        assert isinstance(told, Mapping)
        self._told = told
        self._peers = peers
        self.config = TrainConfig.from_json(_object(told["settings"]))

    @property
    def folder(self) -> RunFolder:
        """The run's folder, which only the leader writes; raises DataUnreadable."""
        path = Path(str(self._told["folder"]))
        if not path.is_dir():
            raise DataUnreadable(
                f"{self._peers.place} does not see the run's folder {path}; put it on a disk that all "
                "machines share",
                field="output",
            )
        return RunFolder(path)

    @property
    def checkpoint(self) -> Checkpoint | None:
        """What the run goes on from; the leader has proven that it is whole."""
        point = _object(self._told["checkpoint"])
        if not point:
            return None
        step = int(str(point["step"]))
        return Checkpoint(self.folder.checkpoints.path(step), step, dict(_object(point["note"])))

    def check(self, prepared: Prepared[Any], contract: BaseContract) -> None:
        """Raises ResumeMismatch where this process sees other data, another base or another recipe."""
        change = identity_of(prepared, contract).change_since(_object(self._told["identity"]))
        if change is not None:
            field, words = change
            raise ResumeMismatch(
                f"{self._peers.place} has another {words} than process 0; give all machines the same files",
                field=field,
            )


def identity_of(prepared: Prepared[Any], contract: BaseContract) -> Identity:
    """What all processes must have alike."""
    chosen = prepared.hyperparameters
    return Identity(
        prepared.data_digest,
        prepared.held_out_digest,
        contract,
        prepared.validation_digest,
        {} if chosen is None else chosen.to_json(),
        replay_digest=prepared.replay_digest,
    )


@contextmanager
def goes_on_from(folder: RunFolder) -> Iterator[None]:
    """Says of a lost process how the run goes on."""
    try:
        yield
    except PeerLost as error:
        raise PeerLost(
            f"{error}; mend what ended it, and go on with the same launcher and: parfocal train --resume "
            f"--output {folder.path}",
            **error.metadata,
        ) from error


def _object(value: JSON) -> Mapping[str, JSON]:
    assert isinstance(value, Mapping)
    return value
