"""What one check is: a name, and a function that returns what it found to be wrong."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

DEPLOY = Path(__file__).resolve().parents[1]
ROOT = DEPLOY.parent

Found = list[str]

_BY_PIP = "make deploy-tools"
_BY_APT = "make deploy-tools, or Debian's package {}"
_HOW = {
    "helm": _BY_PIP,
    "prometheus": _BY_APT.format("prometheus"),
    "promtool": _BY_APT.format("prometheus"),
    "systemd-analyze": "Debian's package systemd",
    "systemd-sysusers": "Debian's package systemd",
}


class MissingTool(Exception):
    """A check cannot run because a tool is absent."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"{name} is missing; to get it: {_HOW.get(name, _BY_PIP)}")


@dataclass(frozen=True, slots=True)
class Check:
    """`run` returns a line for each fault; it raises MissingTool where it cannot look."""

    name: str
    run: Callable[[], Found]


def tool(name: str) -> str:
    """The program's path: of this environment, else of the machine; raises MissingTool."""
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    found = shutil.which(name, path=beside)
    if found is None:
        raise MissingTool(name)
    return found


def run(command: Sequence[str | Path], stdin: str | None = None) -> "subprocess.CompletedProcess[str]":
    """Runs a tool at the top of the checkout; its errors and its output come together."""
    return subprocess.run(
        [str(word) for word in command],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        cwd=ROOT,
    )


def faults(command: Sequence[str | Path], stdin: str | None = None) -> Found:
    """The lines of a tool that is not content; none if it is."""
    done = run(command, stdin)
    if done.returncode == 0:
        return []
    return [line for line in done.stdout.splitlines() if line.strip()] or [f"exit status {done.returncode}"]


def named(path: Path) -> str:
    """A path as it is seen from the top of the checkout."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
