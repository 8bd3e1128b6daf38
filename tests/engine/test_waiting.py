"""The command asks OpenMP's threads to sleep after a short wait, unless a person asked for something else."""

import os
import subprocess
import sys

import pytest

_ASK = """
import os
from parfocal.engine import wait_briefly
wait_briefly()
print(os.environ.get("GOMP_SPINCOUNT"))
"""


def spins(code: str = _ASK, **environment: str) -> str:
    cleared = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    result = subprocess.run(
        [sys.executable, "-c", code], env=cleared | environment, capture_output=True, text=True, check=True
    )
    return result.stdout.strip()


def test_a_short_wait_is_set_before_torch_is_loaded() -> None:
    assert 1_000 <= int(spins()) <= 30_000


@pytest.mark.parametrize(
    ("environment", "left"),
    [({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "None")],
)
def test_what_the_environment_says_stays(environment: dict[str, str], left: str) -> None:
    assert spins(**environment) == left


def test_once_torch_is_loaded_nothing_is_claimed() -> None:
    assert spins("import torch" + _ASK) == "None"
