"""The client loads nothing that an application would not want."""

import subprocess
import sys

HEAVY = {
    "bitsandbytes", "fsspec", "huggingface_hub", "jinja2", "numpy", "peft", "prometheus_client", "pydantic",
    "rich", "safetensors", "sqlite3", "tokenizers", "torch", "transformers", "trl", "typer",
}  # fmt: skip


def test_the_client_loads_grpc_and_protobuf_and_no_library_beside() -> None:
    program = "import sys, parfocal.client; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    found = set(loaded.stdout.split())
    assert {"grpc", "google"} <= found
    assert found & HEAVY == set()


def test_the_client_loads_no_floor_above_itself() -> None:
    program = "import sys, parfocal.client; print(*(name for name in sys.modules if name.count('.') == 1))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    floors = {name for name in loaded.stdout.split() if name.startswith("parfocal.")}
    assert floors == {"parfocal.client", "parfocal.rpc", "parfocal.v1"}
