"""Clients that others wrote, unchanged, against a real server on the embedded base."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.served_aside import aside
from oracle.peft_oracle import AdapterShape, write_adapter
from parfocal.registry import FolderRegistry, Publication, describe_base, locate_base
from parfocal.server.assembly import load, running
from parfocal.server.settings.config import ServeConfig
from stock_clients.venvs import GIVEN, VENVS

HERE = Path(__file__).resolve().parent


def test_openais_own_client_gets_what_it_expects(tmp_path: Path) -> None:
    """The version that is installed, if one is; run.sh tries others."""
    pytest.importorskip("openai")
    from stock_clients.openai_client import check

    base = locate_base("tiny", weights=True)
    registry = FolderRegistry(tmp_path / "registry")
    adapter = write_adapter(tmp_path / "adapter", base.folder, AdapterShape(rank=4), 1)
    registry.publish("team/invoices", adapter, Publication(describe_base(base)))
    config = ServeConfig(
        registry=str(tmp_path / "registry"),
        grpc_address="127.0.0.1:0",
        http_address="127.0.0.1:0",
        metrics_address="",
        kv_cache_bytes=8 << 20,
    )
    with aside(running(load(config))) as server:
        check(f"http://127.0.0.1:{server.http_port}", "tiny", "team/invoices")


@pytest.mark.skipif(not GIVEN, reason=f"{VENVS} names no folder for their venvs")
def test_every_stock_client_gets_what_it_expects() -> None:
    commands = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run([HERE / "run.sh", GIVEN], check=True, env={**os.environ, "PATH": commands})
