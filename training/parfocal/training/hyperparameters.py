"""Chooses every hyper-parameter that the user left open, and says why. Knows no torch and no rows."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from parfocal.registry.bases import decoder_fields
from parfocal.registry.values import JSON, read_foreign_json
from parfocal.training.config import TrainConfig
from parfocal.training.errors import BaseUnfit, InvalidConfig

_RANK = 16
_REPLAYED = 0.25
_SHORT = 0.02  # rows are whole, so a share is never met exactly
_EPOCHS = 3
_MIN_STEPS = 60
_MAX_EPOCHS = 20
_BOUND = 4  # times the usual number of steps: then a run ends although its loss still falls
_WARMUP = 0.03
_SHORT_WARMUP = 10
_MAX_RATE = 5e-3
_PATIENCE = 2  # evaluations without a better loss,
# and steps: chosen on two small sets (3 and 6 classes in invented words), which stayed at a plateau for 40.
# Ended there, 75 % and 28 % of their answers were exact; at the bound, 92 % and 78 %.
_PLATEAU = 80
_RATE_EXPONENTS = {"qwen": 0.0775}  # all others are treated as Llama
_LLAMA_EXPONENT = 0.781
_RSLORA_RANK = 64
_EAGER_TOKENS = 512
# Of the rate for answers: preferences and rewards tell less per row, and large steps unlearn the language.
_RATE_PARTS = {"dpo": 0.05, "kto": 0.05, "reward": 0.5, "grpo": 0.1}
_ANSWER_TOKENS = 256
_AT_ONCE = 64  # answers in a forward pass of grpo, unless micro_batch says otherwise
_BETAS = {"dpo": 0.1, "kto": 0.1, "grpo": 0.0}


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What the choices need to know of the rows; lengths in tokens.

    `validated` says that there are rows to choose on; `replayed` are those of `rows` that a parent learnt
    before.
    """

    rows: int
    longest: int
    learnt_tokens: int
    validated: bool = True
    replayed: int = 0


@dataclass(frozen=True, slots=True)
class BaseFacts:
    """What the choices need to know of the base, from its configuration."""

    architecture: str
    hidden: int
    context: int


@dataclass(frozen=True, slots=True)
class Choice:
    """One hyper-parameter with its value and the reason for it."""

    name: str
    value: JSON
    reason: str


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """Every hyper-parameter of the run, none left open; `choices` explains them in reading order.

    With `until_rest` the run ends when the held-out loss has stopped falling, after `steps` at the latest;
    `planned_steps` is what usually suffices. Otherwise both are the run's length. `patience` counts
    evaluations.
    """

    rank: int
    alpha: int
    rslora: bool
    learning_rate: float
    steps: int
    planned_steps: int
    until_rest: bool
    patience: int
    schedule: str
    warmup_steps: int
    micro_batch: int
    accumulation: int
    max_length: int
    evaluate_every: int
    attention: str
    beta: float
    generations: int
    answer_tokens: int
    choices: tuple[Choice, ...]

    def to_json(self) -> dict[str, JSON]:
        return {choice.name: choice.value for choice in self.choices}

    def shared_by(self, processes: int, config: TrainConfig) -> "Hyperparameters":
        """The same run with its steps' rows dealt to so many processes, each in passes of its own.

        Raises:
            InvalidConfig: the rows of a step cannot be dealt evenly.
        """
        micro, passes = rows_of_each(processes, config)
        return replace(self, micro_batch=micro, accumulation=passes)


def rows_of_each(processes: int, config: TrainConfig) -> tuple[int, int]:
    """How many rows of a step a process takes in a pass, and in how many passes.

    Raises:
        InvalidConfig: the rows cannot be dealt evenly.
    """
    each, rest = divmod(config.batch_size, processes)
    micro = each if config.micro_batch is None else config.micro_batch
    if rest or each % micro:
        in_passes = "" if config.micro_batch is None else f" in passes of {config.micro_batch}"
        raise InvalidConfig(
            f"batch_size is {config.batch_size}, which {processes} processes cannot share{in_passes}; "
            f"give a multiple of {processes * (config.micro_batch or 1)}",
            field="batch_size",
        )
    return micro, each // micro


def base_facts(folder: Path) -> BaseFacts:
    """What the configuration in `folder` says, its class's defaults filled in; raises BaseUnfit."""
    path = folder / "config.json"
    try:
        config = _object(read_foreign_json(path.read_bytes()))
        text = config.get("text_config")
        fields = decoder_fields(config) or (text if isinstance(text, Mapping) else config)
        sizes = fields["hidden_size"], fields["max_position_embeddings"]
        return BaseFacts(str(config["model_type"]), *(int(str(size)) for size in sizes))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BaseUnfit(f"{path} does not describe a decoder that can be trained on: {error!r}") from error


def _object(value: JSON) -> Mapping[str, JSON]:
    if not isinstance(value, Mapping):
        raise TypeError("it is no JSON object")
    return value


def choose(config: TrainConfig, data: DataFacts, base: BaseFacts) -> Hyperparameters:
    """Takes what the user gave, and otherwise the field's consensus."""
    adapter = _adapter_choices(config)
    rate = _learning_rate(config, base)
    steps = _steps(config, data)
    length = max_length(config, data.longest, base.context)
    micro = _micro_batch(config)
    until_rest = config.left_open and data.validated
    total = int(_number(steps))
    planned = max(1, total // _BOUND) if until_rest else total
    every = max(1, math.ceil(planned / config.evaluations))
    patience = _patience(config, every)
    schedule = _schedule(config, until_rest)
    warmup = _warmup(config, planned)
    beta = _beta(config)
    choices = (
        Choice("method", config.method, _METHODS[config.method]),
        *adapter.values(),
        *([_replayed(config, data)] if config.replay else []),
        rate,
        schedule,
        warmup,
        steps,
        *([patience] if until_rest else []),
        Choice("batch_size", config.batch_size, "LoRA learns worse from large batches: keep it below 32"),
        length,
        *([beta] if config.method in _BETAS else []),
        *(_drawn(config) if config.method == "grpo" else []),
    )
    return Hyperparameters(
        rank=int(_number(adapter["rank"])),
        alpha=int(_number(adapter["alpha"])),
        rslora=bool(adapter["rslora"].value),
        learning_rate=_number(rate),
        steps=total,
        planned_steps=planned,
        until_rest=until_rest,
        patience=int(_number(patience)),
        schedule=str(schedule.value),
        warmup_steps=int(_number(warmup)),
        micro_batch=micro,
        accumulation=config.batch_size // micro,
        max_length=int(_number(length)),
        evaluate_every=every,
        attention="eager" if _number(length) <= _EAGER_TOKENS else "sdpa",
        beta=_number(beta),
        generations=config.generations,
        answer_tokens=answer_tokens(config),
        choices=choices,
    )


def _adapter_choices(config: TrainConfig) -> dict[str, Choice]:
    """What shape the adapter has, by the choices' names."""
    rank = _given_or("rank", config.rank, _RANK, "16 suits most supervised tasks (TRL's default)")
    size = int(_number(rank))
    choices = [
        rank,
        _given_or("alpha", config.alpha, 2 * size, "twice the rank (Biderman et al., arXiv:2405.09673)"),
        _rslora(config, size),
        _given_or(
            "targets",
            list(config.targets) or None,
            "all-linear",
            "every linear of the decoder: LoRA Without Regret",
        ),
    ]
    if config.parent:
        choices = [replace(choice, reason="the parent's") for choice in choices]
    choices.append(
        Choice(
            "dropout", config.dropout, "0 keeps runs comparable bit for bit" if not config.dropout else _GIVEN
        )
    )
    return {choice.name: choice for choice in choices}


def replay_share(config: TrainConfig) -> float:
    """The share of what is learnt that rows of the parent's are to have."""
    asked = config.replayed
    return _REPLAYED if asked is None or asked[1] is None else asked[1]


def _replayed(config: TrainConfig, data: DataFacts) -> Choice:
    """What share the replayed rows have: less than was asked for where there are too few of them."""
    asked = config.replayed
    share = data.replayed / max(1, data.rows)
    usual = (
        "a quarter of what is learnt: 5 % hold what a small change of data would unlearn, 25 % a large one "
        "(arXiv:2403.08763)"
    )
    reason = usual if asked is None or asked[1] is None else _GIVEN
    short = replay_share(config) - share > _SHORT
    few = f"; {data.replayed} rows are all that there are" if short else ""
    return Choice("replay_share", round(share, 4), f"{reason}{few}")


def answer_tokens(config: TrainConfig) -> int:
    """How long answers that grpo draws may be; 0 for methods that draw none."""
    if config.method != "grpo":
        return 0
    return config.answer_tokens or _ANSWER_TOKENS


def _drawn(config: TrainConfig) -> tuple[Choice, ...]:
    tokens = _given_or("answer_tokens", config.answer_tokens, _ANSWER_TOKENS, "TRL's default")
    return (
        Choice("rewards", list(config.rewards), "summed"),
        Choice("generations", config.generations, "answers to each row, compared with each other"),
        tokens,
        Choice("temperature", config.temperature, "of what is drawn"),
    )


def _micro_batch(config: TrainConfig) -> int:
    """As given, or all at once; of grpo's groups as many as make a moderate forward pass."""
    if config.micro_batch is not None or config.method != "grpo":
        return config.micro_batch or config.batch_size
    fitting = [n for n in range(1, config.batch_size + 1) if config.batch_size % n == 0]
    return max((n for n in fitting if n * config.generations <= _AT_ONCE), default=1)


def max_length(config: TrainConfig, longest: int, context: int) -> Choice:
    """How many tokens of a row are kept: by default all, up to the base's context."""
    if config.max_length is not None:
        return Choice("max_length", min(config.max_length, context), _GIVEN)
    if longest > context:
        return Choice("max_length", context, "the base sees no further")
    return Choice("max_length", longest, "the longest row, so that none is cut")


_GIVEN = "as given"


def _given_or(name: str, given: JSON, default: JSON, reason: str) -> Choice:
    return Choice(name, default, reason) if given is None else Choice(name, given, _GIVEN)


def _patience(config: TrainConfig, every: int) -> Choice:
    chosen = max(_PATIENCE, math.ceil(_PLATEAU / every))
    reason = f"evaluations without a better loss, {chosen * every} steps: small data rests for 40 on its way"
    return _given_or("patience", config.patience, chosen, reason)


def _warmup(config: TrainConfig, planned: int) -> Choice:
    chosen = max(1, round(_WARMUP * planned), min(_SHORT_WARMUP, planned // 10))
    reason = "3 % of the steps (QLoRA, arXiv:2305.14314), a tenth of short runs"
    return _given_or("warmup_steps", config.warmup_steps, chosen, reason)


def _schedule(config: TrainConfig, until_rest: bool) -> Choice:
    if config.schedule != "auto":
        return Choice("schedule", config.schedule, _GIVEN)
    if until_rest:
        return Choice("schedule", "wsd", "full rate while the validation loss falls, then linear to 0")
    return Choice("schedule", "linear", "linear decay to 0, the usual choice for LoRA")


_METHODS = {
    "sft": "learns the answers",
    "text": "learns whole texts",
    "dpo": "learns which of two answers is better (arXiv:2305.18290)",
    "kto": "learns which answers are desirable (arXiv:2402.01306)",
    "reward": "learns to score answers, from pairs (Bradley-Terry)",
    "grpo": "learns whatever its own answers are rewarded for (arXiv:2402.03300)",
}


def _beta(config: TrainConfig) -> Choice:
    usual = _BETAS.get(config.method, 0.0)
    reason = (
        "no pull back to the base: rewards alone decide (TRL's default)" if not usual else "TRL's default"
    )
    return _given_or("beta", config.beta, usual, reason)


def _rslora(config: TrainConfig, rank: int) -> Choice:
    wanted = rank >= _RSLORA_RANK
    side = "from" if wanted else "below"
    reason = f"{side} rank {_RSLORA_RANK} (rank-stabilised scaling, arXiv:2312.03732)"
    return _given_or("rslora", config.rslora, wanted, reason)


def _learning_rate(config: TrainConfig, base: BaseFacts) -> Choice:
    """Small bases take larger steps: 5e-4 · (2000 / hidden)^e, as Tinker's cookbook measured for LoRA."""
    family = next((name for name in _RATE_EXPONENTS if base.architecture.startswith(name)), "")
    exponent = _RATE_EXPONENTS.get(family, _LLAMA_EXPONENT)
    part = _RATE_PARTS.get(config.method, 1.0)
    rate = part * min(_MAX_RATE, 5e-4 * (2000 / base.hidden) ** exponent)
    share = f", {part:g} of it for {config.method}" if part != 1.0 else ""
    reason = f"from the base's hidden size {base.hidden} (Tinker cookbook's rule{share})"
    return _given_or("learning_rate", config.learning_rate, float(f"{rate:.3g}"), reason)


def _steps(config: TrainConfig, data: DataFacts) -> Choice:
    per_epoch = data.rows / config.batch_size
    most = "at most, as given" if config.left_open and data.validated else "as given"
    if config.steps is not None:
        epochs = config.steps / per_epoch
        return Choice("steps", config.steps, f"{most}; {epochs:.1f} epochs of {data.rows} rows")
    if config.epochs is not None:
        steps = math.ceil(config.epochs * per_epoch)
        return Choice("steps", steps, f"{most}: {config.epochs:g} epochs of {data.rows} rows")
    epochs = min(_MAX_EPOCHS, max(_EPOCHS, _MIN_STEPS / per_epoch))
    planned = math.ceil(epochs * per_epoch)
    if not config.left_open:
        return Choice("steps", planned, f"{epochs:.3g} epochs of {data.rows} rows, the usual")
    if not data.validated:
        return Choice("steps", planned, f"{epochs:.3g} epochs, the usual, as no rows are there to choose on")
    reason = f"at most; until the validation loss stops falling, often {planned} ({epochs:.3g} epochs)"
    return Choice("steps", _BOUND * planned, reason)


def _number(choice: Choice) -> float:
    assert isinstance(choice.value, int | float)
    return float(choice.value)
