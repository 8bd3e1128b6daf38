"""`parfocal tune`: searches for the settings of a training run. Takes every flag of `parfocal train`."""

import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from parfocal.cli.commands.train import FIELDS, SETTINGS, given_settings, signing_key
from parfocal.cli.display import say, show_json
from parfocal.cli.flags import Flag, Given, command
from parfocal.cli.options import DEFAULT_REGISTRY

if TYPE_CHECKING:
    from parfocal.training import SearchConfig, SearchWatcher

_DOC = """Search for the settings that train the best adapter on examples, and publish it.

Trains one adapter after the other on one base, which is loaded once, as are the rows. Trials are compared by
their loss on the validation rows; those that will not be the best end early. The best is finished like any
run of parfocal train: compared with its base on the held-out rows, and published. Takes every setting of
parfocal train. What is searched stands in [tune] of the --settings file, or in --search; by default it is the
learning rate and the rank. Ctrl-C and kill -9 lose no trial that ended: go on with --resume.

Example: parfocal tune invoices.jsonl --trials 8
Example: parfocal tune invoices.jsonl --search rank=8,16 --search learning_rate=1e-4..1e-2
"""
_SEARCH = (
    Flag(
        "search",
        list,
        "A setting and what to try, as choices or as a range; may be repeated. Default: learning_rate, rank.",
        "KEY=A,B,C|KEY=LOW..HIGH",
    ),
    Flag(
        "trials",
        int,
        "How many runs. Default: 8; of a grid, every combination.",
        variable="PARFOCAL_TUNE_TRIALS",
    ),
    Flag(
        "sampler",
        str,
        "Who draws the trials: tpe learns from those before. Default: tpe.",
        "tpe|random|grid",
        "PARFOCAL_TUNE_SAMPLER",
    ),
    Flag(
        "pruner",
        str,
        "Which trials end early: those worse than the median, or than the better half. Default: median.",
        "median|halving|none",
        "PARFOCAL_TUNE_PRUNER",
    ),
    Flag(
        "minutes",
        float,
        "No trial begins after so many. Default: no limit.",
        variable="PARFOCAL_TUNE_MINUTES",
    ),
)
_MODES = (
    Flag("publish", bool, "Publish the best adapter. Default: yes."),
    Flag(
        "resume",
        bool,
        "Go on with the search in --output, or with the last unfinished one of --name.",
        has_opposite=False,
    ),
    Flag("json", bool, "Print the result as JSON, with every trial.", has_opposite=False),
)
_ROWS = Flag("rows", Path, "Rows to learn from, as --data.", "DATA", is_argument=True)
_OWN = ("trials", "sampler", "pruner", "minutes")


def build_tune() -> Callable[..., None]:
    """The command, with one flag for each field of the configuration of a run and of a search."""
    return command("tune", _DOC, (_ROWS, *_SEARCH, *FIELDS, *SETTINGS, *_MODES), _tune)


def _tune(given: Given) -> None:
    from parfocal.training import TrainConfig, latest_unfinished, resume_search, tune

    settings, searched = given_settings(_with_rows(given))
    own = {name: given[name] for name in _OWN if name in given}
    search = _search(given, searched, own, settings)
    quiet = bool(given.get("json")) or settings.get("events") == "-"
    if given.get("resume"):
        output = settings.get("output")
        folder = output if isinstance(output, Path) else latest_unfinished(_name(settings))
        with _watching(quiet) as watcher:
            result = resume_search(folder, search, watcher, settings, signing_key())
    else:
        if settings.get("data") is None:
            raise typer.BadParameter("it is needed, unless a search is resumed", param_hint="DATA")
        run = {"registry": DEFAULT_REGISTRY, **settings, "name": _name(settings)}
        with _watching(quiet) as watcher:
            result = tune(TrainConfig(**run), search, watcher, key=signing_key())
    if given.get("json"):
        show_json(result.to_json())


def _with_rows(given: Given) -> Given:
    if "rows" not in given:
        return given
    if "data" in given:
        raise typer.BadParameter("the rows are given twice; leave one out", param_hint="--data")
    return {**{name: value for name, value in given.items() if name != "rows"}, "data": given["rows"]}


def _name(settings: Mapping[str, Any]) -> str:
    """The adapter's name: as given, or as the file of rows is called."""
    if settings.get("name") is not None:
        return str(settings["name"])
    stem = re.sub(r"[^a-z0-9._-]+", "-", str(settings.get("data", "")).rpartition("/")[2].lower())
    name = stem.partition(".")[0].strip("-_.")[:60]
    if not name:
        raise typer.BadParameter("it is needed: no name can be made of the rows' own", param_hint="--name")
    return name


def _search(
    given: Given, table: Mapping[str, Any], own: Mapping[str, Any], settings: Mapping[str, Any]
) -> "SearchConfig":
    from parfocal.training import search_config

    pairs = given.get("search")
    source = f"[tune] of {given.get('settings') or os.environ.get('PARFOCAL_TRAIN_SETTINGS', '')}"
    return search_config(table, source, pairs if isinstance(pairs, list) else (), own, settings)


def _watching(quiet: bool) -> "AbstractContextManager[SearchWatcher]":
    """The search's watcher: a bar on a terminal, lines elsewhere; on stderr if `quiet`."""
    from rich.console import Console

    from parfocal.training import BarSearchWatcher, PlainSearchWatcher

    if sys.stderr.isatty():
        return BarSearchWatcher(Console(stderr=quiet))
    return nullcontext(PlainSearchWatcher(lambda line: say(line, err=quiet)))
