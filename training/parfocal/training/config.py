"""The settings of one training run, as its caller gives them. None means: chosen in `hyperparameters`."""

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from parfocal.engine import InvalidRequest
from parfocal.engine.chats import check_variables
from parfocal.registry import AdapterRefused, InvalidPublication
from parfocal.registry.peft import check_fields
from parfocal.registry.values import JSON, AdapterName, Rendering, checked_tags
from parfocal.training.errors import InvalidConfig
from parfocal.training.metrics import metric_named

_DEVICE = re.compile(r"auto|cpu|cuda(:[0-9]{1,3})?")
METHODS = ("sft", "text", "dpo", "kto", "reward", "grpo")
INITS = ("default", "gaussian", "orthogonal")
# Those of PEFT that take something from the base's weights.
_BASE_INITS = ("pissa", "olora", "corda", "loftq", "lora", "kasa")
_FORM = {"use_dora": "dora", "init_lora_weights": "init"}
RENDERINGS = ("auto", "chat", "raw")
KEEP = ("best", "last")
SCHEDULES = ("auto", "linear", "cosine", "constant", "wsd")
DTYPES = ("auto", "float32", "bfloat16")
COLUMNS = (
    "prompt", "completion", "messages", "text", "chosen", "rejected", "label", "instruction", "input",
    "output", "conversations", "system", "tools",
)  # fmt: skip
_LISTS = ("targets", "rewards", "modules_to_save", "track", "tags", "metrics")
_MAPPINGS = ("template_variables", "columns")
_PATHS = ("data", "held_out", "validation", "output", "sign_key")
_SHARE = re.compile(r"(.+):([0-9]*\.?[0-9]+)(%?)")
_MOST_REPLAYED = 0.9


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """What to train on, on which base, how, and where the result goes.

    data: file of rows, or a data set of the Hub as hf://org/name.
    columns: where its columns are called otherwise than their format says: ours to theirs.
    held_out: a second such file, whose rows the result is reported on.
    validation: a third, whose rows decide when to stop and which adapter is kept. Without them
        `held_out_fraction` of the rows is held out, half of it for each, or all of it to be reported if
        nothing is chosen.
    name: the adapter's name in the registry.
    base: `tiny`, a folder or a Hub id; None is the parent's, or `tiny` without one.
    parent: an adapter reference to go on from, whose rank, scale, targets and rendering are taken over.
    replay: rows that the parent was trained on, as FILE or FILE:SHARE: a part of what is learnt, so that they
        are not forgotten, and a part held out to tell whether they are.
    registry: where to publish; None publishes nothing.
    output: folder of the run.
    rendering: `raw` joins prompt and completion, `chat` puts them through the chat template, `auto` chooses
        by what the rows look like.
    targets: suffixes of the linear modules to adapt; empty means all in the decoder.
    schedule: what the learning rate does after `warmup_steps`; `wsd` stays at the full rate and falls at the
        end.
    early_stop: end when the validation loss has not fallen for `patience` evaluations; by default where
        neither `steps` nor `epochs` says how long, which are the limit otherwise.
    batch_size: rows per step; micro_batch: rows per forward pass.
    evaluations: how many times the validation rows are scored while training.
    keep: publish the adapter with the best validation loss, or the last.
    metrics: how held-out answers are judged, as `metrics.metric_named` reads them; the first tells which
        are right.
    answers: how many of them are generated, 0 for none.
    probes: whether general texts tell what the adapter has forgotten, and which clichés it has learnt.
    process_minutes: how long one of several processes waits for another before it gives the run up.
    adapter_dtype: of the published weights.
    events: a file to add the run's events to as JSON lines, or `-` for standard output.
    track: experiment trackers, as `tensorboard:FOLDER` or `trackio:PROJECT`.
    method: what is learnt: answers (sft), whole texts (text), which of two answers is better (dpo), which
        answers are desirable (kto), to score answers (reward), or whatever earns rewards (grpo).
    beta: how firmly dpo, kto and grpo hold on to what the adapter begins with.
    rewards: what grpo rewards answers for, summed; reward_seconds: how long each may take for a batch.
    generations: answers that grpo draws for each row, up to answer_tokens long, at this temperature.
    dora, modules_to_save: refused, as serving refuses them.
    init: how the adapter begins; what would change the base's weights is refused.
    template_variables: what the chat template reads besides the messages, such as enable_thinking; the
        contract records it, and serving does the same.
    tags: words that the version is found by.
    sign_key: the private key that it is signed with, in PEM; only where it lies is recorded.
    """

    data: Path
    name: str
    base: str | None = None
    method: str = "sft"
    held_out: Path | None = None
    validation: Path | None = None
    held_out_fraction: float = 0.1
    parent: str | None = None
    replay: str | None = None
    registry: str | None = None
    output: Path | None = None
    rendering: str = "auto"
    rank: int | None = None
    alpha: int | None = None
    targets: tuple[str, ...] = ()
    dropout: float = 0.0
    rslora: bool | None = None
    dora: bool = False
    init: str = "default"
    modules_to_save: tuple[str, ...] = ()
    beta: float | None = None
    rewards: tuple[str, ...] = ()
    reward_seconds: float = 60.0
    generations: int = 8
    answer_tokens: int | None = None
    temperature: float = 1.0
    learning_rate: float | None = None
    schedule: str = "auto"
    warmup_steps: int | None = None
    epochs: float | None = None
    steps: int | None = None
    early_stop: bool | None = None
    patience: int | None = None
    batch_size: int = 16
    micro_batch: int | None = None
    max_length: int | None = None
    seed: int = 0
    evaluations: int = 5
    keep: str = "best"
    metrics: tuple[str, ...] = ("exact",)
    answers: int = 50
    probes: bool = True
    checkpoint_minutes: float = 10.0
    process_minutes: float = 10.0
    device: str = "auto"
    dtype: str = "auto"
    adapter_dtype: str = "float32"
    events: str | None = None
    track: tuple[str, ...] = ()
    template_variables: Mapping[str, JSON] = dataclasses.field(default_factory=dict)
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tags: tuple[str, ...] = ()
    sign_key: Path | None = None

    @property
    def base_name(self) -> str:
        """The base, once a parent's has been taken over."""
        return self.base or "tiny"

    @property
    def replayed(self) -> tuple[Path, float | None] | None:
        """The file of rows to replay, and the share of what is learnt that is asked for."""
        if self.replay is None:
            return None
        given = _SHARE.fullmatch(self.replay)
        if given is None:
            return Path(self.replay), None
        return Path(given[1]), float(given[2]) / (100 if given[3] else 1)

    @property
    def left_open(self) -> bool:
        """Whether the run's length is found on the way, from the validation loss."""
        if self.early_stop is not None:
            return self.early_stop
        return self.steps is None and self.epochs is None

    @property
    def chooses(self) -> bool:
        """Whether the run's length or its adapter is chosen by a score, which takes rows of their own."""
        return self.left_open or self.keep == "best"

    def check(self) -> None:
        """Raises InvalidConfig, or the registry's InvalidName, for the first setting out of range."""
        AdapterName.parse(self.name)
        for field, low, high in _RANGES:
            _check_range(field, getattr(self, field), low, high)
        for field, choices in _CHOICES:
            if getattr(self, field) not in choices:
                _refuse(field, getattr(self, field), f"use one of {', '.join(choices)}")
        try:
            check_variables(self.template_variables, "template_variables")
            Rendering("chat", template_variables=self.template_variables)  # publishing would refuse it
        except (InvalidRequest, InvalidPublication) as error:
            raise InvalidConfig(str(error), field="template_variables") from error
        self._check_data()
        self._check_metrics()
        self._check_tags()
        self._check_form()
        self._check_rewards()
        if not _DEVICE.fullmatch(self.device):
            _refuse("device", self.device, "use auto, cpu, cuda or cuda:N")
        if self.epochs is not None and self.steps is not None:
            _refuse("steps", self.steps, "give epochs or steps, not both")
        if self.patience is not None and not self.left_open:
            _refuse("patience", self.patience, "a run of a given length waits for nothing; add early_stop")
        if self.method == "kto" and 1 in (self.batch_size, self.micro_batch):
            name = "micro_batch" if self.micro_batch == 1 else "batch_size"
            _refuse(name, 1, "kto compares the rows of a forward pass, so it takes two at least")
        if self.micro_batch is not None and self.batch_size % self.micro_batch:
            _refuse("micro_batch", self.micro_batch, f"it must divide batch_size {self.batch_size}")

    def _check_metrics(self) -> None:
        for metric in self.metrics:
            metric_named(metric)

    def _check_tags(self) -> None:
        try:
            checked_tags(self.tags)
        except InvalidPublication as error:
            raise InvalidConfig(str(error), field="tags") from error

    def _check_data(self) -> None:
        if str(self.data) == "-":
            _refuse("data", "-", "a run reads its rows again when it is resumed; write them to a file")
        for column in self.columns:
            if column not in COLUMNS:
                _refuse("columns", column, f"rename one of {', '.join(COLUMNS)}")
        replayed = self.replayed
        if replayed is None:
            return
        if self.parent is None:
            _refuse("replay", self.replay, "there is no parent that could forget it; name one with --from")
        file, share = replayed
        if str(file) == "-":
            _refuse("replay", self.replay, "a run reads its rows again when it is resumed; name a file")
        if share is not None and not 0 < share <= _MOST_REPLAYED:
            _refuse("replay", self.replay, f"its share must be above 0 and at most {_MOST_REPLAYED}")

    def _check_rewards(self) -> None:
        if self.method == "grpo" and not self.rewards:
            _refuse("rewards", [], "grpo learns from rewards; name one, such as exact or module:function")
        if self.method != "grpo" and self.rewards:
            _refuse("rewards", list(self.rewards), f"method {self.method} takes none; add method grpo")
        if self.method == "grpo" and self.parent is not None and self.beta:
            _refuse("beta", self.beta, "grpo would hold on to the base, not to the parent; leave it out")

    def _check_form(self) -> None:
        """Refuses before training what publishing would refuse after it."""
        kind = self.init.partition("_")[0]
        if self.init not in INITS and kind not in _BASE_INITS:
            _refuse("init", self.init, f"use one of {', '.join(INITS)}")
        form: dict[str, JSON] = {
            "peft_type": "LORA",
            "use_dora": self.dora,
            "modules_to_save": list(self.modules_to_save),
            "init_lora_weights": True if self.init == "default" else self.init,
        }
        try:
            check_fields(form)
        except AdapterRefused as error:
            field = _FORM.get(str(error.field), str(error.field))
            raise InvalidConfig(
                f"{field} cannot be served, so it is not trained: {error}", field=field
            ) from error
        if self.init == "orthogonal" and self.rank is not None and self.rank % 2:
            _refuse("rank", self.rank, "init orthogonal takes an even rank")

    def to_json(self) -> dict[str, JSON]:
        """Writes every setting as JSON; paths as text."""
        values: dict[str, JSON] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            values[field.name] = str(value) if isinstance(value, Path) else value
        lists: dict[str, JSON] = {name: list(getattr(self, name)) for name in _LISTS}
        mappings: dict[str, JSON] = {name: dict(getattr(self, name)) for name in _MAPPINGS}
        return values | lists | mappings

    @classmethod
    def from_json(cls, values: Mapping[str, JSON]) -> "TrainConfig":
        """Reads the settings that `to_json` wrote.

        Raises:
            InvalidConfig: a key is unknown.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(values.keys() - known)
        if unknown:
            raise InvalidConfig(f"unknown setting {unknown[0]!r}", field=unknown[0])
        fields = dict(values)
        for name in _PATHS:
            if fields.get(name) is not None:
                fields[name] = Path(str(fields[name]))  # type: ignore[assignment]  # no longer JSON
        for name in _LISTS:
            if name in fields:
                given = fields[name]
                fields[name] = tuple(given) if isinstance(given, list) else ()
        return cls(**fields)  # type: ignore[arg-type]  # the names are checked, `check` judges the values


_RANGES: tuple[tuple[str, float, float], ...] = (
    ("held_out_fraction", 0.01, 0.5),
    ("rank", 1, 256),
    ("alpha", 1, 1e6),
    ("dropout", 0, 0.9),
    ("beta", 0, 100),
    ("reward_seconds", 0.01, 1e5),
    ("generations", 2, 1024),
    ("answer_tokens", 1, 1e6),
    ("temperature", 0.01, 10),
    ("learning_rate", 1e-9, 1),
    ("warmup_steps", 0, 1e8),
    ("epochs", 1e-3, 1e4),
    ("steps", 1, 1e8),
    ("patience", 1, 1e6),
    ("batch_size", 1, 65536),
    ("micro_batch", 1, 65536),
    ("max_length", 8, 1e7),
    ("seed", 0, 2**32 - 1),
    ("evaluations", 1, 1000),
    ("answers", 0, 1e6),
    ("checkpoint_minutes", 0.01, 1e5),
    ("process_minutes", 0.01, 1e5),
)
_CHOICES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("method", METHODS),
    ("rendering", RENDERINGS),
    ("keep", KEEP),
    ("schedule", SCHEDULES),
    ("dtype", DTYPES),
    ("adapter_dtype", ("float32", "bfloat16")),
)


def _check_range(field: str, value: object, low: float, high: float) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        _refuse(field, value, "it must be a number")
    if not (math.isfinite(value) and low <= value <= high):
        _refuse(field, value, f"it must be from {low:g} to {high:g}")


def _refuse(field: str, value: object, advice: str) -> NoReturn:
    raise InvalidConfig(f"{field} is {value!r}; {advice}", field=field)
