"""Seals what a run writes, so that what changed since is told from what it wrote. Refuses nothing itself."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from parfocal.registry.values import JSON

_SEAL = "seal"

Digests = Mapping[str, str]


def sealed(value: Mapping[str, JSON]) -> dict[str, JSON]:
    """`value` with a digest over all of it, as `is_sealed` expects it."""
    return {**value, _SEAL: _digest_of(value)}


def is_sealed(value: object) -> bool:
    """Whether `value`, read back from JSON, is what `sealed` made."""
    if not isinstance(value, Mapping):
        return False
    rest = {name: part for name, part in value.items() if name != _SEAL}
    return value.get(_SEAL) == _digest_of(rest)


def seal_of(value: Mapping[str, JSON]) -> str:
    """The digest that `sealed` added to `value`."""
    return str(value[_SEAL])


def file_digests(folder: Path, leave_out: Iterable[str] = ()) -> dict[str, str]:
    """The sha256 of every file under `folder` by its path there, hidden files and `leave_out` apart."""
    names = {
        path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()
    }
    kept = {name: path for name, path in names.items() if not _is_hidden(name) and name not in {*leave_out}}
    return {name: _file_digest(path) for name, path in kept.items()}


def changed_file(expected: Digests, found: Digests) -> str | None:
    """Says of the first file that differs what has become of it; None if none does."""
    for name in sorted({*expected, *found}):
        if expected.get(name) == found.get(name):
            continue
        if name not in found:
            return f"{name} is missing"
        if name not in expected:
            return f"{name} was not written by it"
        return f"{name} is not as it was written"
    return None


def _digest_of(value: Mapping[str, JSON]) -> str:
    text = json.dumps(value, sort_keys=True)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _is_hidden(name: str) -> bool:
    """Desktops leave such files in folders that are looked at; no library reads them."""
    return any(part.startswith(".") for part in name.split("/"))
