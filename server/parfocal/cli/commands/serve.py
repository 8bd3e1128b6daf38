"""`parfocal serve`: one base and any number of adapters. Its flags are the settings of `ServeConfig`."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from parfocal.cli.flags import Flag, Given, command
from parfocal.cli.progress import spinner
from parfocal.server import BadSetting, Resolved, ServeConfig, Setting, resolve_settings, settings_of
from parfocal.server.settings import Value

if TYPE_CHECKING:
    from parfocal.server.assembly import Loaded

_DOC = """Serve one base model and any number of adapters.

Each setting is a key of the configuration file, a variable (PARFOCAL_SLOTS for --slots) and a flag. A flag
beats a variable, and a variable beats the file. On SIGTERM, running requests finish and new ones are refused.

Example: parfocal serve --base tiny --slots 8
"""
_CONFIG = Flag("config", Path, "A TOML file with settings.", "FILE", "PARFOCAL_CONFIG")
_METAVARS = {str: "TEXT", int: "NUMBER", float: "NUMBER"}


def build_serve() -> Callable[..., None]:
    """Returns the command, with one flag for each setting."""
    return command("serve", _DOC, [_CONFIG, *map(_flag, settings_of(ServeConfig))], _serve)


def _flag(setting: Setting) -> Flag:
    """Numbers are taken as text, so that flags read as variables do: 4GiB."""
    help_text = f"{setting.help} Default: {_shown(setting)}." if setting.default is not None else setting.help
    if setting.kind is bool:
        return Flag(setting.name, bool, help_text)
    metavar = "|".join(map(str, setting.bounds.choices)) or _METAVARS[setting.kind]
    return Flag(setting.name, str, help_text, metavar)


def _shown(setting: Setting) -> str:
    return ("on" if setting.default else "off") if setting.kind is bool else str(setting.default)


def _serve(given: Given) -> None:
    config = given.get("config")
    assert config is None or isinstance(config, Path)
    resolved = resolve_settings(config, os.environ, _values(given))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for line in resolved.lines():
        typer.echo(line, err=True)
    _run(resolved)


def _values(given: Given) -> dict[str, Value]:
    """Returns the values of the flags; a bad one is a mistake in usage."""
    known = {setting.name: setting for setting in settings_of(ServeConfig)}
    values: dict[str, Value] = {}
    for name, value in given.items():
        try:
            if isinstance(value, str):
                values[name] = known[name].parse(value, "the flag")
            elif isinstance(value, bool):
                values[name] = value
        except BadSetting as error:
            raise typer.BadParameter(str(error), param_hint=f"--{name.replace('_', '-')}") from error
    return values


def _run(resolved: Resolved) -> None:
    with spinner("Loading the libraries"):
        _calm_libraries()
        from parfocal.server.assembly import load
    typer.echo(f"Loading the base {resolved.config.base}", err=True)
    loaded = load(resolved.config)
    for line in loaded.memory.lines():
        typer.echo(f"Memory: {line}", err=True)
    asyncio.run(_until_terminated(loaded))


def _calm_libraries() -> None:
    """Keeps out of logs and metrics what no operator can use: progress bars, hints, series with birthdays."""
    import transformers.utils.logging
    from huggingface_hub.utils.tqdm import disable_progress_bars
    from prometheus_client import disable_created_metrics

    disable_created_metrics()  # type: ignore[no-untyped-call]
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    if not sys.stderr.isatty():
        disable_progress_bars()
        transformers.utils.logging.disable_progress_bar()


async def _until_terminated(loaded: "Loaded") -> None:
    from parfocal.server.assembly import running

    async with running(loaded) as server:
        typer.echo(f"Serving {loaded.contract.id} at {server.address}", err=True)
        if server.metrics_port:
            host = loaded.config.metrics_address.rpartition(":")[0]
            typer.echo(f"Metrics at http://{host}:{server.metrics_port}/metrics", err=True)
        await server.run_until_terminated()
    typer.echo("Stopped", err=True)
