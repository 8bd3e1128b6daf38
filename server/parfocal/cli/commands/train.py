"""`parfocal train`: from rows of examples to a published adapter. Its flags are fields of `TrainConfig`."""

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from parfocal.cli.data import read_columns
from parfocal.cli.display import say, show_json
from parfocal.cli.flags import Flag, Given, command
from parfocal.cli.options import DEFAULT_REGISTRY
from parfocal.cli.signing import signer_from
from parfocal.cli.template_variables import read_variables

if TYPE_CHECKING:
    from parfocal.training import SigningKey, TrainConfig, Watcher

_DOC = """Train an adapter on examples and publish it.

Rows are {"prompt": …, "completion": …}, {"messages": […]} or of another format that parfocal data check
knows: JSON lines, a JSON array, CSV, Parquet, or a data set of the Hub. They are checked before anything is
loaded. Some are held out: half of them to choose the adapter on, half to compare it with its base on. Ctrl-C
leaves a checkpoint for --resume. Each setting is a key of a --settings file, a variable (PARFOCAL_TRAIN_RANK
for --rank), a --set and a flag: a flag beats a variable, and a variable beats the file.

Example: parfocal train --data invoices.jsonl --name team/invoices
"""

# Fields of TrainConfig, each with the default used when the flag is not given.
FIELDS = (
    Flag("data", Path, "Rows to learn from.", "FILE|hf://ORG/NAME"),
    Flag("name", str, "What to publish the adapter as, such as team/invoices.", "NAME"),
    Flag("base", str, "The base: tiny, a folder or a Hub id. Default: the parent's, or tiny.", "BASE"),
    Flag("method", str, "What to learn. Default: sft, answers.", "sft|text|dpo|kto|reward|grpo"),
    Flag("held_out", Path, "Rows to report the result on. Default: a part of --data.", "FILE"),
    Flag("validation", Path, "Rows to choose the adapter on. Default: a part of --data.", "FILE"),
    Flag("held_out_fraction", float, "The part of --data that is held out for both. Default: 0.1."),
    Flag("parent", str, "The version to continue from. Default: none.", "NAME@VERSION", typed="--from"),
    Flag(
        "replay",
        str,
        "Rows that it was trained on, to learn a part of them again. Default: none; a quarter of all rows.",
        "FILE[:SHARE]",
    ),
    Flag(
        "registry",
        str,
        f"Where to publish. Default: {DEFAULT_REGISTRY}.",
        "FOLDER|grpc://HOST:PORT",
        "PARFOCAL_REGISTRY",
    ),
    Flag("output", Path, "The run's folder. Default: the next in parfocal-runs/NAME, - for /.", "FOLDER"),
    Flag("rendering", str, "How rows become text. Default: auto, as they look.", "auto|chat|raw"),
    Flag("rank", int, "The adapter's rank. Default: the parent's, or 16."),
    Flag("alpha", int, "The numerator of its scale. Default: twice the rank."),
    Flag("targets", list, "A linear module to adapt, such as q_proj; may be repeated. Default: all."),
    Flag("dropout", float, "Dropout before the adapter. Default: 0."),
    Flag("rslora", bool, "Scale by alpha over the root of the rank. Default: for high ranks."),
    Flag("init", str, "How the adapter begins. Default: default, as PEFT.", "default|gaussian|orthogonal"),
    Flag("dora", bool, "Refused: it cannot be served beside other adapters.", has_opposite=False),
    Flag("modules_to_save", list, "Refused: adapters share the base's modules.", "MODULE"),
    Flag("beta", float, "How firmly dpo, kto and grpo hold on to where they begin. Default: 0.1; grpo: 0."),
    Flag(
        "rewards",
        list,
        "What grpo rewards answers for; may be repeated, and is summed.",
        "exact|json=SCHEMA|regex=PATTERN|grader=FILE|adapter:NAME@VERSION|MODULE:FUNCTION",
        typed="--reward",
    ),
    Flag("reward_seconds", float, "How long a reward may take for a batch. Default: 60."),
    Flag("generations", int, "Answers that grpo draws for each row. Default: 8."),
    Flag("answer_tokens", int, "How long they may be. Default: 256 tokens."),
    Flag("temperature", float, "At which they are drawn. Default: 1."),
    Flag("learning_rate", float, "Default: chosen for the base's size."),
    Flag(
        "schedule",
        str,
        "What the learning rate does. Default: auto, wsd where the run ends by itself, else linear.",
        "auto|linear|cosine|constant|wsd",
    ),
    Flag("warmup_steps", int, "Steps until the full learning rate. Default: 3 % of the steps."),
    Flag("epochs", float, "Passes over the rows. Default: until the validation loss stops falling."),
    Flag("steps", int, "Steps instead of epochs."),
    Flag("early_stop", bool, "End when the validation loss stops falling. Default: if no length is given."),
    Flag("patience", int, "Evaluations without a better loss before that. Default: two, at least 80 steps."),
    Flag("batch_size", int, "Rows per step. Default: 16."),
    Flag("micro_batch", int, "Rows per forward pass. Default: the batch size."),
    Flag("max_length", int, "Where rows are cut, in tokens. Default: only where the base's context ends."),
    Flag("seed", int, "Same seed, same adapter on CPU. Default: 0."),
    Flag("evaluations", int, "How often validation rows are scored while training. Default: 5."),
    Flag("keep", str, "Publish the adapter that scored best, or the last. Default: best.", "best|last"),
    Flag(
        "metrics",
        list,
        "How answers are judged: exact, json, json=SCHEMA, label, rouge, regex=PATTERN, judge=URL#MODEL or "
        "module:function; may be repeated. Default: exact.",
        "METRIC",
        typed="--metric",
    ),
    Flag("answers", int, "Held-out answers to generate and judge at the end. Default: 50."),
    Flag("probes", bool, "Measure what was forgotten, and which clichés were learnt. Default: yes."),
    Flag("checkpoint_minutes", float, "Minutes between checkpoints. Default: 10."),
    Flag("process_minutes", float, "Minutes that one of several processes waits for another. Default: 10."),
    Flag("device", str, "auto, cpu, cuda or cuda:N. Default: auto."),
    Flag("dtype", str, "What the base computes in. Default: auto.", "auto|float32|bfloat16"),
    Flag(
        "template_variables",
        list,
        "What the chat template reads, such as enable_thinking=false; may be repeated. Default: none.",
        "NAME=VALUE",
        typed="--template-variable",
    ),
    Flag(
        "columns",
        list,
        "A column that the rows call otherwise, such as completion=answer; may be repeated. Default: none.",
        "NAME=YOURS",
        typed="--column",
    ),
    Flag(
        "events",
        str,
        "Add the run's events to a file as JSON lines, or - for standard output. Default: none.",
        "FILE|-",
    ),
    Flag(
        "track",
        list,
        "Send the figures to an experiment tracker; may be repeated. Default: none.",
        "tensorboard:FOLDER|trackio:PROJECT",
    ),
    Flag(
        "tags",
        list,
        "A word that the version is found by, such as language:de; may be repeated. Default: none.",
        "TAG",
        typed="--tag",
    ),
    Flag("sign_key", Path, "Sign the version with this private key, in PEM. Default: unsigned.", "FILE"),
    Flag("adapter_dtype", str, "Type of the published weights. Default: float32.", "float32|bfloat16"),
)
SETTINGS = (
    Flag(
        "settings",
        Path,
        "A TOML file with any of these settings, such as settings.toml of a run's folder.",
        "FILE.toml",
        "PARFOCAL_TRAIN_SETTINGS",
    ),
    Flag("set", list, "A setting, as in that file; may be repeated.", "KEY=VALUE"),
)
_MODES = (
    Flag("publish", bool, "Publish the adapter. Default: yes."),
    Flag("check", bool, "Only check the rows and show the choices.", has_opposite=False),
    Flag(
        "resume",
        bool,
        "Go on with the run in --output, or with the last unfinished one of --name.",
        has_opposite=False,
    ),
    Flag("publish_run", Path, "Only publish the finished run in FOLDER, with its evaluation.", "FOLDER"),
    Flag("json", bool, "Print the result as JSON.", has_opposite=False),
)
_WITH_PUBLISH_RUN = {"publish_run", "registry", "name", "sign_key", "json"}


def build_train() -> Callable[..., None]:
    """The command, with one flag for each field of the configuration."""
    return command("train", _DOC, (*FIELDS, *SETTINGS, *_MODES), _train)


def _train(given: Given) -> None:
    if _is_led(given):
        return
    if "publish_run" in given:
        _publish_run(given)
        return
    if given.get("resume"):
        _resume(given)
        return
    config = config_of(given)
    if given.get("check"):
        _check(config, bool(given.get("json")))
        return
    from parfocal.training import train

    with _watching(bool(given.get("json")) or config.events == "-") as watcher:
        result = train(config, watcher, key=signing_key())
    if given.get("json"):
        show_json(result.to_json())


def _is_led(given: Given) -> bool:
    """Whether this is not the first of several processes, as torchrun starts them; then it does its part."""
    from parfocal.training import assist
    from parfocal.training.processes import Place

    place = Place.from_environment()
    if place.leads:
        return False
    if not given.get("check") and "publish_run" not in given:
        assist()
        sys.stdout.flush()
        sys.stderr.flush()
        # Seen once: torch's threads abort a process that ends as usual while the others close their side.
        os._exit(0)
    return True


def _resume(given: Given) -> None:
    from parfocal.training import latest_unfinished, resume

    settings = _settings(given)
    output, name = settings.get("output"), settings.get("name")
    if not isinstance(output, Path) and not isinstance(name, str):
        raise typer.BadParameter("say which run: give --output or --name", param_hint="--resume")
    if given.get("check"):
        raise typer.BadParameter(
            "a run that is resumed was checked; leave one of them out", param_hint="--check"
        )
    folder = output if isinstance(output, Path) else latest_unfinished(str(name))
    with _watching(bool(given.get("json")) or settings.get("events") == "-") as watcher:
        result = resume(folder, watcher, settings=settings, key=signing_key())
    if given.get("json"):
        show_json(result.to_json())


def _publish_run(given: Given) -> None:
    from parfocal.training import publish_run

    others = [
        flag.text for flag in (*FIELDS, *SETTINGS, *_MODES) if flag.name in given.keys() - _WITH_PUBLISH_RUN
    ]
    if others:
        raise typer.BadParameter(f"it trains nothing; leave {others[0]} out", param_hint="--publish-run")
    registry, name, signing = given.get("registry"), given.get("name"), given.get("sign_key")
    version = publish_run(
        Path(str(given["publish_run"])),
        None if registry is None else str(registry),
        None if name is None else str(name),
        fallback=DEFAULT_REGISTRY,
        key=signing_key(None if signing is None else Path(str(signing))),
    )
    if given.get("json"):
        show_json({"name": version.name, "version": version.version, "digest": version.digest})
    else:
        say(f"Published as {version.name}@{version.version} ({version.digest})")


def _check(config: "TrainConfig", as_json: bool) -> None:
    from parfocal.training import DataRefused, check

    prepared = check(config, signing_key())
    if as_json:
        choices = prepared.hyperparameters.to_json() if prepared.hyperparameters else None
        show_json({"report": prepared.report.to_json(), "choices": choices})
    else:
        for line in prepared.report.lines():
            say(line)
        for choice in prepared.hyperparameters.choices if prepared.hyperparameters else ():
            say(f"{choice.name:<14}{choice.value!s:<12}{choice.reason}")
    if prepared.hyperparameters is None:
        raise DataRefused(prepared.report)


def config_of(given: Given) -> "TrainConfig":
    """The settings of a new run; a usage error where data or name is missing."""
    from parfocal.training import TrainConfig

    settings = {"registry": DEFAULT_REGISTRY, **_settings(given)}
    for name in ("data", "name"):
        if settings.get(name) is None:
            raise typer.BadParameter("it is needed, unless a run is resumed", param_hint=f"--{name}")
    return TrainConfig(**settings)


def _settings(given: Given) -> dict[str, Any]:
    """The fields of the configuration that were given: file < environment < flags."""
    return given_settings(given)[0]


def given_settings(given: Given) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """The fields of the configuration that were given, and the file's table of what to search."""
    from parfocal.training.settings import resolve_settings

    names = {flag.name for flag in FIELDS}
    values: dict[str, Any] = {name: value for name, value in given.items() if name in names}
    for name in ("targets", "track", "tags", "modules_to_save", "rewards", "metrics"):
        if name in values:
            values[name] = tuple(values[name])
    if "template_variables" in values:
        values["template_variables"] = read_variables(values["template_variables"])
    if "columns" in values:
        values["columns"] = read_columns(values["columns"])
    if given.get("publish") is False:
        values["registry"] = None
    file, pairs = given.get("settings"), given.get("set")
    assert file is None or isinstance(file, Path)
    found = resolve_settings(file, os.environ, pairs if isinstance(pairs, list) else (), values)
    return dict(found.values), found.tune


def signing_key(file: Path | None = None) -> "SigningKey":
    """How a run's key is read: with a question for its passphrase, on a terminal."""
    from parfocal.training import SigningKey

    return SigningKey(signer_from, file)


def _watching(quiet: bool) -> "AbstractContextManager[Watcher]":
    """The run's watcher: a chart and a bar on a terminal, lines elsewhere; on stderr if `quiet`."""
    from rich.console import Console

    from parfocal.training import BarWatcher, PlainWatcher

    if sys.stderr.isatty():
        return BarWatcher(Console(stderr=quiet))
    return nullcontext(PlainWatcher(lambda line: say(line, err=quiet)))
