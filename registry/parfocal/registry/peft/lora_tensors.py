"""Finds the LoRA modules in a safetensors header and checks them against the PEFT configuration.

Knows tensor names, shapes and ranks; knows no base and reads no values.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from parfocal.registry.errors import ContractMismatch, MalformedFile, UnsupportedAdapter
from parfocal.registry.peft.config import MAX_RANK, PeftConfig
from parfocal.registry.peft.pattern_graph import ModulePath
from parfocal.registry.peft.placing import placed
from parfocal.registry.peft.safetensors_header import SafetensorsHeader, TensorSpan
from parfocal.registry.peft.tensor_names import read_names, tensor_name
from parfocal.registry.values import MAX_MODULES, TargetModule

_DTYPES = ("F16", "BF16", "F32")
_FILE = "adapter_model.safetensors"
_SAVE_AGAIN = "the file was written in part or edited: save the adapter again"


@dataclass(frozen=True, slots=True)
class StoredFactor:
    """One factor of a module: the name that its trainer gave it, and where it lies in the file."""

    name: str
    span: TensorSpan


@dataclass(frozen=True, slots=True)
class LoraModule:
    """One adapted module: what the contract says of it, its path while it was trained, and its factors."""

    target: TargetModule
    trained_path: str
    a: StoredFactor
    b: StoredFactor


def read_modules(header: SafetensorsHeader, config: PeftConfig, prefix: str | None) -> tuple[LoraModule, ...]:
    """The modules of an adapter, sorted by path.

    They get the base's paths if it is known under which `prefix` it has its layers.

    Raises MalformedFile, UnsupportedAdapter or ContractMismatch, with the tensor's name in `field`.
    """
    factors: dict[str, dict[str, StoredFactor]] = {}
    for name, factor in read_names(header.tensors).items():
        _check_dtype(name, header.tensors[name])
        factors.setdefault(factor.path, {})[factor.side] = StoredFactor(name, header.tensors[name])
    if not factors:
        raise MalformedFile(f"{_FILE} holds no tensor, so nothing would be adapted", field=_FILE)
    if len(factors) > MAX_MODULES:
        raise UnsupportedAdapter(
            f"{_FILE} holds tensors of {len(factors)} modules; at most {MAX_MODULES} are served", field=_FILE
        )
    paths = {path: ModulePath(path, config.work) for path in sorted(factors)}
    _check_selected(paths, config)
    where = {path: path for path in paths} if prefix is None else placed(paths, prefix)
    modules = [_module(module, where[path], factors[path], config) for path, module in paths.items()]
    return tuple(sorted(modules, key=lambda module: module.target.path))


def _check_selected(paths: Mapping[str, ModulePath], config: PeftConfig) -> None:
    """Raises ContractMismatch when the configuration leaves out modules that have tensors."""
    rejected = {path: field for path, module in paths.items() if (field := config.selection.rejects(module))}
    if not rejected:
        return
    path, field = next(iter(rejected.items()))
    others = f" with {len(rejected) - 1} other modules" if len(rejected) > 1 else ""
    raise ContractMismatch(
        f"module {path} has tensors, but {field} in adapter_config.json leaves it out{others}: it is "
        f"{str(config.selection.written.get(field))[:120]!a}, and PEFT would ignore the tensors in silence; "
        f"correct {field}, or remove the tensors",
        field=field,
    )


def _check_dtype(name: str, span: TensorSpan) -> None:
    if span.dtype not in _DTYPES:
        raise UnsupportedAdapter(
            f"tensor {name} has dtype {span.dtype}; save it as one of {', '.join(_DTYPES)}", field=name
        )


def _module(
    module: ModulePath, path: str, factors: Mapping[str, StoredFactor], config: PeftConfig
) -> LoraModule:
    for side, other in (("A", "B"), ("B", "A")):
        if side not in factors:
            raise MalformedFile(
                f"module {module.text} has lora_{other} but no lora_{side}; {_SAVE_AGAIN}",
                field=tensor_name(module.text, side),
            )
    a, b = factors["A"], factors["B"]
    rank = _rank(module, a, b, config)
    target = TargetModule(path, a.span.shape[1], b.span.shape[0], rank, config.alpha_of(module))
    return LoraModule(target, module.text, a, b)


def _rank(module: ModulePath, a: StoredFactor, b: StoredFactor, config: PeftConfig) -> int:
    """The rank that the factors `[rank, in]` and `[out, rank]` and the configuration agree on."""
    for side, factor in (("A", a), ("B", b)):
        if len(factor.span.shape) != 2 or 0 in factor.span.shape:
            raise ContractMismatch(
                f"lora_{side} of {module.text} has shape {list(factor.span.shape)}; linear modules need two "
                "sizes above 0",
                field=factor.name,
            )
    rank, expected = a.span.shape[0], config.rank_of(module)
    if rank != b.span.shape[1]:
        raise ContractMismatch(
            f"lora_A of {module.text} has rank {rank}, its lora_B has rank {b.span.shape[1]}; {_SAVE_AGAIN}",
            field=b.name,
        )
    if rank != expected:
        raise ContractMismatch(
            f"lora_A of {module.text} has rank {rank}, adapter_config.json says {expected}; correct r or "
            "rank_pattern",
            field=a.name, expected=str(expected), actual=str(rank),
        )  # fmt: skip
    assert 1 <= expected <= MAX_RANK
    return expected
