"""What opening a registry in a folder loads, and what it does not."""

import subprocess
import sys

OPENS = """
import sys
from pathlib import Path
from parfocal.registry import open_registry
open_registry(sys.argv[1])
print(sorted({name.partition('.')[0] for name in sys.modules} & {'grpc', 'google', 'torch', 'numpy'}))
"""


def test_a_registry_in_a_folder_is_used_without_grpc(tmp_path: object) -> None:
    done = subprocess.run(
        [sys.executable, "-c", OPENS, f"{tmp_path}/registry"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_a_registry_behind_grpc_is_opened_through_the_same_door(tmp_path: object) -> None:
    door = OPENS.replace("open_registry(sys.argv[1])", "open_registry('grpc://127.0.0.1:1')")
    done = subprocess.run([sys.executable, "-c", door], capture_output=True, text=True, check=True)
    assert "grpc" in done.stdout
