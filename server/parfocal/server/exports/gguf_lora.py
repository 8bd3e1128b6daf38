"""Writes an adapter as llama.cpp's LoRA: a GGUF file beside a GGUF of its base.

Numbers are float32, which holds all that an adapter may be stored as. llama.cpp scales by alpha / rank with
one alpha for all modules; where the adapter's own scales need several, the rest is multiplied into B.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from parfocal.registry import TargetModule
from parfocal.registry.bases import decoder_fields
from parfocal.server.errors import ExportRefused
from parfocal.server.exports.adapted import Adapted
from parfocal.server.exports.gguf_architectures import ARCHITECTURES, GgufArchitecture

Arrays = Mapping[str, NDArray[np.float32]]

_LAYERS = "layers."
_QUERIES, _KEYS = ".q_proj", ".k_proj"


@dataclass(frozen=True, slots=True)
class GgufLora:
    """llama.cpp's name of the decoder, the alpha, and how many modules have a part of their scale in B."""

    architecture: str
    alpha: float
    rescaled: int


def write_gguf_lora(adapted: Adapted, target: Path) -> GgufLora:
    """Writes the file `target`, and reads it again to see that it holds what it should.

    Raises ExportRefused for a decoder that is not in the table, or a module that llama.cpp has no name for;
    ImportError without the library gguf; OSError.
    """
    architecture = _architecture(adapted.config)
    alphas = {each.path: adapted.scale(each) * each.rank for each in adapted.targets}
    alpha = Counter(alphas.values()).most_common(1)[0][0]
    arrays = _arrays(adapted, architecture, {path: own / alpha for path, own in alphas.items()})
    _write(adapted, target, architecture.name, alpha, arrays)
    _verify(target, arrays)
    return GgufLora(architecture.name, alpha, sum(own != alpha for own in alphas.values()))


def _architecture(config: Mapping[str, Any]) -> GgufArchitecture:
    kind = str(config.get("model_type"))
    if kind not in ARCHITECTURES:
        raise ExportRefused(
            f"llama.cpp's LoRA is not written for {kind[:80]!a} bases; it is for {', '.join(ARCHITECTURES)}: "
            "export it merged (--merged), and convert that with llama.cpp's own convert_hf_to_gguf.py",
            field="model_type",
        )
    return ARCHITECTURES[kind]


def _arrays(adapted: Adapted, architecture: GgufArchitecture, factors: Mapping[str, float]) -> Arrays:
    """By llama.cpp's names: `<weight>.lora_a` is `[rank, in]`, `<weight>.lora_b` is `[out, rank]`."""
    names = _Names(architecture.name, adapted)
    heads = _heads(adapted.config) if architecture.interleaved else (0, 0)
    arrays: dict[str, NDArray[np.float32]] = {}
    with adapted.matrices() as matrices:
        for target in adapted.targets:
            name = names.of(target)
            a, b = matrices.of(target)
            if factors[target.path] != 1:
                b = b * factors[target.path]
            b = _interleaved(b, _heads_of(target, heads))
            arrays[f"{name}.lora_a"] = a.contiguous().numpy()
            arrays[f"{name}.lora_b"] = b.contiguous().numpy()
    return arrays


def _heads(config: Mapping[str, Any]) -> tuple[int, int]:
    """How many heads of queries and of keys a decoder has; its class's own where its file is silent."""
    fields = decoder_fields(config) or {}
    return int(str(fields["num_attention_heads"])), int(str(fields["num_key_value_heads"]))


def _heads_of(target: TargetModule, heads: tuple[int, int]) -> int:
    """The heads whose rows a module's B has; 0 where it has none."""
    if target.path.endswith(_QUERIES):
        return heads[0]
    return heads[1] if target.path.endswith(_KEYS) else 0


def _interleaved(b: torch.Tensor, heads: int) -> torch.Tensor:
    """B with the rows of each head's two halves taken in turns."""
    if not heads:
        return b
    rows, rank = b.shape
    return b.view(heads, 2, rows // heads // 2, rank).transpose(1, 2).reshape(rows, rank)


class _Names:
    """llama.cpp's names of a decoder's weights."""

    def __init__(self, architecture: str, adapted: Adapted) -> None:
        import gguf

        layers = 1 + max(_layer_of(target) for target in adapted.targets)
        kind = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture)
        self._map = gguf.get_tensor_name_map(kind, layers)

    def of(self, target: TargetModule) -> str:
        """The name of the weight that a module has; raises ExportRefused."""
        inside = f"model.{_LAYERS}{target.path.partition(_LAYERS)[2]}.weight"
        name = self._map.get_name(inside, try_suffixes=(".weight",))
        if name is None:
            raise ExportRefused(
                f"llama.cpp has no name for {target.path}, which the adapter changes; export it "
                "merged (--merged)",
                field=target.path,
            )
        return str(name)


def _layer_of(target: TargetModule) -> int:
    number = target.path.partition(_LAYERS)[2].partition(".")[0]
    return int(number) if number.isdecimal() else 0


def _write(adapted: Adapted, target: Path, architecture: str, alpha: float, arrays: Arrays) -> None:
    import gguf

    manifest = adapted.version.manifest
    writer = gguf.GGUFWriter(target, architecture)
    try:
        writer.add_type(gguf.GGUFType.ADAPTER)
        writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
        writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha)
        writer.add_name(str(adapted.version))
        writer.add_description(f"LoRA adapter of {manifest.contract.base.id}, {adapted.version.digest}")
        for name, array in arrays.items():
            writer.add_tensor(name, array)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def _verify(target: Path, arrays: Arrays) -> None:
    """Raises ExportRefused unless the file gives back every tensor, bit by bit."""
    import gguf

    held = {tensor.name: tensor for tensor in gguf.GGUFReader(target).tensors}
    for name, array in arrays.items():
        if name not in held or not np.array_equal(held[name].data, array):
            raise ExportRefused(f"{name} was not written as it should be; see whether the disk is well")
