"""Processes that meet on this machine, as a launcher such as torchrun starts them."""

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended, and what it said."""

    code: int
    output: str
    errors: str


class Launched:
    """`count` processes of one command, each told its number; use as a context, which ends those that run."""

    def __init__(self, arguments: Sequence[str | Path], count: int = 2, folder: Path | None = None) -> None:
        port = _free_port()
        self.processes = [
            subprocess.Popen(
                [sys.executable, *map(str, arguments)],
                env=os.environ
                | {
                    "RANK": str(number),
                    "LOCAL_RANK": str(number),
                    "WORLD_SIZE": str(count),
                    "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": str(port),
                    "OMP_NUM_THREADS": "1",
                },
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=folder,
            )
            for number in range(count)
        ]

    def __enter__(self) -> "Launched":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()

    def ended(self, number: int) -> Ended:
        """Waits for the end of a process."""
        process = self.processes[number]
        output, errors = process.communicate(timeout=300)
        return Ended(process.returncode, output, errors)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
