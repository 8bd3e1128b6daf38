"""Evaluates published versions beside their base, with and without a prompt: what `parfocal eval` does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from parfocal.engine import AdapterFolder, AdapterKey, RankAndScale, quick_imports, quiet_libraries
from parfocal.registry import BaseContract, BaseFiles, Registry, Version, describe_base, locate_base
from parfocal.registry.values import JSON, TEMPLATE_FILE
from parfocal.training.data import VIEWS, BaseEncoder, Row, Sample, Turn, read_rows, tokenise
from parfocal.training.errors import BaseUnfit, DataRefused, InvalidConfig
from parfocal.training.figures import Arm, Evaluated, TrainingText, neighbours
from parfocal.training.findings import Finding, Findings, Report, Severity
from parfocal.training.metrics import metric_named

MOST_ADAPTERS = 16
_BASE = "base"


@dataclass(frozen=True, slots=True)
class EvalConfig:
    """Which versions to evaluate, on what, and how.

    adapters: references, such as `team/invoices@prod`. data: held-out rows. metrics: as in TrainConfig. base:
    a folder, a Hub id or `tiny`; None is the one that the versions name. rows: at most so many are scored.
    answers: how many of them are answered. shots: how many rows of `examples` (or the first rows of `data`,
    which are not scored then) are put before each prompt, after `instruction`, to see whether a prompt does
    as well. learnt: the rows that were trained on, to find those nearest to wrong answers.
    """

    adapters: tuple[str, ...]
    data: Path
    metrics: tuple[str, ...] = ("exact",)
    base: str | None = None
    rows: int = 1000
    answers: int = 200
    shots: int = 0
    examples: Path | None = None
    instruction: str = ""
    learnt: Path | None = None
    probes: bool = True
    device: str = "auto"

    @property
    def is_prompted(self) -> bool:
        """Whether a prompt is compared with the adapters."""
        return bool(self.shots or self.instruction)

    def check(self) -> None:
        """Raises InvalidConfig for the first setting out of range."""
        if len(self.adapters) > MOST_ADAPTERS:
            raise InvalidConfig(f"{len(self.adapters)} adapters are named; at most {MOST_ADAPTERS} at once")
        for name, least in (("rows", 1), ("answers", 0), ("shots", 0)):
            if getattr(self, name) < least:
                raise InvalidConfig(
                    f"{name} is {getattr(self, name)}; it must be {least} or more", field=name
                )
        for metric in self.metrics:
            metric_named(metric)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An evaluation, and what a registry would record of each arm."""

    evaluated: Evaluated
    recorded: tuple[dict[str, float], ...]

    def metrics(self) -> dict[str, JSON]:
        """The recorded metrics of each arm but the base, by its title."""
        arms = self.evaluated.measured
        return {arms[at].arm.title: dict(self.recorded[at]) for at in range(1, len(arms))}


def _say_nothing(text: str) -> None:
    """For callers who follow nothing."""


def evaluate_versions(
    config: EvalConfig, registry: Registry | None, say: Callable[[str], None] = _say_nothing
) -> Evaluation:
    """Evaluates base and versions on the engine that serves, all in one mixed batch; `say` is told of it.

    Raises:
        InvalidConfig: a setting is out of its range, or a metric is none.
        DataRefused: the rows have faults, or none of them fits the context.
        BaseUnfit: a version was made for another base.
        MetricFailed: a metric gave no number for an answer; JudgeUnavailable if a judge is down.
        RegistryError: a version is not there, or the registry does not answer.
    """
    config.check()
    versions = _resolved(config, registry)
    base, contract = _base_of(config, versions)
    for version in versions:
        _check_fits(version, contract)
    rows, digest, examples = _rows(config)
    arms = _Arms(base.folder, config, examples)
    for version in versions:
        assert registry is not None  # without one nothing was resolved
        arms.add(version, registry.materialise(version.digest))
    rendered = arms.render(rows)
    with quiet_libraries():
        with quick_imports():
            from parfocal.training.evaluation import ArmRows, Questions, Room, ServedBase, evaluate
        say(f"Asking {len(rendered)} arms for {len(rendered[0].samples)} rows on {base.id}")
        longest = max(len(sample.ids) for each in rendered for sample in each.samples)
        questions = Questions(
            min(config.answers, len(rendered[0].samples)),
            tuple(map(metric_named, config.metrics)),
            config.probes,
        )
        with ServedBase(base.folder, arms.folders, config.device, Room(longest=2 * longest)) as served:
            asked = [ArmRows(each.arm, each.key, each.encoder, each.samples) for each in rendered]
            found = evaluate(served, asked, questions, (base.id, config.data.name, digest))
    evaluated = replace(
        found.evaluated, notes=arms.notes, neighbours=_neighbours(found.evaluated, config.learnt)
    )
    return Evaluation(evaluated, tuple(map(found.recorded, range(len(rendered)))))


@dataclass(frozen=True, slots=True)
class _Rendered:
    """One arm with its rows in tokens."""

    arm: Arm
    key: AdapterKey | None
    encoder: BaseEncoder
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class _Voice:
    """How one model reads rows: whether as chats, and by which template."""

    title: str
    version: Version | None
    encoder: BaseEncoder
    is_chat: bool | None


class _Arms:
    """The arms: base and versions, each without a prompt and, where there is one, with it."""

    def __init__(self, base: Path, config: EvalConfig, examples: Sequence[Row]) -> None:
        self._base = base
        self._config = config
        self._examples = examples
        self._voices = [_Voice(_BASE, None, BaseEncoder(base), None)]
        self.folders: dict[str, AdapterFolder] = {}
        self.notes: tuple[str, ...] = ()

    def add(self, version: Version, folder: Path) -> None:
        """Adds a version, whose verified files are in `folder`."""
        contract = version.manifest.contract
        scales = {
            each.path: RankAndScale(each.rank, each.scale(contract.use_rslora)) for each in contract.targets
        }
        self.folders[version.digest] = AdapterFolder(folder, scales)
        rendering = contract.rendering
        own = contract.chat_template_digest is not None
        template = (folder / TEMPLATE_FILE).read_text("utf-8") if own else None
        variables = {} if rendering is None else rendering.template_variables
        is_chat = None if rendering is None else rendering.form == "chat"
        encoder = BaseEncoder(self._base, variables, template)
        self._voices.append(_Voice(f"{version.name}@{version.version}", version, encoder, is_chat))

    def render(self, rows: Sequence[Row]) -> list[_Rendered]:
        """Every arm with the rows that fit the context in all of them; raises DataRefused."""
        findings = Findings()
        # The base reads rows as the first version does, so that they are compared on the same text.
        form = next((each.is_chat for each in self._voices if each.is_chat is not None), None)
        drafts = []
        for prompted in (False, True) if self._config.is_prompted else (False,):
            for voice in self._voices:
                is_chat = form if voice.is_chat is None else voice.is_chat
                drafts.append((voice, prompted, self._samples(rows, voice, is_chat, prompted, findings)))
        fitting = set.intersection(*({each.row.line for each in samples} for _, _, samples in drafts))
        left_out = len(rows) - len(fitting)
        if not fitting:
            findings.add(
                Finding(Severity.ERROR, "TOO_LONG", "fit the context in no arm", self._config.data.name)
            )
        report = Report(self._config.data.name, findings.as_tuple())
        if report.errors:
            raise DataRefused(report)
        if left_out:
            self.notes = (f"{left_out} rows are left out: with the prompt they exceed the base's context",)
        return [
            _Rendered(
                _arm(voice, prompted),
                None if voice.version is None else AdapterKey(voice.version.digest, voice.title),
                voice.encoder,
                tuple(each for each in samples if each.row.line in fitting),
            )
            for voice, prompted, samples in drafts
        ]

    def _samples(
        self, rows: Sequence[Row], voice: _Voice, is_chat: bool | None, prompted: bool, findings: Findings
    ) -> tuple[Sample, ...]:
        asked = [_in_form(row, is_chat, voice.title) for row in rows]
        if prompted:
            shown = [_in_form(row, is_chat, voice.title) for row in self._examples]
            asked = [with_prompt(row, self._config.instruction, shown) for row in asked]
        tokenised = tokenise(asked, voice.encoder)
        findings.extend(each for each in tokenised.findings if each.severity is Severity.ERROR)
        context = context_of(self._base)
        return tuple(each for each in tokenised.samples if len(each.ids) < context)


def with_prompt(row: Row, instruction: str, examples: Sequence[Row]) -> Row:
    """The row with an instruction and examples before it.

    In a chat the instruction is the system message, before the row's own, and examples are turns that are not
    scored; a raw prompt begins with both as text.
    """
    if row.raw:
        shown = [f"{each.turns[0].content}{each.answer}\n\n" for each in examples]
        head = f"{instruction}\n\n" if instruction else ""
        prompt = replace(row.turns[0], content=f"{head}{''.join(shown)}{row.turns[0].content}")
        return replace(row, turns=(prompt, *row.turns[1:]))
    system = "\n\n".join(text for text in (instruction, row.system) if text)
    turns = [replace(turn, learn=False) for each in examples for turn in each.talk]
    first = (Turn("system", system),) if system else ()
    return replace(row, turns=(*first, *turns, *row.talk))


def context_of(base: Path) -> int:
    """How many tokens the base reads at once."""
    from parfocal.training.hyperparameters import base_facts

    return base_facts(base).context


def _arm(voice: _Voice, prompted: bool) -> Arm:
    version = voice.version
    title = f"{voice.title} + prompt" if prompted else voice.title
    if version is None:
        return Arm(title, prompted=prompted)
    return Arm(title, voice.title, version.digest, prompted)


def _in_form(row: Row, is_chat: bool | None, title: str) -> Row:
    if is_chat is None or row.raw is not is_chat:
        return row
    if is_chat:
        return replace(row, raw=False)
    raise InvalidConfig(
        f"{title} was trained on raw prompts, and the rows are chats; give rows of prompt and completion",
        field="data",
    )


def _resolved(config: EvalConfig, registry: Registry | None) -> list[Version]:
    if not config.adapters:
        return []
    if registry is None:
        raise InvalidConfig("adapters need a registry; name one with --registry", field="registry")
    return [registry.resolve(reference) for reference in config.adapters]


def _base_of(config: EvalConfig, versions: Sequence[Version]) -> tuple[BaseFiles, BaseContract]:
    reference = config.base
    if reference is None and versions:
        named = versions[0].manifest.contract.base
        reference = f"{named.id}@{named.revision}" if named.revision else named.id
    base = locate_base(reference or "tiny", weights=True)
    return base, describe_base(base)


def _check_fits(version: Version, contract: BaseContract) -> None:
    differences = version.manifest.contract.base.differences(contract)
    if differences:
        raise BaseUnfit(
            f"{version.name}@{version.version} was made for another base: {differences[0]}; name its base "
            "with --base, and evaluate versions of one base at once",
            field=differences[0].field,
        )


def _rows(config: EvalConfig) -> tuple[tuple[Row, ...], str, tuple[Row, ...]]:
    """Rows to score, their digest, and rows to show as examples."""
    rows, digest = _read(config.data)
    if config.examples is not None:
        examples = _read(config.examples)[0][: config.shots]
    else:
        examples, rows = rows[: config.shots], rows[config.shots :]
    if len(examples) < config.shots or not rows:
        raise InvalidConfig(
            f"shots is {config.shots}, and there are too few rows for it; give more with --examples FILE",
            field="shots",
        )
    # An answer that is not scored cannot be judged.
    answerable = [row for row in rows if row.turns[-1].learn]
    return tuple((answerable or list(rows))[: config.rows]), digest, examples


def _read(path: Path) -> tuple[tuple[Row, ...], str]:
    read = read_rows(path, VIEWS["sft"])
    report = Report(path.name, read.findings)
    if report.errors:
        raise DataRefused(report)
    return tuple(row for row in read.rows if isinstance(row, Row)), read.digest


def _neighbours(found: Evaluated, learnt: Path | None) -> dict[int, str]:
    if learnt is None or not found.scores:
        return {}
    rows = (
        TrainingText(row.line, "\n".join(turn.content for turn in row.prompt), row.answer)
        for row in _read(learnt)[0]
    )
    # The last without a prompt: what it gets wrong is what training has to mend.
    plain = [at for at, each in enumerate(found.measured) if not each.arm.prompted]
    return neighbours(found.items, found.scores[plain[-1]], rows)


__all__ = ["EvalConfig", "Evaluation", "evaluate_versions", "with_prompt"]
