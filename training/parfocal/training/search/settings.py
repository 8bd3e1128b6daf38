"""How a search goes: how many trials, who draws them, which are cut short; from flags and `[tune]`."""

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from parfocal.registry.values import JSON
from parfocal.training.config import TrainConfig
from parfocal.training.errors import InvalidConfig
from parfocal.training.search.space import SEARCHED, Choices, Range, Space, read_dimension, read_pair

SAMPLERS = ("tpe", "random", "grid")
PRUNERS = ("median", "halving", "none")
_TRIALS = 8


@dataclass(frozen=True, slots=True)
class SearchConfig:
    """What a search is told besides the settings of its runs.

    space: what is searched; None searches the learning rate and the rank.
    trials: how many runs at most; None: 8, or every combination of a grid.
    sampler: who draws them: `tpe` learns from those before, `random` does not, `grid` takes every
        combination.
    pruner: which end early: those worse than the median of the others at the same part of their way
        (`median`), all but the better half at each of its rungs (`halving`), or none.
    minutes: no trial begins after so many; None: no limit.
    fixed: settings that were given and are not to be searched by default.
    """

    space: Space | None = None
    trials: int | None = None
    sampler: str = "tpe"
    pruner: str = "median"
    minutes: float | None = None
    fixed: frozenset[str] = frozenset()

    def check(self) -> None:
        """Raises InvalidConfig for the first setting out of its range."""
        for name, value, known in (("sampler", self.sampler, SAMPLERS), ("pruner", self.pruner, PRUNERS)):
            if value not in known:
                raise InvalidConfig(f"{name} is {value!r}; use one of {', '.join(known)}", field=name)
        if self.trials is not None and not 1 <= self.trials <= 100_000:
            raise InvalidConfig(f"trials is {self.trials}; it must be from 1 to 100000", field="trials")
        if self.minutes is not None and not (math.isfinite(self.minutes) and self.minutes > 0):
            raise InvalidConfig(f"minutes is {self.minutes}; it must be above 0", field="minutes")

    @property
    def count(self) -> int:
        """How many trials a search has that is not a grid, which may have fewer."""
        return _TRIALS if self.trials is None else self.trials


_OWN: Mapping[str, type] = {"trials": int, "sampler": str, "pruner": str, "minutes": float}
_KINDS = {int: "a whole number", str: "a word", float: "a number"}


def search_config(
    table: Mapping[str, Any],
    source: str,
    pairs: Iterable[str] = (),
    flags: Mapping[str, Any] | None = None,
    fixed: Iterable[str] = (),
) -> SearchConfig:
    """The search that `[tune]` of `source`, `pairs` (KEY=VALUES) and `flags` describe; later ones win.

    Raises:
        InvalidConfig: a key is unknown (the nearest is named), or a value cannot be one of its setting.
    """
    own: dict[str, Any] = {}
    space: dict[str, Range | Choices] = {}
    for key, value in table.items():
        if key in _OWN:
            own[key] = _accepted(key, value, source)
        elif key in SEARCHED or key in _settings():
            space[key] = read_dimension(key, value, source)
        else:
            nearest = difflib.get_close_matches(key, (*_OWN, *SEARCHED), n=1, cutoff=0.0)[0]
            raise InvalidConfig(f"unknown key {key} in {source}; the nearest one is {nearest}", field=key)
    space |= dict(read_pair(pair, "--search") for pair in pairs)
    config = SearchConfig(space or None, fixed=frozenset(fixed), **(own | dict(flags or {})))
    config.check()
    return config


def search_json(config: SearchConfig, space: Space) -> dict[str, JSON]:
    """What makes it the same search when it goes on; trials and minutes may change."""
    return {
        "space": {name: dimension.to_json() for name, dimension in space.items()},
        "sampler": config.sampler,
        "pruner": config.pruner,
    }


def read_search(stored: Mapping[str, Any], trials: int | None, minutes: float | None) -> SearchConfig:
    """The search that `search_json` wrote, with so many trials and minutes."""
    space = {name: read_dimension(name, value, "the search") for name, value in stored["space"].items()}
    return SearchConfig(space, trials, str(stored["sampler"]), str(stored["pruner"]), minutes)


def _settings() -> set[str]:
    return {field.name for field in fields(TrainConfig)}


def _accepted(key: str, value: Any, source: str) -> Any:
    kind = _OWN[key]
    if kind is float and type(value) is int:
        value = float(value)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InvalidConfig(f"{source} sets {key} to {value!r}; it must be {_KINDS[kind]}", field=key)
    return value
