"""Finds modules that a configuration selects but that have no tensors."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from parfocal.registry.bases import layer_projections
from parfocal.registry.peft.config import PeftConfig
from parfocal.registry.peft.lora_tensors import LoraModule
from parfocal.registry.peft.pattern_graph import ModulePath
from parfocal.registry.values import BaseShape

_LAYER = re.compile(r"(?P<prefix>(?:.*\.)?layers\.)(?P<number>[0-9]{1,6})\.(?P<rest>.+)")
# An untrusted adapter could make millions of names.
_MAX_LAYERS = 1000
_MAX_EXPECTED = 20_000
_SHOWN = 3
_FUSED = ("qkv_proj", "gate_up_proj")


def missing_warnings(
    modules: Sequence[LoraModule], config: PeftConfig, shape: BaseShape | None
) -> tuple[str, ...]:
    """A sentence about modules that are selected, but without tensors; raises MalformedFile.

    The base's `shape` says which modules there are; without it, only layers without any tensors are looked
    at, as other bases' layers may differ.
    """
    trained = {module.trained_path for module in modules}
    missing = [
        path
        for path in _expected(trained, shape)
        if path not in trained and config.selection.rejects(ModulePath(path, config.work)) is None
    ]
    if not missing:
        return ()
    shown = ", ".join(missing[:_SHOWN]) + (", …" if len(missing) > _SHOWN else "")
    which = "1 module is" if len(missing) == 1 else f"{len(missing)} modules are"
    return (f"{which} selected, but without tensors, and computed as in the base: {shown}",)


def _expected(trained: set[str], shape: BaseShape | None) -> Iterator[str]:
    """Yields the paths of all modules, in the order of their layers."""
    found = [match for path in sorted(trained) if (match := _LAYER.fullmatch(path)) is not None]
    prefixes = {match["prefix"] for match in found}
    if len(prefixes) != 1:
        return
    [prefix] = prefixes
    names = sorted({match["rest"] for match in found})
    filled = {int(match["number"]) for match in found}
    layers: Sequence[int] = [layer for layer in range(max(filled)) if layer not in filled]
    if shape is not None:
        names, layers = list(layer_projections(_decided(shape, names))), range(shape.layers)
    if len(layers) <= _MAX_LAYERS and len(layers) * len(names) <= _MAX_EXPECTED:
        yield from (f"{prefix}{layer}.{name}" for layer in layers for name in names)


def _decided(shape: BaseShape, names: Sequence[str]) -> BaseShape:
    """The shape with the form of its projections, taken from the adapter if unknown."""
    fused = any(name.endswith(_FUSED) for name in names)
    return shape if shape.fused is not None else replace(shape, fused=fused)
