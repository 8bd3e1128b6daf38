"""Resolves a run's settings: TOML file < `PARFOCAL_TRAIN_…` variables < flags.

Does not read the environment; the caller passes it in.
"""

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from parfocal.training.errors import InvalidConfig
from parfocal.training.settings.kinds import Kind, kinds

PREFIX = "PARFOCAL_TRAIN_"
# The file itself, which is no setting.
_FILE_VARIABLE = f"{PREFIX}SETTINGS"
_TUNE = "tune"


@dataclass(frozen=True, slots=True)
class Resolved:
    """The settings that were given, by name; `sources` says where each came from.

    `tune` is the file's table of that name, which only a search reads.
    """

    values: Mapping[str, Any]
    sources: Mapping[str, str]
    tune: Mapping[str, Any] = field(default_factory=dict)


def resolve_settings(
    file: Path | None,
    environment: Mapping[str, str],
    pairs: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
) -> Resolved:
    """The settings that were given: `file`, variables, then `pairs` (KEY=VALUE) and `flags` alike.

    Raises:
        InvalidConfig: a key is unknown (the nearest is named), a value cannot be one of its setting, the file
            cannot be read, or a pair and a flag say different things.
    """
    known = kinds()
    layer, searched = ({}, {}) if file is None else _from_file(file, known)
    layers = [layer]
    layers += [_from_environment(environment, known), _from_pairs(pairs, known)]
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for layer in layers:
        for name, (value, source) in layer.items():
            values[name], sources[name] = value, source
    for name, value in (flags or {}).items():
        if sources.get(name) == "--set" and values[name] != value:
            raise InvalidConfig(
                f"{name} is {values[name]!r} by --set and {value!r} by its flag; leave one out", field=name
            )
        values[name], sources[name] = value, f"--{name.replace('_', '-')}"
    return Resolved(values, sources, searched)


_Layer = dict[str, tuple[Any, str]]


def _from_file(path: Path, known: Mapping[str, Kind]) -> tuple[_Layer, Mapping[str, Any]]:
    """The settings in the file, and its table of what to search."""
    try:
        table = tomllib.loads(path.expanduser().read_text("utf-8"))
    except OSError as error:
        raise InvalidConfig(
            f"the settings {path} cannot be read: {error.strerror}; name a TOML file, such as settings.toml "
            "in a run's folder",
            field="settings",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidConfig(f"the settings {path} are not TOML: {error}", field="settings") from error
    searched = table.pop(_TUNE, {})
    if not isinstance(searched, dict):
        raise InvalidConfig(f"{path} sets tune to {searched!r}; it is a table: [tune]", field=_TUNE)
    _refuse_unknown(table, known, str(path))
    layer = {name: (known[name].accept(value, str(path)), str(path)) for name, value in table.items()}
    return layer, searched


def _from_environment(environment: Mapping[str, str], known: Mapping[str, Kind]) -> _Layer:
    variables = {f"{PREFIX}{name.upper()}": kind for name, kind in known.items()}
    given = {key: text for key, text in environment.items() if key.startswith(PREFIX)}
    given.pop(_FILE_VARIABLE, None)
    _refuse_unknown(given, variables, "the environment")
    return {variables[key].name: (variables[key].parse(text, key), key) for key, text in given.items()}


def _from_pairs(pairs: Iterable[str], known: Mapping[str, Kind]) -> _Layer:
    layer: _Layer = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        key = name.strip().replace("-", "_")
        if not equals:
            raise InvalidConfig(f"--set {pair!r} is not KEY=VALUE, such as rank=8", field="set")
        _refuse_unknown((key,), known, "--set")
        layer[key] = (known[key].parse(text, "--set"), "--set")
    return layer


def _refuse_unknown(keys: Iterable[str], known: Iterable[str], source: str) -> None:
    names = list(known)
    for key in keys:
        if key not in names:
            nearest = difflib.get_close_matches(key, names, n=1, cutoff=0.0)[0]
            raise InvalidConfig(f"unknown setting {key} in {source}; the nearest one is {nearest}", field=key)
