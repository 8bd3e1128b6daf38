"""A registry's own process that answers the Hub's clients, and clients that know nothing of this machine."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def hub_endpoint(folder: Path) -> Iterator[str]:
    """Serves a registry in `folder`, and gives what clients are told as HF_ENDPOINT."""
    command = [
        sys.executable,
        "-m",
        "parfocal.cli",
        "registry",
        "serve",
        "--registry",
        str(folder / "registry"),
    ]
    addresses = ["--http-address", "127.0.0.1:0", "--grpc-address", "127.0.0.1:0", "--metrics-address", ""]
    environment = {**_without("PARFOCAL_"), "XDG_CACHE_HOME": str(folder / "cache")}
    log = folder / "served.log"  # a pipe that nobody empties would make the server wait
    with (
        log.open("w") as said,
        subprocess.Popen([*command, *addresses], stderr=said, env=environment) as process,
    ):
        try:
            yield _endpoint_in(log, process)
        finally:
            process.terminate()
            process.wait(timeout=60)


def _endpoint_in(log: Path, process: "subprocess.Popen[bytes]") -> str:
    until = time.monotonic() + 60
    while (found := re.search(r"clients at (\S+)", log.read_text("utf-8"))) is None:
        assert process.poll() is None and time.monotonic() < until, log.read_text("utf-8")
        time.sleep(0.05)
    return found[1]


def run_client(endpoint: str, folder: Path, *command: str | Path) -> str:
    """Runs a client of the Hub, which keeps its files in `folder`, and gives what it said."""
    own = {"HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "hf"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(
        [str(each) for each in command],
        env={**_without("HF_"), **own, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def _without(prefix: str) -> Mapping[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(prefix)}
