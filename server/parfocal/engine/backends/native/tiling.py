"""The native kernels' own linears in a model: packed once, and cached in that form."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from bitsandbytes.nn.modules import Linear4bit
from torch import nn

from parfocal.engine.backends.native import linear
from parfocal.engine.backends.native.library import Library, sources_digest
from parfocal.engine.backends.native.linear import (
    NativeHead,
    NativeLinear,
    Numbers,
    Packed,
    can_pack,
    pack,
    pack_dense,
)
from parfocal.engine.model import Kept, put

_BLOCK = 64


class TiledLinears:
    """4-bit linears and, unless all arithmetic must be exact, the head, in the kernels' tiles."""

    def __init__(self, library: Library, numbers: Numbers) -> None:
        self._library = library
        self._numbers = numbers

    @property
    def facts(self) -> Mapping[str, object]:
        """The kernels' sources, how Python packs for them, and in what numbers."""
        packing = sha256(Path(linear.__file__).read_bytes()).hexdigest()
        return {"kernels": f"{sources_digest()} {packing}", "numbers": int(self._numbers)}

    @torch.inference_mode()
    def pack(self, model: nn.Module) -> None:
        """Replaces in place every linear of the model that the kernels can compute."""
        for path, module in tuple(model.named_modules()):
            if isinstance(module, Linear4bit) and can_pack(module):
                put(model, path, pack(self._library, module, self._numbers))
        head: Any = model.lm_head
        is_plain = isinstance(head, nn.Linear) and not isinstance(head, Linear4bit)
        if is_plain and self._numbers is not Numbers.EXACT and head.in_features % _BLOCK == 0:
            model.lm_head = self._rounded_head(head)

    def keep(self, module: nn.Module) -> Kept | None:
        """A native linear or head as tensors; None for any other module."""
        if isinstance(module, NativeLinear):
            return Kept(_notes(module), module.kept)
        if isinstance(module, NativeHead):
            near = {f"near.{name}": part for name, part in module.near.kept.items()}
            own = {"weight": module.weight, "bias": module.bias}
            return Kept({"near": _notes(module.near)}, {**own, **near})
        return None

    def make(self, kept: Kept) -> nn.Module:
        """The module that `kept` describes."""
        if "near" not in kept.notes:
            return self._linear(kept.notes, kept.tensors)
        own = {name: part for name, part in kept.tensors.items() if not name.startswith("near.")}
        near = {
            name.removeprefix("near."): part
            for name, part in kept.tensors.items()
            if name.startswith("near.")
        }
        weight = own["weight"]
        assert weight is not None
        return NativeHead(self._library, weight, own.get("bias"), self._linear(kept.notes["near"], near))

    def _linear(self, notes: Mapping[str, Any], tensors: Mapping[str, torch.Tensor | None]) -> NativeLinear:
        parts: dict[str, Any] = {name: part for name, part in tensors.items() if part is not None}
        packed = Packed(notes["outputs"], notes["inputs"], Numbers(notes["numbers"]), **parts)
        return NativeLinear(self._library, packed)

    def _rounded_head(self, head: nn.Linear) -> NativeHead:
        dense = Numbers.DENSE_NARROW if self._numbers is Numbers.NARROW else Numbers.DENSE_WIDE
        bias = None if head.bias is None else head.bias.data
        near = pack_dense(self._library, head.weight.data, bias, dense)
        return NativeHead(self._library, head.weight.data, bias, near)


def _notes(module: NativeLinear) -> dict[str, int]:
    return {
        "outputs": module.out_features,
        "inputs": module.in_features,
        "numbers": int(module.numbers),
    }
