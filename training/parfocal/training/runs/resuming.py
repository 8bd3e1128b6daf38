"""Which settings may change when a run is resumed, and which would make it another run."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from parfocal.training.config import TrainConfig
from parfocal.training.errors import ResumeMismatch
from parfocal.training.runs.run_folder import absolute

_FREE = (
    "registry",
    "answers",
    "metrics",
    "probes",
    "checkpoint_minutes",
    "process_minutes",
    "adapter_dtype",
    "events",
    "track",
    "tags",
    "sign_key",
)


def resumed(began: TrainConfig, settings: Mapping[str, Any]) -> TrainConfig:
    """The settings of the rest of a run that began with `began`.

    Raises:
        ResumeMismatch: a setting that decides the adapter, or where the run lies, is another one.
    """
    config = absolute(replace(began, **settings))
    before, now = began.to_json(), config.to_json()
    for name in settings:
        if name not in _FREE and now[name] != before[name]:
            raise ResumeMismatch(
                f"{name} is {_shown(before[name])} in this run and cannot become {_shown(now[name])}; "
                "leave it out, or start a new run",
                field=name,
            )
    return config


def _shown(value: object) -> str:
    return "left open" if value is None else repr(value)
