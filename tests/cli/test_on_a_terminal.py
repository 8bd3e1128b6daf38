"""What a person at a terminal sees beside the answer: progress, whole tables, who answered."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path


def _on_a_terminal(*arguments: str) -> str:
    """Returns all that `parfocal` writes to a terminal 60 columns wide."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "60", "TERM": "xterm"}
    command = [sys.executable, "-m", "parfocal.cli", *arguments]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        chunks = []
        while True:
            try:
                chunk = os.read(ours, 4096)
            except OSError:  # the other end was closed
                break
            if not chunk:
                break
            chunks.append(chunk)
    os.close(ours)
    assert process.returncode == 0, b"".join(chunks)
    return b"".join(chunks).decode()


def test_push_shows_a_bar_and_show_folds_what_is_too_wide(
    small_base: Path, adapter_folder: Callable[[int], Path], tmp_path: Path
) -> None:
    registry = ["--registry", str(tmp_path / "registry")]

    pushed = _on_a_terminal(
        "push", str(adapter_folder(1)), "team/invoices", "--base", str(small_base), *registry
    )
    shown = _on_a_terminal("show", "team/invoices", *registry)

    assert "Publishing team/invoices" in pushed
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= 60 + len("\x1b[1m\x1b[0m") * 2
    assert "".join(shown.split()).count("sha256:") >= 4
