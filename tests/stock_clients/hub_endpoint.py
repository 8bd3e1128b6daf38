"""A registry's own process that answers the Hub's clients, and clients that know nothing of this machine."""

import os
import re
import subprocess
import sys
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
    with subprocess.Popen(
        [*command, *addresses], stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stderr is not None
            lines = (re.search(r"clients at (\S+)", line) for line in process.stderr)
            yield next(found[1] for found in lines if found)
        finally:
            process.terminate()
            process.communicate(timeout=60)


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
