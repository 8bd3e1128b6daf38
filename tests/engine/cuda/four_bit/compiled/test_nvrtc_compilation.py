"""NVRTC compiles the CUDA sources for cards of every generation, which need not be here; they fit."""

import re
import subprocess
from pathlib import Path

import pytest
import torch
import triton

from fakes.engine.emulated_card.card import ADA, AMPERE, HOPPER
from parfocal.engine.backends.cuda.four_bit.compiled import cutting
from parfocal.engine.backends.cuda.four_bit.compiled import product as compiled_product
from parfocal.engine.backends.cuda.nvrtc import (
    Builder,
    CompilerFailed,
    Cubins,
    Nvrtc,
    Source,
    Target,
    find_nvrtc,
)

TARGETS = {"ampere": AMPERE, "ada": ADA, "hopper": HOPPER}
TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
# So that two programs of 256 threads share a multiprocessor's 65,536.
MOST_REGISTERS = 128
_TOOL = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
_SOURCE = Source.of(Path(str(compiled_product.__file__)).with_name("product.cu"))


@pytest.fixture(scope="module")
def nvrtc() -> Nvrtc:
    try:
        return find_nvrtc()
    except OSError as error:
        pytest.skip(f"{error}; it comes with parfocal[dev]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where cubins are kept, so that none is compiled twice."""
    return tmp_path_factory.mktemp("cubins")


def cubin_of(nvrtc: Nvrtc, target: Target, dtype: torch.dtype, folder: Path) -> Path:
    stages = {rows: cutting.stages_for(rows, target) for rows in cutting.ROW_TILES}
    builder = Builder(Cubins(folder / "cubins"), lambda: nvrtc)
    cubin = folder / "kernels.cubin"
    cubin.write_bytes(builder.cubin(_SOURCE, target, compiled_product.options_of(dtype, stages)))
    return cubin


def told(cubin: Path, *options: str) -> str:
    command = [str(_TOOL), *options, str(cubin)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("target", TARGETS)
def test_kernels_keep_all_their_numbers_in_registers(
    target: str, dtype: str, nvrtc: Nvrtc, folder: Path
) -> None:
    said = told(cubin_of(nvrtc, TARGETS[target], TYPES[dtype], folder), "-res-usage")
    found = re.findall(r"Function (\w+):\s+REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)", said)

    assert {name for name, *_ in found} == {f"product_{rows}" for rows in cutting.ROW_TILES}
    for name, registers, stack, shared, local in found:
        assert int(registers) <= MOST_REGISTERS, name
        assert (int(stack), int(local)) == (0, 0), name
        # Hopper's system takes 1 KiB of its own.
        assert int(shared) == (1024 if TARGETS[target].capability >= (9, 0) else 0), name


def test_kernels_multiply_in_tensor_cores_copy_beside_and_wait_only_on_hopper(
    nvrtc: Nvrtc, folder: Path
) -> None:
    for target in (AMPERE, HOPPER):
        code = told(cubin_of(nvrtc, target, torch.bfloat16, folder), "-sass")
        assert "HMMA.16816.F32.BF16" in code
        assert "LDGSTS.E.BYPASS.128" in code
        assert ("ACQBULK" in code) == ("PREEXIT" in code) == (target is HOPPER)


def test_what_does_not_compile_is_refused_in_the_compilers_words(nvrtc: Nvrtc) -> None:
    source = Source(
        "wrong.cu", b'#include <there.cuh>\nextern "C" __global__ void a() { b(); }', {"there.cuh": b""}
    )
    with pytest.raises(CompilerFailed, match=r'does not compile wrong\.cu.*"b" is undefined'):
        nvrtc.compile(source, ["--gpu-architecture=sm_90"])
    with pytest.raises(CompilerFailed, match="gpu-architecture"):
        nvrtc.compile(Source("empty.cu", b"", {}), ["--gpu-architecture=sm_10"])
