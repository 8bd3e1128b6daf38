"""Says which extra of the distribution a command needs that is not installed. Imports no library."""

import functools
import re
from collections.abc import Callable, Iterable
from importlib import metadata
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_DISTRIBUTION = "parfocal"
_OF_AN_EXTRA = re.compile(r"(?P<name>[\w.-]+)[^;]*;\s*extra\s*==\s*['\"](?P<extra>[\w-]+)['\"]\s*")
_WORD = re.compile(r"[a-z0-9][\w-]*")
_CHOSEN = ("serve", "train")
_SHOWN = 3


class ExtraMissing(Exception):
    """A command needs libraries that belong to an extra."""

    status = "FAILED_PRECONDITION"
    reason = "EXTRA_MISSING"


def needing(extra: str, command: Callable[P, T]) -> Callable[P, T]:
    """The command, refused with ExtraMissing where a library of `extra` is absent; `all` is every extra."""

    @functools.wraps(command)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        require(extra, command.__name__.rstrip("_"))
        return command(*args, **kwargs)

    return checked


def require(extra: str, command: str) -> None:
    """Raises ExtraMissing unless every library of the extra is installed; looks, and loads nothing."""
    absent = [name for name in of_extra(extra, _requirements()) if not _is_installed(name)]
    if absent:
        absent.sort(key=lambda name: name != "torch")  # what people know, and the largest
        shown = ", ".join(absent[:_SHOWN]) + (" and more" if len(absent) > _SHOWN else "")
        raise ExtraMissing(
            f"parfocal {command} needs {shown}, not installed here: pip install '{_DISTRIBUTION}[{extra}]'"
        )


def absent(error: ImportError) -> tuple[str, str] | None:
    """The library that an import, or another library, did not find, with the extra that brings it."""
    if isinstance(error, ModuleNotFoundError) and (extra := _owner(error.name or "")) is not None:
        return error.name or "", extra
    words = set(_WORD.findall(str(error).lower()))
    missing = (each for each in _named(_requirements()) if each[0].lower() in words)
    return next((each for each in missing if not _is_installed(each[0])), None)


def _owner(module: str) -> str | None:
    wanted = module.partition(".")[0]
    return next((each for name, each in _named(_requirements()) if name.replace("-", "_") == wanted), None)


def of_extra(extra: str, requirements: Iterable[str]) -> list[str]:
    """The libraries of an extra, or with `all` of every extra that users choose, each once.

    >>> of_extra("serve", ["rich>=13", "torch>=2.11; extra == 'serve'", "peft; extra == 'train'"])
    ['torch']
    """
    chosen = _CHOSEN if extra == "all" else (extra,)
    return list(dict.fromkeys(name for name, its in _brought(requirements) if its in chosen))


def _named(requirements: Iterable[str]) -> list[tuple[str, str]]:
    """Names of libraries with an extra that users choose and that brings each."""
    return [each for each in _brought(requirements) if each[1] in _CHOSEN]


def _brought(requirements: Iterable[str]) -> list[tuple[str, str]]:
    """Names of libraries with an extra that brings each."""
    found = (_OF_AN_EXTRA.fullmatch(each) for each in requirements)
    return [(each["name"], each["extra"]) for each in found if each]


def _requirements() -> list[str]:
    try:
        return metadata.requires(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:  # run from sources that nobody installed
        return []


def _is_installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True
