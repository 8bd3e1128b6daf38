"""Resolves the server's settings: TOML file < `PARFOCAL_…` variables < flags. Knows no particular setting.

Does not read the environment; the caller passes it in.
"""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from parfocal.server.errors import BadSetting
from parfocal.server.settings.config import ServeConfig
from parfocal.server.settings.setting import Value, settings_of

PREFIX = "PARFOCAL_"

# Variables with our prefix that other commands read; the server has no use for them.
FOREIGN_VARIABLES = frozenset(
    {
        "PARFOCAL_CONFIG",
        "PARFOCAL_ADDRESS",
        "PARFOCAL_ACTOR",
        # What is shown to a remote registry.
        "PARFOCAL_API_KEY",
        "PARFOCAL_API_KEY_FILE",
        "PARFOCAL_TLS_CA",
        "PARFOCAL_CLIENT_CERT",
        "PARFOCAL_CLIENT_KEY",
        # What versions are signed with.
        "PARFOCAL_SIGNING_KEY",
        "PARFOCAL_KEY_PASSPHRASE",
    }
)

# Settings of runs and of searches, which have other names.
_FOREIGN_PREFIXES = ("PARFOCAL_TRAIN_", "PARFOCAL_TUNE_")

# Kubernetes sets these in every container beside a Service called parfocal; they are no mistake.
_SERVICE_LINK = re.compile(r"PARFOCAL_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)")


@dataclass(frozen=True, slots=True)
class Resolved:
    """The settings in force; `sources` says where each came from: a file, a variable, a flag or `default`."""

    config: ServeConfig
    sources: Mapping[str, str]

    def values(self) -> dict[str, Value]:
        """The value of each setting, in order of declaration."""
        return {each.name: getattr(self.config, each.name) for each in fields(self.config)}

    def lines(self) -> list[str]:
        """One `key = value  (source)` line per setting, in order of declaration."""
        rows = self.values()
        width = max(map(len, rows))
        return [f"{name:<{width}} = {_shown(value)}  ({self.sources[name]})" for name, value in rows.items()]


def resolve_settings(
    file: Path | None, environment: Mapping[str, str], flags: Mapping[str, Value]
) -> Resolved:
    """The settings in force. `flags` holds only flags that were given.

    Raises `BadSetting` for an unknown key (naming the nearest), a value that cannot be used, or a file that
    cannot be read.
    """
    values: dict[str, Value] = {each.name: each.default for each in settings_of(ServeConfig)}
    sources = dict.fromkeys(values, "default")
    layers = [_from_file(file)] if file is not None else []
    for layer in (*layers, _from_environment(environment), _from_flags(flags)):
        for name, (value, source) in layer.items():
            values[name], sources[name] = value, source
    return Resolved(ServeConfig(**values), sources)  # type: ignore[arg-type]  # each value was checked by its Setting


_Layer = dict[str, tuple[Value, str]]


def _from_file(path: Path) -> _Layer:
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BadSetting(f"the configuration file {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSetting(f"the configuration file {path} is not TOML: {error}") from error
    known = {each.name: each for each in settings_of(ServeConfig)}
    _refuse_unknown(table, known, str(path))
    return {name: (known[name].accept(value, str(path)), str(path)) for name, value in table.items()}


def _from_environment(environment: Mapping[str, str]) -> _Layer:
    known = {f"{PREFIX}{each.name.upper()}": each for each in settings_of(ServeConfig)}
    ours = {key: text for key, text in environment.items() if key.startswith(PREFIX) and not _is_foreign(key)}
    _refuse_unknown(ours, known, "the environment")
    return {known[key].name: (known[key].parse(text, key), key) for key, text in ours.items()}


def _from_flags(flags: Mapping[str, Value]) -> _Layer:
    known = {each.name: each for each in settings_of(ServeConfig)}
    return {name: (known[name].accept(value, _flag(name)), _flag(name)) for name, value in flags.items()}


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _is_foreign(key: str) -> bool:
    if key.startswith(_FOREIGN_PREFIXES):
        return True
    return key in FOREIGN_VARIABLES or _SERVICE_LINK.fullmatch(key) is not None


def _refuse_unknown(keys: Iterable[str], known: Iterable[str], source: str) -> None:
    names = list(known)
    for key in keys:
        if key not in names:
            nearest = difflib.get_close_matches(key, names, n=1, cutoff=0.0)[0]
            raise BadSetting(f"unknown setting {key} in {source}; the nearest one is {nearest}", field=key)


def _shown(value: Value) -> str:
    if value is None or value == "":
        return "unset"
    return str(value).lower() if isinstance(value, bool) else str(value)
