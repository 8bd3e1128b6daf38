"""The settings of a run with nothing left open, such that they give the same run again."""

from parfocal.registry.values import JSON
from parfocal.training.config import TrainConfig
from parfocal.training.hyperparameters import Hyperparameters, replay_share

_LEAST_LENGTH = 8  # that can be given


def resolved_settings(
    config: TrainConfig, chosen: Hyperparameters, parent: str | None = None
) -> dict[str, JSON]:
    """`config` with every choice filled in, as JSON by name; what stays unset is left out.

    A run that ends by itself has its bound in `steps` and `early_stop` on, which choose the same course.
    `parent` is the version that the run begins from, whatever its alias means later. The run's own folder
    is left out, as the same run again needs another.
    """
    values = config.to_json() | {
        "base": config.base_name,
        "rank": chosen.rank,
        "alpha": chosen.alpha,
        "rslora": chosen.rslora,
        "learning_rate": chosen.learning_rate,
        "schedule": chosen.schedule,
        "warmup_steps": chosen.warmup_steps,
        "epochs": None,
        "steps": chosen.steps,
        "early_stop": chosen.until_rest,
        "patience": chosen.patience if chosen.until_rest else None,
        "micro_batch": chosen.micro_batch,
        "max_length": max(chosen.max_length, _LEAST_LENGTH),
        "parent": parent,
        "replay": f"{config.replayed[0]}:{replay_share(config):g}" if config.replayed else None,
        "output": None,
        "registry": config.registry or "",
    }
    return {name: value for name, value in values.items() if value is not None and value not in ([], {})}
