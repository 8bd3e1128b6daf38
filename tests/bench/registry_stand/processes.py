"""`parfocal` as processes of their own, as an operator starts them."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

COMMAND = (sys.executable, "-m", "parfocal.cli")
ANYWHERE = ("--grpc-address", "127.0.0.1:0", "--metrics-address", "")
_REGISTRY, _SERVER = r"Serving registry \S+ at (\S+)", r"Serving \S+ at (\S+)"


def environment(home: Path) -> dict[str, str]:
    """This process's environment, with caches of their own in `home`."""
    return {**os.environ, "XDG_CACHE_HOME": str(home / "cache")}


@contextmanager
def registry_served(location: str, home: Path, *flags: str) -> Iterator[str]:
    """Runs `parfocal registry serve` over a registry; gives the address of its gRPC."""
    with _running(home, _REGISTRY, ["registry", "serve", "--registry", location, *ANYWHERE, *flags]) as found:
        yield found


@contextmanager
def server_of(registry: str, home: Path) -> Iterator[str]:
    """Runs `parfocal serve` on the embedded base; gives the address of its gRPC."""
    flags = ["serve", "--base", "tiny", "--http-address", "", *ANYWHERE, "--registry", registry]
    with _running(home, _SERVER, flags) as found:
        yield found


def told(home: Path, *arguments: str) -> tuple[int, str]:
    """Runs a command to its end; gives its exit status and what it printed."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=600,
        env=environment(home),
    )
    return done.returncode, done.stdout


@contextmanager
def _running(home: Path, said: str, arguments: Sequence[str]) -> Iterator[str]:
    command = [*COMMAND, *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment(home)) as process:
        assert process.stderr is not None
        try:
            found = None
            while found is None:
                line = process.stderr.readline()
                assert line, f"{arguments} ended"
                found = re.search(said, line)
            threading.Thread(target=process.stderr.read, daemon=True).start()
            yield found[1]
        finally:
            process.terminate()
            process.wait(60)
