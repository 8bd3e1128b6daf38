"""The folder of one run, and the record that lets it be resumed as the same run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from parfocal.registry.values import JSON, BaseContract, FieldError, JsonObject
from parfocal.training.config import TrainConfig
from parfocal.training.errors import NothingToResume, ResumeMismatch, RunExists

RUNS = Path("parfocal-runs")
_RECORD = "run.json"
_RESULT = "result.json"


@dataclass(frozen=True, slots=True)
class Identity:
    """What must not change between the parts of a run: data, held-out rows and base, by digest."""

    data_digest: str
    held_out_digest: str
    base: BaseContract

    def to_json(self) -> dict[str, JSON]:
        """Returns the identity as a JSON object."""
        return {"data": self.data_digest, "held_out": self.held_out_digest, "base": self.base.to_json()}

    def changes_since(self, before: Mapping[str, JSON]) -> list[str]:
        """Names what differs from an identity written as JSON; a base counts by what it computes."""
        digests = {"data": self.data_digest, "held_out": self.held_out_digest}
        changed = [name for name, digest in digests.items() if before.get(name) != digest]
        try:
            same = not BaseContract.from_json(JsonObject(before.get("base"))).differences(self.base)
        except FieldError:
            same = False
        return changed if same else [*changed, "base"]


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
        folder.write(_RECORD, {"config": settings, "identity": identity.to_json()})
        return folder

    @classmethod
    def open(cls, path: Path) -> tuple["RunFolder", TrainConfig]:
        """Returns the folder of an earlier run with its settings; raises NothingToResume."""
        try:
            record = json.loads((path / _RECORD).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise NothingToResume(
                f"{path} holds no run; give a run's folder, such as parfocal-runs/NAME/1", field="output"
            ) from error
        return cls(path.resolve()), TrainConfig.from_json(record["config"])

    def check_identity(self, identity: Identity) -> None:
        """Raises ResumeMismatch if data or base differ from those the run began with."""
        before = json.loads((self.path / _RECORD).read_text("utf-8"))["identity"]
        changed = identity.changes_since(before)
        if changed:
            raise ResumeMismatch(
                f"the {changed[0]} of this run changed since it began in {self.path}; start a new run",
                field=changed[0],
            )

    @property
    def checkpoints(self) -> Path:
        """Where the trainer puts checkpoints."""
        return self.path / "checkpoints"

    @property
    def adapter(self) -> Path:
        """Where the trained adapter goes, as a PEFT folder."""
        return self.path / "adapter"

    @property
    def curve(self) -> Path:
        """Where the loss curve goes."""
        return self.path / "curve.png"

    @property
    def publication(self) -> Path:
        """Where the run keeps what is published besides its files."""
        return self.path / "publication.json"

    @property
    def finished(self) -> bool:
        """Whether the run has finished."""
        return (self.path / _RESULT).is_file()

    def write_report(self, report: Mapping[str, JSON]) -> None:
        """Stores what the data checks found."""
        self.write("data-report.json", report)

    def write_result(self, result: Mapping[str, JSON]) -> None:
        """Stores the result, which also marks the run as finished."""
        self.write(_RESULT, result)

    def write(self, name: str, value: Mapping[str, JSON]) -> None:
        """Writes `value` to the file `name`, whole or not at all."""
        draft = self.path / f"{name}.part"
        try:
            draft.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")
        except OSError as error:
            error.filename = error.filename or str(draft)  # a full disk is told of without a name
            raise
        draft.replace(self.path / name)


def latest_unfinished(name: str) -> Path:
    """Returns the newest unfinished run of `name` under parfocal-runs; raises NothingToResume."""
    numbers = sorted((int(path.name) for path in _numbered(name)), reverse=True)
    for number in numbers:
        folder = RunFolder(_home(name) / str(number))
        if not folder.finished:
            return folder.path
    raise NothingToResume(f"no unfinished run of {name} under {RUNS}; give its folder with --output")


def absolute(config: TrainConfig) -> TrainConfig:
    """Returns `config` with paths that mean the same from any working folder."""
    values = config.to_json()
    for name in ("data", "held_out", "output"):
        if values[name] is not None:
            values[name] = str(Path(str(values[name])).expanduser().resolve())
    if Path(config.base).expanduser().is_dir() and config.base != "tiny":
        values["base"] = str(Path(config.base).expanduser().resolve())
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
