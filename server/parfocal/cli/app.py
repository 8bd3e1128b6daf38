"""Assembles the subcommands. Does not know what they do."""

import importlib
import importlib.util
from collections.abc import Callable
from typing import Annotated

import typer

from parfocal.cli.canaries import canary
from parfocal.cli.commands.alias import alias
from parfocal.cli.commands.cache import build_cache
from parfocal.cli.commands.gate import gate
from parfocal.cli.commands.gc import gc
from parfocal.cli.commands.generate import generate
from parfocal.cli.commands.keys import build_keys
from parfocal.cli.commands.log import log
from parfocal.cli.commands.ls import ls
from parfocal.cli.commands.plan import build_plan
from parfocal.cli.commands.pull import pull
from parfocal.cli.commands.push import push
from parfocal.cli.commands.registry import build_registry
from parfocal.cli.commands.rm import rm
from parfocal.cli.commands.rollback import rollback
from parfocal.cli.commands.serve import build_serve
from parfocal.cli.commands.status import status
from parfocal.cli.commands.top import top
from parfocal.cli.commands.train import build_train
from parfocal.cli.data import build_data
from parfocal.cli.display import say, show_warnings_as_lines
from parfocal.cli.evaluating import eval_
from parfocal.cli.exchange import export, import_
from parfocal.cli.extras import needing
from parfocal.cli.failures import OneLineGroup
from parfocal.cli.reach import reaching
from parfocal.cli.sight import diff, show
from parfocal.cli.signing import build_trust, sign, verify
from parfocal.cli.tuning import build_tune
from parfocal.engine import calm_libraries
from parfocal.server import package_version

_REGISTRY_COMMANDS: tuple[Callable[..., None], ...] = (
    push, pull, export, import_, ls, show, diff, sign, verify, alias, canary, gate, rollback, log, rm,
)  # fmt: skip
# Those whose names Python has taken.
_NAMES = {"import_": "import", "eval_": "eval"}
# Each with the extra that it needs.
_TOURS = {"demo": "all", "bench": "serve"}


def build_app() -> typer.Typer:
    """The command with all its subcommands."""
    app = typer.Typer(
        name="parfocal",
        cls=OneLineGroup,
        help="Serve many LoRA adapters from one 4-bit base model, and look after their whole life.",
        epilog="Begin with: parfocal demo",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for name, extra in _TOURS.items():
        if importlib.util.find_spec(f"parfocal.cli.commands.{name}") is not None:
            tour = getattr(importlib.import_module(f"parfocal.cli.commands.{name}"), name)
            app.command(name)(needing(extra, tour))
    serve, train = needing("serve", build_serve()), needing("train", build_train())
    plan, tune = needing("train", build_plan()), needing("train", build_tune())
    commands: tuple[Callable[..., None], ...] = (status, top, generate)
    asking, keeping = map(reaching, commands), map(reaching, _REGISTRY_COMMANDS)
    measure = reaching(needing("train", eval_))
    for command in (serve, *asking, plan, train, tune, measure, *keeping, gc):
        app.command(_NAMES.get(command.__name__))(command)
    for group in (build_data(), build_registry(), build_keys(), build_trust(), build_cache()):
        app.add_typer(group)
    app.callback()(_parfocal)
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        say(f"parfocal {package_version('parfocal')}")
        raise typer.Exit


def _parfocal(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Serve many LoRA adapters from one 4-bit base model, and look after their whole life."""
    calm_libraries()
    show_warnings_as_lines()
