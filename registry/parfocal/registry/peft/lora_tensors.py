"""Finds the LoRA modules in a safetensors header and checks them against the PEFT configuration.

Knows tensor names, shapes and ranks; knows no base and reads no values.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from parfocal.registry.errors import ContractMismatch, MalformedFile, UnsupportedAdapter
from parfocal.registry.peft.config import MAX_RANK, PeftConfig
from parfocal.registry.peft.safetensors_header import SafetensorsHeader, TensorSpan
from parfocal.registry.values import TargetModule

_NAME = re.compile(
    r"base_model\.model\.(?P<path>[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*)\.lora_(?P<side>[AB])\.weight"
)
_DTYPES = ("F16", "BF16", "F32")
_FILE = "adapter_model.safetensors"

# What PEFT can put beside the factors, and what its presence means.
_LEFTOVERS: tuple[tuple[str, str], ...] = (
    ("lora_embedding_", "it adapts an embedding, which is not served yet"),
    ("lora_magnitude_vector", "it is DoRA's magnitude, which is not served"),
    ("modules_to_save", "it replaces a module of the base, which all adapters share"),
    ("lora_A.default", "it was saved as a raw state dict; save it with save_pretrained"),
    ("lora_B.default", "it was saved as a raw state dict; save it with save_pretrained"),
    ("lora_B.bias", "a bias on lora_B is not served"),
    ("embed_tokens.weight", "it is a weight of the base, which PEFT saves when the vocabulary was resized"),
    ("lm_head.weight", "it is a weight of the base, which PEFT saves when the vocabulary was resized"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class LoraModule:
    """One adapted module: what the contract says of it, and where its two factors lie in the file."""

    target: TargetModule
    a: TensorSpan
    b: TensorSpan


def read_modules(header: SafetensorsHeader, config: PeftConfig) -> tuple[LoraModule, ...]:
    """Returns the modules of an adapter, sorted by path.

    Raises MalformedFile, UnsupportedAdapter or ContractMismatch, with the tensor's name in `field`.
    """
    factors: dict[str, dict[str, TensorSpan]] = {}
    for name, span in header.tensors.items():
        path, side = _split(name)
        _check_dtype(name, span)
        factors.setdefault(path, {})[side] = span
    if not factors:
        raise MalformedFile(f"{_FILE} holds no tensor, so nothing would be adapted", field=_FILE)
    config.rank_pattern.check_work(len(factors))
    config.alpha_pattern.check_work(len(factors))
    return tuple(_module(path, factors[path], config) for path in sorted(factors))


def tensor_name(path: str, side: str) -> str:
    """Returns the name that PEFT gives to factor `side` ("A" or "B") of the module at `path`."""
    return f"base_model.model.{path}.lora_{side}.weight"


def _split(name: str) -> tuple[str, str]:
    match = _NAME.fullmatch(name)
    if match is not None:
        return match["path"], match["side"]
    why = next(
        (why for part, why in _LEFTOVERS if part in name), "it is no lora_A or lora_B factor of a module"
    )
    raise UnsupportedAdapter(f"tensor {name[:200]!a} cannot be served: {why}", field=name[:200])


def _check_dtype(name: str, span: TensorSpan) -> None:
    if span.dtype not in _DTYPES:
        raise UnsupportedAdapter(
            f"tensor {name} has dtype {span.dtype}; save it as one of {', '.join(_DTYPES)}", field=name
        )


def _module(path: str, factors: Mapping[str, TensorSpan], config: PeftConfig) -> LoraModule:
    for side, other in (("A", "B"), ("B", "A")):
        if side not in factors:
            raise MalformedFile(
                f"module {path} has lora_{other} but no lora_{side}", field=tensor_name(path, side)
            )
    if not config.selects(path):
        raise ContractMismatch(
            f"module {path} has tensors, but target_modules in adapter_config.json does not select it; "
            "PEFT would ignore them in silence",
            field="target_modules",
        )
    a, b = factors["A"], factors["B"]
    rank = _rank(path, a, b, config)
    target = TargetModule(path, a.shape[1], b.shape[0], rank, config.alpha_of(path))
    return LoraModule(target, a, b)


def _rank(path: str, a: TensorSpan, b: TensorSpan, config: PeftConfig) -> int:
    """Returns the rank that the factors `[rank, in]` and `[out, rank]` and the configuration agree on."""
    for side, span in (("A", a), ("B", b)):
        if len(span.shape) != 2 or 0 in span.shape:
            raise ContractMismatch(
                f"lora_{side} of {path} has shape {list(span.shape)}; linear modules need two sizes above 0",
                field=tensor_name(path, side),
            )
    expected = config.rank_of(path)
    if a.shape[0] != b.shape[1]:
        raise ContractMismatch(
            f"lora_A of {path} has rank {a.shape[0]}, its lora_B has rank {b.shape[1]}",
            field=tensor_name(path, "B"),
        )
    if a.shape[0] != expected:
        raise ContractMismatch(
            f"lora_A of {path} has rank {a.shape[0]}, adapter_config.json says {expected}",
            field=tensor_name(path, "A"), expected=str(expected), actual=str(a.shape[0]),
        )  # fmt: skip
    assert 1 <= expected <= MAX_RANK
    return expected
