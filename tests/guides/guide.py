"""Reads the shell and Python blocks of a guide and runs them, in order, as one session of one reader."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```(sh|python)(?: +untested: *([^\n]*))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PYTHON_END = "END_OF_THE_PROGRAM"
SESSION_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block. `reason` says why it is not run; None for a block that is."""

    language: str
    text: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a session ended, with all that it printed."""

    code: int
    output: str


def blocks(guide: Path) -> list[Block]:
    """Reads the fenced blocks of `sh` and `python`; other languages are for reading only."""
    found = _FENCE.finditer(guide.read_text("utf-8"))
    return [Block(match[1], match[3], match[2]) for match in found]


def script(guide: Path) -> str:
    """Joins the blocks that are run to one script, which ends at the first command that fails."""
    parts = ["set -euo pipefail"]
    for block in blocks(guide):
        if block.reason is not None:
            continue
        if block.language == "sh":
            parts.append(block.text)
        else:
            parts.append(f"python - <<'{_PYTHON_END}'\n{block.text}{_PYTHON_END}")
    return "\n".join(parts)


def run(text: str, folder: Path, changes: Mapping[str, str]) -> Outcome:
    """Runs a script in `folder` with a home of its own, after replacing in it every key of `changes`."""
    for written, meant in changes.items():
        text = text.replace(written, meant)
    environment = {
        **os.environ,
        "HOME": str(folder / "home"),
        "XDG_DATA_HOME": str(folder / "home" / "data"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    (folder / "home").mkdir(exist_ok=True)
    output = folder / "output.txt"
    with output.open("wb") as sink:
        # A session of its own, so that what a guide leaves in the background ends with it.
        shell = subprocess.Popen(
            ["bash", "-c", text],
            cwd=folder,
            env=environment,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
        try:
            code = shell.wait(SESSION_SECONDS)
        finally:
            _end(shell.pid)
    return Outcome(code, output.read_text("utf-8", errors="replace"))


def _end(session: int) -> None:
    try:
        os.killpg(session, signal.SIGKILL)
    except ProcessLookupError:
        return
