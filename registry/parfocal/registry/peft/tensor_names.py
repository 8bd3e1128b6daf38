"""Finds module and factor in the names of LoRA tensors, whatever their trainer wrapped the model in."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from parfocal.registry.errors import MalformedFile, UnsupportedAdapter

MAX_PATH_LENGTH = 500
_MAX_PATH_PARTS = 64

# What PEFT, torch.compile, FSDP, activation checkpointing, DDP and DeepSpeed put into a path.
_WRAPPERS = re.compile(r"(?:(?<=\.)|^)(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_PREFIX = re.compile(r"(?:module\.)?(?:base_model\.model\.)?(?:module\.)?")
_NAME = re.compile(
    r"(?P<path>[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*)\.lora_(?P<side>[AB])(?:\.(?P<adapter>[A-Za-z0-9_-]+))?\.weight"
)

# What can stand beside the factors, and what its presence means.
_LEFTOVERS: tuple[tuple[str, str], ...] = (
    ("lora_embedding_", "it adapts an embedding, which is not served yet"),
    ("lora_magnitude_vector", "it is DoRA's magnitude, which is not served"),
    ("modules_to_save", "it replaces a module of the base, which all adapters share"),
    (".base_layer.", "it is a weight of the base; save the adapter alone, with save_pretrained"),
    ("lora_B.bias", "a bias on lora_B is not served"),
    (".lora_down.", "it is named as diffusion models' LoRAs are; convert the adapter to PEFT's names"),
    (".lora_up.", "it is named as diffusion models' LoRAs are; convert the adapter to PEFT's names"),
    (".lora_a", "it is named as MLX names it; convert the adapter to PEFT's names and layout"),
    (".lora_b", "it is named as MLX names it; convert the adapter to PEFT's names and layout"),
    ("embed_tokens.weight", "it is a weight of the base, which PEFT saves when the vocabulary was resized"),
    ("lm_head.weight", "it is a weight of the base, which PEFT saves when the vocabulary was resized"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Factor:
    """One factor of one module: `side` is A or B, `adapter` the name within a raw state dict, or empty."""

    path: str
    side: str
    adapter: str


def tensor_name(path: str, side: str) -> str:
    """The name that PEFT gives to factor `side` ("A" or "B") of the module at `path`."""
    return f"base_model.model.{path}.lora_{side}.weight"


def read_names(names: Iterable[str]) -> dict[str, Factor]:
    """What each tensor is.

    Raises UnsupportedAdapter for what is no factor of a linear module or when several adapters are mixed, and
    MalformedFile when two tensors are one factor.
    """
    factors = {name: _read(name) for name in names}
    adapters = sorted({factor.adapter for factor in factors.values()})
    if len(adapters) > 1:
        shown = ", ".join(adapter or "(none)" for adapter in adapters[:4])
        raise UnsupportedAdapter(
            f"the tensors belong to {len(adapters)} adapters ({shown}); save each in a folder of its own",
            field="adapter_model.safetensors",
        )
    seen: dict[tuple[str, str], str] = {}
    for name, factor in factors.items():
        twin = seen.setdefault((factor.path, factor.side), name)
        if twin != name:
            raise MalformedFile(f"tensors {twin} and {name} are the same factor; remove one", field=name)
    return factors


def _read(name: str) -> Factor:
    plain = _WRAPPERS.sub("", name) if len(name) <= MAX_PATH_LENGTH else ""
    match = _NAME.fullmatch(plain, _PREFIX.match(plain).end())  # type: ignore[union-attr]  # it may be empty
    if match is not None and match["path"].count(".") < _MAX_PATH_PARTS:
        return Factor(match["path"], match["side"], match["adapter"] or "")
    why = next(
        (why for part, why in _LEFTOVERS if part in name), "it is no lora_A or lora_B factor of a module"
    )
    if len(name) > MAX_PATH_LENGTH:
        why = f"its name has {len(name)} characters; up to {MAX_PATH_LENGTH} are read"
    elif match is not None:
        why = f"its module is nested more than {_MAX_PATH_PARTS} deep"
    raise UnsupportedAdapter(f"tensor {name[:200]!a} cannot be served: {why}", field=name[:200])
