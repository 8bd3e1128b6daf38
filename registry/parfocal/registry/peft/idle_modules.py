"""Finds modules with an all-zero factor, which do nothing. Reads bytes, not numbers."""

import mmap
from collections.abc import Sequence

from parfocal.registry.peft.lora_tensors import LoraModule, StoredFactor

_CHUNK_BYTES = 1 << 16
_ZEROS = bytes(_CHUNK_BYTES)
_SHOWN = 3


def idle_warnings(data: mmap.mmap, modules: Sequence[LoraModule]) -> tuple[str, ...]:
    """Sentences about modules whose lora_B (else lora_A) is all zero.

    LoRA begins with lora_B = 0, so all-zero factors mean that nothing was learnt there.
    """
    idle_b = [m.target.path for m in modules if _is_zero(data, m.b)]
    idle_a = [m.target.path for m in modules if _is_zero(data, m.a)]
    return tuple(_sentences("lora_B", idle_b, len(modules)) + _sentences("lora_A", idle_a, len(modules)))


def _sentences(factor: str, paths: list[str], total: int) -> list[str]:
    if not paths:
        return []
    if len(paths) == total:
        return [f"every {factor} is all zero: this adapter changes nothing"]
    shown = ", ".join(paths[:_SHOWN]) + (", …" if len(paths) > _SHOWN else "")
    return [f"{factor} is all zero in {len(paths)} of {total} modules, which change nothing: {shown}"]


def _is_zero(data: mmap.mmap, factor: StoredFactor) -> bool:
    """Whether a factor's bytes are all zero; stops at the first chunk that is not."""
    for start in range(factor.span.begin, factor.span.end, _CHUNK_BYTES):
        chunk = data[start : min(start + _CHUNK_BYTES, factor.span.end)]
        if chunk != _ZEROS[: len(chunk)]:
            return False
    return True
