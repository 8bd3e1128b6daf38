"""What commands that serve share: settings as flags, and how they speak to operators. Serves nothing."""

import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import typer

from parfocal.cli.display import say
from parfocal.cli.failures import explain
from parfocal.cli.flags import Flag, Given
from parfocal.server import (
    BadSetting,
    Resolved,
    ServeConfig,
    Setting,
    log_to_stderr,
    refuses_settings,
    resolve_settings,
    settings_of,
)
from parfocal.server.settings import Value

log = logging.getLogger(__name__)

CONFIG = Flag("config", Path, "A TOML file with settings.", "FILE", "PARFOCAL_CONFIG")
# As for a flag that is wrong: whoever watches the process need not start it again.
_BAD_USAGE = 2
_METAVARS = {str: "TEXT", int: "NUMBER", float: "NUMBER"}


def flag_of(setting: Setting) -> Flag:
    """Numbers are read as text, so that flags accept what variables do: 4GiB."""
    help_text = f"{setting.help} Default: {_shown(setting)}." if setting.default is not None else setting.help
    if setting.kind is bool:
        return Flag(setting.name, bool, help_text)
    metavar = "|".join(map(str, setting.bounds.choices)) or _METAVARS[setting.kind]
    return Flag(setting.name, str, help_text, metavar)


def _shown(setting: Setting) -> str:
    return ("on" if setting.default else "off") if setting.kind is bool else str(setting.default)


def settings_told(given: Given) -> Resolved:
    """The settings in force, by which this process logs from now on; ends it if they are refused."""
    file = given.get("config")
    assert file is None or isinstance(file, Path)
    with RefusalsIn("text"):
        resolved = resolve_settings(file, os.environ, values_of(given))
    log_to_stderr(resolved.config.log_level, resolved.config.log_format)
    return resolved


class RefusalsIn:
    """Tells of a startup failure in one line, or one JSON object if logs are for machines, and ends.

    With 2 if the settings are refused, else with 1.
    """

    def __init__(self, log_format: str) -> None:
        self._is_json = log_format == "json"

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        line = None if error is None or isinstance(error, BrokenPipeError) else explain(error)
        if error is None or line is None:
            return
        if self._is_json:
            log.critical(line)
        else:
            say(f"parfocal: {line}", err=True)
        raise typer.Exit(_BAD_USAGE if refuses_settings(error) else 1) from error


def values_of(given: Given) -> dict[str, Value]:
    """The values of the flags; a bad one is a usage error."""
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


def voice_of(config: ServeConfig) -> Callable[[str], None]:
    """What reports startup to an operator: plain lines, or log lines for machines."""
    return say_to_operator if config.log_format == "text" else log.info


def say_to_operator(line: str) -> None:
    """Tells an operator. That nobody reads any more, as after `2>&1 | head`, is no reason to stop serving."""
    with contextlib.suppress(BrokenPipeError):
        say(line, err=True)
