"""What the live versions of a namespace take. It follows from the manifests."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from parfocal.registry.index.sql.facts import Runs
from parfocal.registry.index.sql.session import Session
from parfocal.registry.quotas import NamespaceUse
from parfocal.registry.values import AdapterName

# A name without a slash is in the namespace `default`.
_DEFAULT = AdapterName.parse("x").namespace
_VERSIONS = "SELECT count(DISTINCT name), count(*) FROM versions WHERE deleted_at IS NULL"
_FILES = "SELECT DISTINCT digest, size FROM version_files WHERE"
_HELD = "SELECT 1 FROM version_files WHERE digest = ?"
_PLAIN = "SELECT 1 FROM adapters WHERE replace(name, '/', '') = name AND deleted_at IS NULL LIMIT 1"
_NEXT = """
SELECT name FROM adapters WHERE name >= ? AND replace(name, '/', '') <> name AND deleted_at IS NULL
ORDER BY name LIMIT 1
"""


def files_of(manifest: bytes) -> dict[str, int]:
    """The sizes of a manifest's files by their digests; nothing where it cannot be read."""
    try:
        files = json.loads(manifest)["files"]
        return {str(file["digest"]): int(file["size"]) for file in files}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError):
        return {}


def note_files(runs: Runs, name: str, version: int, manifest: bytes) -> None:
    """Records the files of a version that is published."""
    for digest, size in files_of(manifest).items():
        runs.execute(
            "INSERT INTO version_files (name, version, digest, size) VALUES (?, ?, ?, ?)",
            (name, version, digest, size),
        )


def forget_files(runs: Runs, name: str, version: int) -> None:
    """Removes the files of a version that is deleted."""
    runs.execute("DELETE FROM version_files WHERE name = ? AND version = ?", (name, version))


def use_of(session: Session, namespace: str) -> NamespaceUse:
    """What a namespace holds."""
    such, values = _in(namespace)
    adapters, versions = session.execute(f"{_VERSIONS} AND {such}", values).fetchone()
    total = f"SELECT coalesce(sum(size), 0) FROM ({_FILES} {such}) files"
    (size,) = session.execute(total, values).fetchone()
    return NamespaceUse(namespace, int(adapters), int(versions), int(size))


def new_bytes(session: Session, namespace: str, files: Mapping[str, int]) -> int:
    """How many bytes of these files, given by their digests, a namespace does not hold."""
    such, values = _in(namespace)
    statement = f"{_HELD} AND {such} LIMIT 1"
    return sum(
        size
        for digest, size in files.items()
        if session.execute(statement, (digest, *values)).fetchone() is None
    )


def namespaces(session: Session, after: str) -> Iterator[str]:
    """Namespaces with adapters, after a given one: `default`, then the others as their adapters' names go."""
    if not after and session.execute(_PLAIN).fetchone() is not None:
        yield _DEFAULT
    beyond = "" if after in ("", _DEFAULT) else _beyond(after)
    while (row := session.execute(_NEXT, (beyond,)).fetchone()) is not None:
        namespace = str(row[0]).partition("/")[0]
        yield namespace
        beyond = _beyond(namespace)


def _in(namespace: str) -> tuple[str, tuple[str, ...]]:
    """The condition that a name is in a namespace, and its values."""
    if namespace == _DEFAULT:
        return "replace(name, '/', '') = name", ()
    return "name >= ? AND name < ?", (f"{namespace}/", _beyond(namespace))


def _beyond(namespace: str) -> str:
    """What sorts after every name of a namespace, and before all that come later."""
    return f"{namespace}{chr(ord('/') + 1)}"


def noted(rows: Any) -> Iterator[tuple[str, int, str, int]]:
    """The files of live versions, given by name, number and manifest, as rows of the table."""
    for name, version, manifest in rows:
        for digest, size in files_of(manifest).items():
            yield name, version, digest, size
