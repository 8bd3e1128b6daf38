"""The folder of one run, and the record that lets it be resumed as the same run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parfocal.registry.values import JSON
from parfocal.training.config import TrainConfig
from parfocal.training.data import is_of_hub
from parfocal.training.errors import NothingToResume, ResumeMismatch, RunDamaged, RunExists
from parfocal.training.runs.checkpoints import Checkpoints
from parfocal.training.runs.identity import Identity, Parent, pinned_parent
from parfocal.training.runs.seals import is_sealed, seal_of, sealed

RUNS = Path("parfocal-runs")
_RECORD = "run.json"
_RESULT = "result.json"
_SETTINGS = "settings.toml"
_DIVERGED = "diverged.json"
_SEARCH = "search.json"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of one run: its record, report, checkpoints, adapter, curve and result."""

    path: Path

    @classmethod
    def create(cls, config: TrainConfig, identity: Identity) -> "RunFolder":
        """Creates the folder of a new run; without `output`, the next free number under parfocal-runs/NAME.

        Raises:
            RunExists: the folder holds something already.
        """
        path = config.output or _next_free(config.name)
        if path.is_dir() and any(path.iterdir()):
            raise RunExists(
                f"{path} is not empty; resume its run (--resume --output {path}), or give another --output",
                field="output",
            )
        path.mkdir(parents=True, exist_ok=True)
        folder = cls(path.resolve())
        settings = absolute(config).to_json() | {"output": str(folder.path)}
        folder.write(_RECORD, sealed({"config": settings, "identity": identity.to_json()}))
        return folder

    @classmethod
    def open(cls, path: Path) -> tuple["RunFolder", TrainConfig]:
        """Opens the folder of an earlier run, with its settings.

        Raises:
            NothingToResume: there is no run.
            RunDamaged: its record is not as it was written.
        """
        folder = cls(path.resolve())
        return folder, TrainConfig.from_json(folder._record()["config"])

    def check_identity(self, identity: Identity) -> None:
        """Raises ResumeMismatch if data, rows, base or recipe differ from those the run began with."""
        change = identity.change_since(self._record()["identity"])
        if change is not None:
            field, words = change
            raise ResumeMismatch(
                f"the {words} of this run changed since it began in {self.path}; start a new run", field=field
            )

    def other_tools(self, now: Mapping[str, str]) -> dict[str, JSON]:
        """The releases of tools that the run began with, where they are others `now`."""
        began = self._record()["identity"]["tools"]
        return {tool: release for tool, release in began.items() if now.get(tool) != release}

    @property
    def parent(self) -> Parent | None:
        """The adapter that the run began from, as pinned then; without its files."""
        return pinned_parent(self._record()["identity"])

    @property
    def checkpoints(self) -> Checkpoints:
        """The run's own checkpoints."""
        return Checkpoints(self.path / "checkpoints", seal_of(self._record()))

    @property
    def adapter(self) -> Path:
        """Where the trained adapter goes, as a PEFT folder."""
        return self.path / "adapter"

    @property
    def curve(self) -> Path:
        """Where the loss curve goes."""
        return self.path / "curve.png"

    @property
    def evaluation(self) -> Path:
        """Where the reports of the evaluation go."""
        return self.path / "evaluation"

    @property
    def attachments(self) -> Path:
        """Where the files are that the version carries beside its adapter."""
        return self.path / "attachments"

    @property
    def publication(self) -> Path:
        """Where the run keeps what is published besides its files."""
        return self.path / "publication.json"

    @property
    def is_search(self) -> bool:
        """Whether it is that of a search for settings, whose trials have folders of their own."""
        return (self.path / _SEARCH).is_file()

    @property
    def study(self) -> Path:
        """Where a search keeps its trials."""
        return self.path / "study.db"

    @property
    def search_report(self) -> Path:
        """Where the report of a search goes."""
        return self.path / "search.html"

    def trial(self, number: int) -> Path:
        """The folder of one trial of a search."""
        return self.path / "trials" / str(number)

    def write_search(self, search: Mapping[str, JSON]) -> None:
        """Stores what a search looks for, which also marks the folder as that of one."""
        self.write(_SEARCH, sealed(search))

    def read_search(self) -> dict[str, JSON]:
        """What `write_search` stored; raises RunDamaged."""
        return self.read_sealed(_SEARCH)

    def read_sealed(self, name: str) -> dict[str, JSON]:
        """Reads what was written sealed to the file `name`; raises RunDamaged."""
        path = self.path / name
        try:
            value = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise _damaged(path, "it cannot be read") from error
        if not is_sealed(value):
            raise _damaged(path, "it is not as the run wrote it")
        return dict(value)

    @property
    def finished(self) -> bool:
        """Whether the run has finished."""
        return (self.path / _RESULT).is_file()

    @property
    def diverged(self) -> str:
        """Why the run ended without a result for good; empty where it did not."""
        try:
            return str(json.loads((self.path / _DIVERGED).read_bytes())["message"])
        except FileNotFoundError:
            return ""
        except (ValueError, KeyError, TypeError) as error:
            raise _damaged(self.path / _DIVERGED, "it cannot be read") from error

    def write_diverged(self, message: str) -> None:
        """Marks the run as ended: it would diverge again."""
        self.write(_DIVERGED, {"message": message})

    def write_settings(self, text: str) -> None:
        """Stores the settings with nothing left open, as TOML for `--settings`."""
        self._write(_SETTINGS, text)

    def write_report(self, report: Mapping[str, JSON]) -> None:
        """Stores what the data checks found."""
        self.write("data-report.json", report)

    def write_result(self, result: Mapping[str, JSON]) -> None:
        """Stores the result, which also marks the run as finished."""
        self.write(_RESULT, result)

    def write(self, name: str, value: Mapping[str, JSON]) -> None:
        """Writes `value` to the file `name`, whole or not at all."""
        self._write(name, json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def _write(self, name: str, text: str) -> None:
        draft = self.path / f"{name}.part"
        try:
            draft.write_text(text, "utf-8")
        except OSError as error:
            error.filename = error.filename or str(draft)  # a full disk is told of without a name
            raise
        draft.replace(self.path / name)

    def _record(self) -> Any:
        """Raises NothingToResume or RunDamaged."""
        path = self.path / _RECORD
        try:
            record = json.loads(path.read_bytes())
        except OSError as error:
            raise NothingToResume(
                f"{self.path} holds no run; give a run's folder, such as parfocal-runs/team-invoices/1",
                field="output",
            ) from error
        except ValueError as error:
            raise _damaged(path, "it cannot be read") from error
        if not is_sealed(record):
            raise _damaged(path, "it is not as the run wrote it, or an earlier Parfocal wrote it, unsealed")
        return record


def latest_unfinished(name: str) -> Path:
    """The newest unfinished run of `name` under parfocal-runs; raises NothingToResume."""
    numbers = sorted((int(path.name) for path in _numbered(name)), reverse=True)
    for number in numbers:
        folder = RunFolder(_home(name) / str(number))
        if not folder.finished and not folder.diverged:
            return folder.path
    raise NothingToResume(f"no unfinished run of {name} under {RUNS}; give its folder with --output")


def absolute(config: TrainConfig) -> TrainConfig:
    """`config` with paths that mean the same from any working folder."""
    values = config.to_json()
    for name in ("data", "held_out", "validation", "output", "sign_key"):
        is_ours = name in ("output", "sign_key")
        if values[name] is not None and (is_ours or not is_of_hub(Path(str(values[name])))):
            values[name] = str(Path(str(values[name])).expanduser().resolve())
    values["base"] = config.base_name
    if Path(config.base_name).expanduser().is_dir() and config.base_name != "tiny":
        values["base"] = str(Path(config.base_name).expanduser().resolve())
    if config.replayed is not None and config.replay is not None and not is_of_hub(config.replayed[0]):
        file = str(config.replayed[0])
        values["replay"] = f"{Path(file).expanduser().resolve()}{config.replay.removeprefix(file)}"
    if config.registry is not None and "://" not in config.registry:
        values["registry"] = str(Path(config.registry).expanduser().resolve())
    return TrainConfig.from_json(values)


def _next_free(name: str) -> Path:
    taken = [int(path.name) for path in _numbered(name)]
    return _home(name) / str(max(taken, default=0) + 1)


def _numbered(name: str) -> list[Path]:
    return [path for path in _home(name).glob("*") if path.name.isdecimal() and path.is_dir()]


def _home(name: str) -> Path:
    return RUNS / name.replace("/", "-")


def _damaged(path: Path, what: str) -> RunDamaged:
    return RunDamaged(
        f"the record {path} is damaged: {what}; put it back from a copy, or start a new run",
        field="output",
        path=str(path),
    )
