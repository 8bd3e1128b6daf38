"""Compiles the kernels for GPUs of the given capabilities, which need not be there.

Runs in a process of its own, for the tests' Triton interprets; the interpreter takes much that the compiler
refuses. Prints the capability, each kernel's name, the bytes of shared memory it takes, and the bytes of
local memory, which holds what has no place in registers.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from parfocal.engine.backends.cuda.attention import kernels as attention_kernels
from parfocal.engine.backends.cuda.four_bit import Way, nf4_levels
from parfocal.engine.backends.cuda.four_bit import kernels as four_bit_kernels
from parfocal.engine.backends.cuda.four_bit.levels import assembly_of
from parfocal.engine.backends.cuda.four_bit.partials import SUM_OUTPUTS, SUM_ROWS
from parfocal.engine.backends.cuda.four_bit.product import DEQUANTISED_OUTPUTS, Tiles, tiles_for
from parfocal.engine.backends.cuda.fused import kernels as fused_kernels
from parfocal.engine.backends.cuda.fused.operations import (
    GATES,
    RANKS,
    heads_at_once,
    row_ranks,
    row_warps,
)
from parfocal.engine.backends.cuda.invariant import kernels as invariant_kernels
from parfocal.engine.backends.cuda.invariant.linears import (
    HEAD_OUTPUTS,
    OUTPUTS,
    ROWS,
    dense_inputs,
    four_bit_tile,
)
from parfocal.engine.backends.cuda.lora import kernels as lora_kernels
from parfocal.engine.backends.cuda.lora.step import LONG, SHORT, inputs_at_once, outputs_at_once
from parfocal.engine.backends.cuda.sampling import kernels as sampling_kernels
from parfocal.engine.backends.cuda.sampling.bends import AT_ONCE as BENT_AT_ONCE
from parfocal.engine.backends.cuda.sampling.bends import CHANGES
from parfocal.engine.backends.cuda.sampling.bends import WARPS as BENDING_WARPS
from parfocal.engine.backends.cuda.sampling.draws import AT_ONCE as DRAWN_AT_ONCE
from parfocal.engine.backends.cuda.sampling.draws import FEW, PIVOTS
from parfocal.engine.backends.cuda.sampling.likeliest import AT_ONCE, WARPS

# Numbers that a GPU can load as vectors: a model's sizes, and strides of whole tokens and heads.
_SIZES = [
    "query_token",
    "query_head",
    "key_token",
    "key_head",
    "value_token",
    "value_head",
    "inputs",
    "x_stride",
    "h_stride",
    "outputs0",
    "outputs1",
    "outputs2",
    "stride0",
    "stride1",
    "stride2",
    "ranks",
    "outputs",
    "size",
    "codes_stride",
    "scales_stride",
]
_TYPES = {
    **dict.fromkeys(
        [
            *("out", "query", "key", "value", "keys", "values", "x", "y0", "y1", "y2", "weights"),
            *("y", "weight", "bias", "residual", "cos", "sin", "matrices"),
        ],
        "*bf16",
    ),
    **dict.fromkeys(["answers", "logs", "scales", "h", "levels", "outer_levels", "offset", "parts"], "*fp32"),
    **dict.fromkeys(["query_norm", "key_norm"], "*fp32"),
    **dict.fromkeys(["lengths", "lines", "tiles", "written"], "*i32"),
    **dict.fromkeys(["most", "window", "room", "modules", "first", "rows", "blocks", "share"], "i32"),
    **dict.fromkeys(["tile_count", "above", "shrinks"], "i32"),
    **dict.fromkeys(_SIZES, "i32"),
    **dict.fromkeys(("inner", "outer", "epsilon"), "fp32"),
    "codes": "*u8",
    **dict.fromkeys(("places", "table"), "*i64"),
}


def attention_sizes(kernel: str) -> dict[str, object]:
    """Returns what a Llama with 32 heads of 128, 8 of them keys', is compiled for, and a soft cap besides."""
    rooms = {"store_kernel": 1024, "prefill_kernel": 128}
    return {
        "CAPPED": True,
        "DOT": tl.bfloat16,
        "BLOCK_TOKENS": 16,
        "PLACE": 1024,
        "GROUP": 4,
        "DIM": 128,
        "ROOM": rooms.get(kernel, 16),
        "DIM_ROOM": 128,
        "TILE": 64,
        "LEAST": 128,
        "MOST": 32,
    }


def lora_sizes(tile: int, *, scaled: bool) -> dict[str, object]:
    """Returns what adapters of 16 bits, or with scales of 8, are compiled for."""
    return {
        "PARTS": 4,
        "SPLITS": 4 if tile == SHORT else 1,
        "SCALED": scaled,
        "DOT": tl.bfloat16,
        "M": tile,
        "K": inputs_at_once(torch.bfloat16),
        "N": outputs_at_once(tile),
        "R": 16,
    }


def invariant_sizes(kernel: str, dtype: torch.dtype) -> dict[str, object]:
    """Returns what linears and norms of a Llama are compiled for, with everything that they may have."""
    four_bit = kernel == "four_bit_kernel"
    rows, inputs = four_bit_tile(dtype) if four_bit else (ROWS, dense_inputs(dtype))
    return {
        "NESTED": True,
        "BIASED": True,
        "WHOLE": True,
        "BLOCK": 64,
        "OUTER": 256,
        "DOT": {torch.bfloat16: tl.bfloat16, torch.float32: tl.float32}[dtype],
        "M": rows,
        "N": OUTPUTS if four_bit else HEAD_OUTPUTS,
        "K": inputs,
        "ROUNDS_FIRST": True,
        "ROOM": 4096,
    }


def product_sizes(way: Way, dtype: torch.dtype, tiles: Tiles, rows: int) -> dict[str, object]:
    """Returns what products of so many rows are compiled for, for a weight of many outputs."""
    return {
        "WAY": int(way),
        "ASM": assembly_of(way, nf4_levels(), dtype),
        "DOT": {torch.bfloat16: tl.bfloat16, torch.float16: tl.float16, torch.float32: tl.float32}[dtype],
        "N": tiles.outputs,
        "M": rows,
        "STAGES": tiles.stages,
    }


# Every way in every type, with the rows that take the most memory and registers; all rows in the usual one.
PRODUCTS = (
    (Way.PRMT, torch.bfloat16, (16, 32, 64)),
    (Way.PRMT, torch.float16, (64,)),
    (Way.PAIRS, torch.bfloat16, (64,)),
    (Way.PAIRS, torch.float16, (64,)),
    (Way.LEVELS, torch.float32, (16, 64)),
)


def four_bit_products() -> Iterator[tuple[str, Any, dict[str, object], dict[str, str]]]:
    """Yields the kernels of the base's 4-bit products, as `all_kernels` does."""
    kinds = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}
    for way, dtype, tiles_of_rows in PRODUCTS:
        for rows in tiles_of_rows:
            sizes = product_sizes(way, dtype, tiles_for(4096, 64, dtype), rows)
            told = kinds[dtype]
            types = {"x": f"*{told}", "codes": "*u8", "table": "*i32" if way is Way.PAIRS else "*fp32"}
            name = f"product_{way.name.lower()}_{told}_{rows}"
            yield name, four_bit_kernels.product_kernel, sizes, types
    narrow = product_sizes(Way.PRMT, torch.bfloat16, tiles_for(512, 64, torch.bfloat16), 64)
    types = {"codes": "*u8", "table": "*fp32"}
    yield "product_narrow", four_bit_kernels.product_kernel, narrow, types
    sizes = {"PARTS": 8, "BIASED": True, "M": SUM_ROWS, "N": SUM_OUTPUTS}
    yield "sum", four_bit_kernels.sum_kernel, sizes, {}
    yield "dequantise", four_bit_kernels.dequantise_kernel, {"N": DEQUANTISED_OUTPUTS}, {}


def fused_operations() -> Iterator[tuple[str, Any, dict[str, object], dict[str, str]]]:
    """Yields what stands between products, as `all_kernels` does, each with everything that it may have."""
    floats: dict[str, object] = {"PARTS": 8, "BIASED": True, "SPLITS": 4, "SCALED": False, "R": RANKS}
    integers = floats | {"SCALED": True}
    types = {"inner": "*fp32", "weight": "*fp32", "places": "*i32"}
    for room, own, end in ((4096, floats, ""), (8192, integers, "_8bit")):
        sizes = own | {"INNER": True, "ROOM": room, "R": row_ranks(room)}
        kind = types | ({"matrices": "*i8"} if end else {})
        yield f"fused_norm_{room}{end}", fused_kernels.norm_kernel, sizes, kind
    for dim, rest in ((128, 0), (256, 0), (96, 32)):
        half = (dim - rest) // 2
        room = triton.next_power_of_2(half)
        sizes = floats | {
            **{"NORMED": True, "HEADS": 32, "KV_HEADS": 8, "DIM": dim, "HALF": half},
            **{"HALF_ROOM": room, "REST_ROOM": rest, "LINEARS": 3, "M": heads_at_once(room)},
        }
        yield f"fused_rotate_{dim}", fused_kernels.rotate_kernel, sizes, types
    for own, end in ((floats, ""), (integers, "_8bit")):
        sizes = own | {"GELU": True, "LINEARS": 2, "N": GATES}
        kind = types | ({"matrices": "*i8"} if end else {})
        yield f"fused_gate{end}", fused_kernels.gate_kernel, sizes, kind
    for way, rows in ((Way.PRMT, 16), (Way.PRMT, 64), (Way.PAIRS, 64)):
        sizes = product_sizes(way, torch.bfloat16, tiles_for(4096, 64, torch.bfloat16), rows)
        sizes |= {"LINEARS": 3, "PARTS": 4, "SHORT": SHORT, "K": inputs_at_once(torch.bfloat16), "R": 16}
        types = {"levels": "*i32" if way is Way.PAIRS else "*fp32"}
        yield f"fused_joint_{way.name.lower()}_{rows}", fused_kernels.joint_kernel, sizes, types


def choosing_tokens() -> Iterator[tuple[str, Any, dict[str, object], dict[str, str]]]:
    """Yields what makes tokens of logits, as `all_kernels` does."""
    types = {"logits": "*fp32", "chosen": "*i64", "rows": "*i64", "vocabulary": "i32", "row_stride": "i32"}
    for name, is_bent in (("likeliest", False), ("likeliest_bent", True)):
        sizes: dict[str, object] = {"BENT": is_bent, "STRIDE": 2, "N": AT_ONCE}
        yield name, sampling_kernels.likeliest_kernel, sizes, types
    sizes = {"PIVOTS": PIVOTS, "FEW": FEW, "N": DRAWN_AT_ONCE}
    yield "draw", sampling_kernels.draw_kernel, sizes, types | {"settings": "*fp64"}
    numbers = dict.fromkeys(("scores", "biases", "factors", "offsets"), "*fp32")
    given = numbers | {"bounds": "*i32", "ids": "*i32", "bits": "*u8", "row_bits": "i32"}
    sizes = {"CHANGES": CHANGES, "N": BENT_AT_ONCE}
    yield "bend", sampling_kernels.bend_kernel, sizes, types | given


def all_kernels() -> Iterator[tuple[str, Any, dict[str, object], dict[str, str]]]:
    """Yields a name, the kernel, its constants, and those types that differ from the usual ones."""
    for name in ("store_kernel", "decode_kernel", "combine_kernel", "prefill_kernel"):
        yield (
            name,
            getattr(attention_kernels, name),
            attention_sizes(name),
            {"tokens": "*i32", "blocks": "*i32"},
        )
    for name in ("dense_kernel", "four_bit_kernel", "norm_kernel"):
        for dtype, told in ((torch.bfloat16, "*bf16"), (torch.float32, "*fp32")):
            types = dict.fromkeys(("x", "y", "weight", "bias"), told) | {"outer": "*fp32"}
            if name == "norm_kernel":
                types["weight"] = "*fp32"
            if name == "four_bit_kernel":
                types["scales"] = "*u8"
            kernel = getattr(invariant_kernels, name)
            yield f"{name}_{told[1:]}", kernel, invariant_sizes(name, dtype), types
    yield from four_bit_products()
    yield from fused_operations()
    yield from choosing_tokens()
    for name in ("shrink", "expand"):
        for tile in (SHORT, LONG):
            for scaled in (False, True):
                types = {"tokens": "i32"} | ({"weights": "*i8"} if scaled else {})
                told = f"{name}_{tile}{'_8bit' if scaled else ''}"
                yield told, getattr(lora_kernels, name), lora_sizes(tile, scaled=scaled), types


def taken_bytes(
    kernel: Any, constants: Mapping[str, object], others: Mapping[str, str], target: GPUTarget
) -> tuple[int, int]:
    """Returns the shared and the local memory that the compiled kernel takes."""
    names = kernel.arg_names
    types = {key: others.get(key, _TYPES.get(key, "constexpr")) for key in names}
    aligned = {
        (place,): [["tt.divisibility", 16]]
        for place, key in enumerate(names)
        if types[key].startswith("*") or key in _SIZES
    }
    options = {"num_warps": 8, "num_stages": 2} if kernel is attention_kernels.prefill_kernel else {}
    if kernel in (sampling_kernels.likeliest_kernel, sampling_kernels.draw_kernel):
        options = {"num_warps": WARPS}
    if kernel is sampling_kernels.bend_kernel:
        options = {"num_warps": BENDING_WARPS, "enable_fp_fusion": False}
    if kernel is fused_kernels.norm_kernel:
        options = {"num_warps": row_warps(int(str(constants["ROOM"])))}
    given = {key: value for key, value in constants.items() if key in names}
    compiled = triton.compile(ASTSource(kernel, types, given, aligned), target=target, options=options)
    return compiled.metadata.shared, local_bytes(compiled.asm["cubin"])


def local_bytes(cubin: bytes) -> int:
    """Returns a thread's bytes of stack, spilled registers among them, as Triton's `cuobjdump` reads them."""
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [str(tool), "-res-usage", file.name]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return sum(int(number) for number in re.findall(r"\b(?:STACK|LOCAL):(\d+)", said))


if __name__ == "__main__":
    for capability in sys.argv[1:]:
        target = GPUTarget("cuda", int(capability), 32)
        for name, kernel, constants, others in all_kernels():
            print(capability, name, *taken_bytes(kernel, constants, others, target))
