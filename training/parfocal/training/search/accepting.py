"""What a search may ask of its runs, and what may change when it goes on. Knows no run's folder."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from parfocal.registry.values import JSON
from parfocal.training.config import TrainConfig
from parfocal.training.errors import InvalidConfig, ResumeMismatch
from parfocal.training.search.settings import SearchConfig, read_search, search_json
from parfocal.training.search.space import Space

_OF_THE_PARENT = ("rank", "alpha", "rslora", "targets")


def check_comparable(config: TrainConfig, space: Space) -> None:
    """Refuses runs that could not be compared, or would not be one; raises InvalidConfig."""
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise InvalidConfig(
            "a search trains in one process, and this is one of several, as under torchrun or accelerate "
            "launch; start parfocal tune by itself",
            field="device",
        )
    if config.keep != "best":
        raise InvalidConfig(
            f"keep is {config.keep!r}; trials are compared by the best adapter of each: leave it out",
            field="keep",
        )
    inherited = [name for name in space if name in _OF_THE_PARENT]
    if config.parent is not None and inherited:
        raise InvalidConfig(
            f"{inherited[0]} is searched, and the parent {config.parent} decides it; leave one out",
            field=inherited[0],
        )


def continued(stored: Mapping[str, Any], search: SearchConfig, folder: Path) -> SearchConfig:
    """The search in `folder` as it was stored, with other trials and minutes; raises ResumeMismatch."""
    trials = search.trials if search.trials is not None else stored["trials"]
    minutes = search.minutes if search.minutes is not None else stored["minutes"]
    whole = read_search(stored, trials, minutes)
    whole.check()
    given = search_json(replace(search, fixed=frozenset()), search.space or whole.space or {})
    defaults = SearchConfig()
    for name in ("space", "sampler", "pruner"):
        is_given = search.space is not None if name == "space" else given[name] != getattr(defaults, name)
        if is_given and given[name] != stored[name]:
            raise ResumeMismatch(
                f"{name} is another one in the search that began in {folder}; leave it out, or start a "
                "new search",
                field=name,
            )
    return whole


def amounts(search: SearchConfig) -> dict[str, JSON]:
    """What may change when the search goes on."""
    return {"trials": search.trials, "minutes": search.minutes}
