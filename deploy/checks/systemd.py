"""Units as systemd reads them, and how much each is allowed."""

import tempfile
from pathlib import Path

from checks.check import DEPLOY, Found, faults, named, run, tool

FOLDER = DEPLOY / "systemd"
INSTALLED = "/opt/parfocal/bin/parfocal"
# systemd's own scale, in tenths: 0 is locked up, 10 is free. What a GPU and a network need stays below this.
_MOST_EXPOSED = {"parfocal.service": 20, "parfocal-verify.service": 10}


def units_are_valid() -> Found:
    """systemd-analyze verify, with a command that is there in the place of the one that will be."""
    analyze = tool("systemd-analyze")
    with tempfile.TemporaryDirectory() as folder:
        for path in sorted(FOLDER.glob("parfocal*.service")) + sorted(FOLDER.glob("*.timer")):
            text = path.read_text("utf-8").replace(INSTALLED, "/bin/true")
            Path(folder, path.name).write_text(text, "utf-8")
        units = sorted(Path(folder).iterdir())
        # It tells of some faults without a status.
        lines = [
            line
            for unit in units
            for line in run([analyze, "verify", "--man=no", unit]).stdout.splitlines()
            if line.strip()
        ]
    return lines


def units_are_locked_up() -> Found:
    """systemd-analyze security, offline."""
    analyze, found = tool("systemd-analyze"), []
    for name, most in _MOST_EXPOSED.items():
        command: list[str | Path] = [
            analyze,
            "security",
            "--offline=yes",
            f"--threshold={most}",
            FOLDER / name,
        ]
        if lines := faults(command):
            found.append(f"{named(FOLDER / name)}: {lines[-1]}")
    return found


def users_and_folders_are_valid() -> Found:
    """systemd-sysusers, in an empty root where it does what it would do on a machine."""
    sysusers = tool("systemd-sysusers")
    with tempfile.TemporaryDirectory() as root:
        Path(root, "etc").mkdir()
        return faults([sysusers, f"--root={root}", "--dry-run", FOLDER / "parfocal.sysusers.conf"])
