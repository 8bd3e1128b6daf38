"""The kernels compile for GPUs and fit into them, which the interpreter cannot tell."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "compile_kernels.py"
# What one program may take on the devices with the least: Ada and consumer Ampere and Blackwell.
LEAST_SHARED_BYTES = 99 * 1024
CAPABILITIES = ["80", "90"]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """Returns capability, kernel, shared and local bytes; all from one process, since it starts slowly."""
    cache = str(tmp_path_factory.mktemp("triton"))
    ours = {**os.environ, "TRITON_CACHE_DIR": cache, "PYTHONPATH": os.pathsep.join(sys.path)}
    ours.pop("TRITON_INTERPRET", None)
    run = subprocess.run(
        [sys.executable, SCRIPT, *CAPABILITIES],
        env=ours,
        capture_output=True,
        text=True,
        check=False,
        timeout=590,
    )
    assert run.returncode == 0, run.stderr
    return [line.split() for line in run.stdout.splitlines()]


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_the_kernels_compile_and_fit(compiled: list[list[str]], capability: str) -> None:
    taken = {name: shared for target, name, shared, _ in compiled if target == capability}
    attention = {"store_kernel", "decode_kernel", "combine_kernel", "prefill_kernel"}
    lora = {f"{name}_{tile}" for name in ("shrink", "expand") for tile in (16, 64)}
    invariant = {
        f"{name}_kernel_{kind}" for name in ("dense", "four_bit", "norm") for kind in ("bf16", "fp32")
    }
    ways = ("prmt_bf16", "pairs_bf16", "prmt_fp16", "pairs_fp16", "levels_fp32")
    products = {f"product_{way}_64" for way in ways} | {"product_narrow", "sum", "dequantise"}
    products |= {"product_prmt_bf16_16", "product_prmt_bf16_32", "product_levels_fp32_16"}
    operations = ("norm_4096", "norm_8192_8bit", "rotate_128", "rotate_256", "rotate_96", "gate", "gate_8bit")
    joint = ("joint_prmt_16", "joint_prmt_64", "joint_pairs_64")
    fused = {f"fused_{name}" for name in (*operations, *joint)}
    eight = {f"{name}_8bit" for name in lora}
    choosing = {"likeliest", "likeliest_bent", "draw", "bend"}
    assert taken.keys() == attention | invariant | products | fused | choosing | lora | eight
    assert max(int(shared) for shared in taken.values()) <= LEAST_SHARED_BYTES


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_every_kernel_keeps_all_its_numbers_in_registers(compiled: list[list[str]], capability: str) -> None:
    """Neither a stack nor spilled registers, as far as that can be told without a card."""
    local = {name: int(bytes_) for target, name, _, bytes_ in compiled if target == capability}

    assert len(local) > 40
    assert {name: bytes_ for name, bytes_ in local.items() if bytes_} == {}
