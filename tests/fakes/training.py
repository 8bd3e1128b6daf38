"""Stand-ins around training: a watcher that remembers, a registry that fails, rows that are easy to learn."""

import json
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from parfocal.registry import FolderRegistry, Page, Publication, Version
from parfocal.registry.errors import StorageError
from parfocal.registry.values import ALL_VERSIONS, VersionFilter
from parfocal.training import Hyperparameters, Scored, StepDone, TrainConfig, Trial
from parfocal.training.hyperparameters import BaseFacts, DataFacts, choose

JsonRow = Mapping[str, object]


class RecordingWatcher:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.steps: list[StepDone] = []
        self.scorings: list[Scored] = []
        self.checkpoints: list[int] = []

    def say(self, text: str) -> None:
        """Remembers the line."""
        self.said.append(text)

    def step(self, done: StepDone) -> None:
        """Remembers the step."""
        self.steps.append(done)

    def scored(self, found: Scored) -> None:
        """Remembers the scoring."""
        self.scorings.append(found)

    def saved(self, step: int) -> None:
        """Remembers the checkpoint."""
        self.checkpoints.append(step)


class StopsAt(RecordingWatcher):
    """Sends this process a signal when a step is reported, as a person at the keyboard would."""

    def __init__(self, step: int, number: signal.Signals = signal.SIGINT) -> None:
        super().__init__()
        self._step = step
        self._number = number

    def step(self, done: StepDone) -> None:
        """Sends the signal at its step."""
        super().step(done)
        if done.step == self._step:
            signal.raise_signal(self._number)


class RecordingSearchWatcher(RecordingWatcher):
    """Remembers what it was told of a search."""

    def __init__(self) -> None:
        super().__init__()
        self.beginnings: list[int] = []
        self.trials: list[Trial] = []

    def began(self, number: int, count: int, settings: Mapping[str, Any]) -> None:
        """Remembers the trial's number."""
        self.beginnings.append(number)

    def ended(self, trial: Trial, count: int, best: Trial | None) -> None:
        """Remembers the trial."""
        self.trials.append(trial)


class StopsInTrial(RecordingSearchWatcher):
    """Sends this process a signal when a step of a trial is reported."""

    def __init__(self, trial: int, step: int, number: signal.Signals = signal.SIGINT) -> None:
        super().__init__()
        self._at = trial, step
        self._number = number

    def step(self, done: StepDone) -> None:
        """Sends the signal at its step."""
        super().step(done)
        if (self.beginnings[-1], done.step) == self._at:
            signal.raise_signal(self._number)


class FailingRegistry(FolderRegistry):
    """A folder registry whose disk gives up when something is published."""

    def publish(
        self,
        name: str,
        folder: Path,
        publication: Publication,
        progress: Callable[[int, int], None] | None = None,
        sent: Callable[[int], None] | None = None,
    ) -> Version:
        """Raises StorageError."""
        raise StorageError("the disk gave up")


class SilentRegistry(FolderRegistry):
    """A folder registry whose index does not answer."""

    def versions(
        self, name: str, page_size: int = 0, page_token: str = "", where: VersionFilter = ALL_VERSIONS
    ) -> Page[Version]:
        """Raises StorageError."""
        raise StorageError("the index gave up")


def chat_row(prompt: str, answer: str) -> JsonRow:
    """A row of one user and one assistant message."""
    return {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]}


def chat_rows(count: int) -> list[JsonRow]:
    """`count` different chats whose answers repeat one letter of the prompt."""
    letters = "abcdefgh"
    return [chat_row(f"{index} {letters[index % 8]}", letters[index % 8] * 3) for index in range(count)]


def write_jsonl(path: Path, rows: Sequence[JsonRow]) -> Path:
    """Writes one row a line and returns `path`."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def hyperparameters_of(rows: int = 1000, **settings: Any) -> Hyperparameters:
    """What is chosen for so many rows on a Llama of 8 B, with `settings` as a person gives them."""
    config = TrainConfig(data=Path("d"), name="n", **settings)
    return choose(config, DataFacts(rows, 300, 50_000), BaseFacts("llama", 4096, 8192))


def weights(run: Path) -> bytes:
    """The weights that the run has exported."""
    return (run / "adapter" / "adapter_model.safetensors").read_bytes()
