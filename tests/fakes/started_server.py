"""A real server as a process, as an operator starts it, for whoever looks at it from outside."""

import contextlib
import re
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_SERVING = re.compile(r"Serving \S+ at (\S+)")
_METRICS = re.compile(r"Metrics at http://(\S+)/metrics")


@dataclass(frozen=True)
class Started:
    """Where a running server answers."""

    process: "subprocess.Popen[bytes]"
    grpc: str
    metrics: str

    def page(self, path: str = "/metrics") -> str:
        """A page for operators, now."""
        with urllib.request.urlopen(f"http://{self.metrics}{path}", timeout=10) as reply:
            return str(reply.read().decode())


@contextlib.contextmanager
def started(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[Started]:
    """Yields the server once it answers; if it ends instead, the error has its log."""
    with log.open("wb") as file, subprocess.Popen(command, stderr=file, env=environment) as process:
        try:
            yield _wait(process, log)
        finally:
            process.terminate()
            process.wait(60)


def _wait(process: "subprocess.Popen[bytes]", log: Path) -> Started:
    while True:
        ended = process.poll()
        said = log.read_text("utf-8")
        serving, metrics = _SERVING.search(said), _METRICS.search(said)
        if serving and metrics:
            return Started(process, serving[1], metrics[1])
        assert ended is None, said
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
