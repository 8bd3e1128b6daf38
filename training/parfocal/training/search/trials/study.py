"""The trials of one search in an SQLite file that outlives the process; draws and judges them with optuna."""

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState
from sqlalchemy.pool import NullPool

from parfocal.training.search.importance import importance
from parfocal.training.search.records import Found, Outcome, Scoring, Trial
from parfocal.training.search.settings import SearchConfig
from parfocal.training.search.space import Choices, Space, grid

_NAME = "parfocal tune"
_CURVE, _SECONDS, _OUTCOME, _REASON, _BASE = "curve", "seconds", "outcome", "reason", "base_loss"
_SETTINGS = "settings"
# Usual searches are small: so many trials are drawn at random, and none is cut before so many have ended.
_RANDOM_TRIALS = 4
_PRUNED_AFTER = 3
_STATES = {
    Outcome.FINISHED: TrialState.COMPLETE,
    Outcome.PRUNED: TrialState.PRUNED,
    Outcome.DIVERGED: TrialState.PRUNED,
    Outcome.REFUSED: TrialState.FAIL,
}


class Study:
    """A search as far as it has come. What it draws next depends on seed and trials, not on interruptions."""

    def __init__(self, path: Path, space: Space, config: SearchConfig, seed: int) -> None:
        """Opens the study at `path`, or begins it there."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = space
        self._config = config
        self._seed = seed
        # The path is no part of the URL: releases of SQLAlchemy differ in what they read into "?" and "%".
        storage = optuna.storages.RDBStorage(
            "sqlite://", engine_kwargs={"creator": lambda: sqlite3.connect(path), "poolclass": NullPool}
        )
        self._study: Any = optuna.create_study(
            storage=storage,
            study_name=_NAME,
            direction="minimize",
            load_if_exists=True,
            pruner=_pruner(config.pruner),
        )
        self._grid = tuple(grid(space)) if config.sampler == "grid" else None

    @property
    def count(self) -> int:
        """How many trials there will be."""
        if self._grid is None:
            return self._config.count
        whole = len(self._grid)
        return whole if self._config.trials is None else min(whole, self._config.trials)

    @property
    def found(self) -> Found:
        """All trials until now."""
        trials = tuple(self._trial(each) for each in self._states() if each.state is not TrialState.WAITING)
        return Found(trials, importance(trials), self._study.user_attrs.get(_BASE))

    @property
    def left(self) -> int:
        """How many trials have not ended."""
        ended = sum(bool(each.state.is_finished()) for each in self._states())
        return max(0, self.count - ended)

    def next(self, start: Mapping[str, Any]) -> "Running | None":
        """The trial that was cut off, or else a new one; None after the last. The first begins at `start`."""
        if not self.left:
            return None
        cut_off = next((each for each in self._states() if each.state is TrialState.RUNNING), None)
        number = len(self._study.trials) if cut_off is None else cut_off.number
        self._study.sampler = _sampler(self._config.sampler, self._seed, number)
        if cut_off is not None:
            # The constructor is optuna's own way to a trial of another process (5.0, optuna/trial/_trial.py).
            return Running(optuna.trial.Trial(self._study, cut_off._trial_id), self._study, self._space)
        waiting = any(each.state is TrialState.WAITING for each in self._states())
        fixed = start if self._grid is None else self._grid[number]
        if not waiting and fixed and (number == 0 or self._grid is not None):
            self._study.enqueue_trial({name: _written(value) for name, value in fixed.items()})
        return Running(self._study.ask(), self._study, self._space)

    def _states(self) -> Sequence[Any]:
        found: Sequence[Any] = self._study.get_trials(deepcopy=False)
        return found

    def _trial(self, frozen: Any) -> Trial:
        attributes = frozen.user_attrs
        return Trial(
            frozen.number + 1,
            _read_settings(attributes.get(_SETTINGS, {})),
            Outcome(attributes.get(_OUTCOME, Outcome.UNFINISHED.value)),
            tuple(Scoring(*each) for each in attributes.get(_CURVE, [])),
            attributes.get(_SECONDS, 0.0),
            attributes.get(_REASON, ""),
        )


class Running:
    """A trial under way: the settings that were drawn, and where what is found of it goes."""

    def __init__(self, trial: Any, study: Any, space: Space) -> None:
        self._trial = trial
        self._study = study
        self.number: int = trial.number + 1
        self.settings: dict[str, Any] = dict(_drawn(trial, space))
        trial.set_user_attr(_SETTINGS, {name: _listed(value) for name, value in self.settings.items()})
        self._curve = [Scoring(*each) for each in trial.user_attrs.get(_CURVE, [])]
        self._seconds_before: float = trial.user_attrs.get(_SECONDS, 0.0)

    def base(self, loss: float) -> None:
        """Notes what the base alone scores."""
        if self._study.user_attrs.get(_BASE) is None:
            self._study.set_user_attr(_BASE, loss)

    def scored(self, scoring: Scoring) -> bool:
        """Notes a loss; says whether the trial is so good that it should go on."""
        steps = [each.step for each in self._curve]
        if scoring.step not in steps:  # else the trial was cut off, and passes here again
            self._curve.append(scoring)
            self._trial.set_user_attr(_CURVE, [[each.step, each.steps, each.loss] for each in self._curve])
            # Trials of different length are compared at the same part of their way.
            self._trial.report(scoring.loss, step=len(self._curve))
        return scoring.step >= scoring.steps or not self._trial.should_prune()

    def spent(self, seconds: float) -> None:
        """Notes how long it has taken since it was begun or went on."""
        self._trial.set_user_attr(_SECONDS, self._seconds_before + seconds)

    def ended(self, outcome: Outcome, reason: str = "") -> None:
        """Ends the trial."""
        self._trial.set_user_attr(_OUTCOME, outcome.value)
        self._trial.set_user_attr(_REASON, reason)
        value = min(each.loss for each in self._curve) if outcome is Outcome.FINISHED else None
        self._study.tell(self._trial, value, state=_STATES[outcome])


def _drawn(trial: Any, space: Space) -> Iterator[tuple[str, Any]]:
    for name, dimension in space.items():
        if isinstance(dimension, Choices):
            texts = {_written(value): value for value in dimension.values}
            yield name, texts[trial.suggest_categorical(name, list(texts))]
        elif dimension.whole:
            low, high = dimension.ends()
            yield name, dimension.read(trial.suggest_int(name, low, high, log=dimension.log))
        else:
            drawn = trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log)
            yield name, dimension.read(drawn)


def _written(value: Any) -> Any:
    """As optuna keeps it, which knows no lists."""
    return json.dumps(value) if isinstance(value, tuple | list) else value


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _read_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _sampler(name: str, seed: int, number: int) -> Any:
    """A sampler for one trial: what it draws does not depend on how often the search was interrupted."""
    digest = hashlib.sha256(f"{seed} {number}".encode()).digest()
    own = int.from_bytes(digest[:4], "big")
    if name == "tpe":
        return optuna.samplers.TPESampler(n_startup_trials=_RANDOM_TRIALS, seed=own)
    return optuna.samplers.RandomSampler(seed=own)


def _pruner(name: str) -> Any:
    if name == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=_PRUNED_AFTER, n_min_trials=_PRUNED_AFTER)
    if name == "halving":
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2)
    return optuna.pruners.NopPruner()
