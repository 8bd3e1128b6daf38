"""What to try after the demo: commands that work as printed, from where the demo was run."""

import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

_NAME = "parfocal"


@dataclass(frozen=True, slots=True)
class Kept:
    """What the demo leaves behind: its registry, the rows of one lesson, and a message to try it with."""

    folder: Path
    registry: str
    rows: Path
    adapter: str
    alias: str
    message: str


def hints(kept: Kept, command: str) -> list[str]:
    """Shell lines. The last but one ends the server that the first starts."""
    registry, rows = _quoted(kept.registry), _quoted(str(kept.rows))
    reference = f"{kept.adapter}@{kept.alias}"
    return [
        f"{command} serve --registry {registry} &",
        f"{command} generate {_quoted(kept.message)} --adapter {reference} --wait",
        f"{command} show {reference} --registry {registry}",
        f"{command} rollback {kept.adapter} {kept.alias} --registry {registry}",
        f"{command} train --data {rows} --name you/your-job --registry {registry}",
        "kill %1",
        f"rm -r {_quoted(str(kept.folder))}",
    ]


def command_as_typed(called_as: str, path: str | None = None) -> str:
    """How to call this command again: by name if the shell finds it, otherwise by path.

    `path` lists the folders that the shell searches; None: those of this process.
    """
    called = Path(called_as)
    if called.name != _NAME:
        return f"{_quoted(sys.executable)} -m parfocal.cli"
    found = shutil.which(_NAME, path=path)
    if found is not None and Path(found).resolve() == called.resolve():
        return _NAME
    return _quoted(called_as)


def _quoted(word: str) -> str:
    return shlex.quote(word)
