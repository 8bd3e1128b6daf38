"""Compiles the kernels for a GPU of the given capability, which need not be there.

Runs in a process of its own, for the tests' Triton interprets; the interpreter takes much that the compiler
refuses. Prints each kernel's name and the bytes of shared memory it takes.
"""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from parfocal.engine.backends.cuda.attention import kernels as attention_kernels
from parfocal.engine.backends.cuda.lora import kernels as lora_kernels
from parfocal.engine.backends.cuda.lora.step import LONG, SHORT, numbers_at_once

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
]
_TYPES = {
    **dict.fromkeys(
        ["out", "query", "key", "value", "keys", "values", "x", "y0", "y1", "y2", "weights"], "*bf16"
    ),
    **dict.fromkeys(["answers", "logs", "scales", "h"], "*fp32"),
    **dict.fromkeys(["blocks", "lengths", "tiles"], "*i32"),
    **dict.fromkeys(["most", "window", "splits", "modules", "first"], "i32"),
    **dict.fromkeys(_SIZES, "i32"),
    **dict.fromkeys(("inner", "outer"), "fp32"),
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
        "SPLIT_ROOM": 32,
        "TILE": 64,
    }


def lora_sizes(tile: int, *, scaled: bool) -> dict[str, object]:
    """Returns what adapters of 16 bits, or with scales of 8, are compiled for."""
    return {
        "SPLITS": 4 if tile == SHORT else 1,
        "SCALED": scaled,
        "DOT": tl.bfloat16,
        "M": tile,
        "K": numbers_at_once(tile),
        "N": numbers_at_once(tile),
        "R": 16,
    }


def all_kernels() -> Iterator[tuple[str, Any, dict[str, object], dict[str, str]]]:
    """Yields a name, the kernel, its constants, and those types that differ from the usual ones."""
    for name in ("store_kernel", "decode_kernel", "combine_kernel", "prefill_kernel"):
        yield name, getattr(attention_kernels, name), attention_sizes(name), {"tokens": "*i32"}
    for name in ("shrink", "expand"):
        for tile in (SHORT, LONG):
            for scaled in (False, True):
                types = {"tokens": "i32"} | ({"weights": "*i8"} if scaled else {})
                told = f"{name}_{tile}{'_8bit' if scaled else ''}"
                yield told, getattr(lora_kernels, name), lora_sizes(tile, scaled=scaled), types


def shared_bytes(
    kernel: Any, constants: Mapping[str, object], others: Mapping[str, str], target: GPUTarget
) -> int:
    """Returns the shared memory that the compiled kernel takes."""
    names = kernel.arg_names
    types = {key: others.get(key, _TYPES.get(key, "constexpr")) for key in names}
    aligned = {
        (place,): [["tt.divisibility", 16]]
        for place, key in enumerate(names)
        if types[key].startswith("*") or key in _SIZES
    }
    options = {"num_warps": 8, "num_stages": 2} if kernel is attention_kernels.prefill_kernel else {}
    given = {key: value for key, value in constants.items() if key in names}
    compiled = triton.compile(ASTSource(kernel, types, given, aligned), target=target, options=options)
    shared: int = compiled.metadata.shared
    return shared


if __name__ == "__main__":
    for name, kernel, constants, others in all_kernels():
        print(name, shared_bytes(kernel, constants, others, GPUTarget("cuda", int(sys.argv[1]), 32)))
