"""A server that is killed between two commits, and in the middle of one: what was acknowledged counts."""

import contextlib
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import HfApi

from fakes.registry.hub_shelf import RECEIVING
from fakes.registry.tiny_adapters import CONFIG, WEIGHTS, write_tiny_adapter
from parfocal.registry import FolderRegistry

REPO = "team/new"


@contextlib.contextmanager
def _served(folder: Path) -> Iterator[str]:
    """The address of a registry's own process, which is killed at the end."""
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
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    with subprocess.Popen(
        [*command, *addresses], stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stderr is not None
            lines = (re.search(r"clients at (\S+)", line) for line in process.stderr)
            yield next(found[1] for found in lines if found)
        finally:
            process.kill()
            process.communicate(timeout=60)


def test_an_upload_goes_on_after_its_server_was_killed(tmp_path: Path) -> None:
    adapter = write_tiny_adapter(tmp_path / "adapter")
    with _served(tmp_path) as endpoint:
        api = HfApi(endpoint=endpoint, token=False)
        api.create_repo(REPO)
        api.upload_file(path_or_fileobj=adapter / CONFIG, path_in_repo=CONFIG, repo_id=REPO)
        # A commit of which half has come.
        host, _, port = endpoint.removeprefix("http://").partition(":")
        half = socket.create_connection((host, int(port)))
        head = f"POST /api/models/{REPO}/commit/main HTTP/1.1\r\nhost: x\r\ncontent-length: 999999\r\n\r\n"
        half.sendall(head.encode() + b'{"key":"file","value":{"content":"' + b"QUJD" * 50_000)
        work = tmp_path / "cache" / "parfocal" / "hub"
        asked = 0
        while not list(work.glob(f"{RECEIVING}/")):
            assert api.repo_exists(REPO) and (asked := asked + 1) < 1000
    half.close()

    with _served(tmp_path) as endpoint:
        api = HfApi(endpoint=endpoint, token=False)
        assert not list(work.glob(f"{RECEIVING}/"))
        assert api.model_info(REPO).parfocal["staged"][0]["files"] == [CONFIG]  # type: ignore[attr-defined]
        done = api.upload_file(path_or_fileobj=adapter / WEIGHTS, path_in_repo=WEIGHTS, repo_id=REPO)

    assert FolderRegistry(tmp_path / "registry").resolve(REPO).digest[7:47] == done.oid
