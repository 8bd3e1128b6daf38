"""Reads the weights in a verified folder into LoRA matrices for the engine, or refuses them by name.

Does not know where the folder came from or where the matrices will live; ranks and scales are given.
"""

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError

from parfocal.engine.adapter_folder import AdapterFolder, RankAndScale
from parfocal.engine.errors import AdapterCorrupt, AdapterRefused
from parfocal.engine.lora.tensor_file import STORED_DTYPES, Header, NotFinite, TensorFile, opened, read_scaled

WEIGHTS_FILE = "adapter_model.safetensors"

_PREFIX = "base_model.model."
_SUFFIX_A = ".lora_A.weight"
_SUFFIX_B = ".lora_B.weight"


@dataclass(frozen=True, slots=True)
class ModuleWeights:
    """One linear's low-rank pair: `a` is [rank, in]; `b` is [out, rank] and has the scale folded in."""

    a: torch.Tensor
    b: torch.Tensor


@dataclass(frozen=True, slots=True)
class LoraWeights:
    """A whole adapter in host memory; `modules` maps a path of the base's `named_modules()` to its pair."""

    digest: str
    modules: dict[str, ModuleWeights]

    @property
    def rank(self) -> int:
        """The largest rank of any module."""
        return max(pair.a.shape[0] for pair in self.modules.values())

    @property
    def size_bytes(self) -> int:
        """The size of its matrices."""
        return sum(pair.a.nbytes + pair.b.nbytes for pair in self.modules.values())


def read_adapter(
    folder: AdapterFolder,
    digest: str,
    shapes: Mapping[str, tuple[int, int]],
    dtype: torch.dtype,
    max_rank: int,
) -> LoraWeights:
    """The adapter in `folder` as matrices of `dtype`, which do not alias the file.

    `shapes` maps the path of each linear that may be adapted to its (in_features, out_features). Tensors must
    be those of the folder's modules; their names and shapes are checked before their bytes are read.
    Raises AdapterRefused or AdapterCorrupt; both carry `digest` in their metadata.
    """
    try:
        weights = folder.path / WEIGHTS_FILE
        with _open(weights) as file:
            _check_tensors(file, folder.modules, shapes, max_rank)
            modules = _read_modules(weights, file, folder.modules, dtype)
    except AdapterRefused as refusal:
        refusal.metadata["digest"] = digest
        raise
    except (SafetensorError, OSError) as error:
        raise AdapterCorrupt(f"{WEIGHTS_FILE} cannot be read: {error}", digest=digest) from error
    return LoraWeights(digest, modules)


@contextmanager
def _open(path: Path) -> Iterator[TensorFile]:
    if not path.is_file():
        others = ", ".join(sorted(one.name for one in path.parent.glob("adapter_model*"))) or "no weights"
        raise AdapterRefused(
            f"the adapter has no {WEIGHTS_FILE} (it has {others}); only safetensors are read"
        )
    with opened(path) as file:
        yield file


def _check_tensors(
    file: TensorFile,
    modules: Mapping[str, RankAndScale],
    shapes: Mapping[str, tuple[int, int]],
    max_rank: int,
) -> None:
    names = frozenset(file.keys())
    paths = Counter(_module_path(name, shapes) for name in sorted(names))
    if not paths:
        raise AdapterCorrupt(f"{WEIGHTS_FILE} holds no tensor")
    for path, tensors in paths.items():
        name_a, name_b = _names(path)
        if tensors != 2:
            missing, present = (name_b, name_a) if name_a in names else (name_a, name_b)
            raise AdapterCorrupt(f"{WEIGHTS_FILE}: {present} has no {missing} beside it", tensor=missing)
        if path not in modules:
            raise AdapterCorrupt(f"{WEIGHTS_FILE}: {path} is not a module of the manifest", tensor=name_a)
        rank = _checked_rank(path, modules[path].rank, max_rank)
        in_features, out_features = shapes[path]
        _check_header(name_a, file.get_slice(name_a), [rank, in_features])
        _check_header(name_b, file.get_slice(name_b), [out_features, rank])
    for path in sorted(modules.keys() - paths.keys()):
        raise AdapterCorrupt(
            f"{WEIGHTS_FILE} has no tensors for {path}, which the manifest lists", tensor=_names(path)[0]
        )


def _names(path: str) -> tuple[str, str]:
    return _PREFIX + path + _SUFFIX_A, _PREFIX + path + _SUFFIX_B


def _read_modules(
    weights: Path, file: TensorFile, modules: Mapping[str, RankAndScale], dtype: torch.dtype
) -> dict[str, ModuleWeights]:
    scales = {_names(path)[1]: module.scale for path, module in modules.items()}
    try:
        tensors = read_scaled(weights, file, scales, dtype)
    except NotFinite as error:
        raise AdapterCorrupt(
            f"{WEIGHTS_FILE}: {error} in {str(dtype).removeprefix('torch.')}; every weight must be finite",
            tensor=error.name,
        ) from error
    return {path: ModuleWeights(*(tensors[name] for name in _names(path))) for path in modules}


def _module_path(name: str, shapes: Mapping[str, tuple[int, int]]) -> str:
    """The module that tensor `name` belongs to."""
    stem = next((name.removesuffix(one) for one in (_SUFFIX_A, _SUFFIX_B) if name.endswith(one)), None)
    if stem is None or not stem.startswith(_PREFIX):
        raise AdapterRefused(
            f"{WEIGHTS_FILE}: tensor {name} is not supported; "
            f"supported: {_PREFIX}<module>{_SUFFIX_A} and {_PREFIX}<module>{_SUFFIX_B} of linear layers",
            tensor=name,
        )
    path = stem.removeprefix(_PREFIX)
    if path not in shapes:
        nearest = difflib.get_close_matches(path, shapes, n=1, cutoff=0.0)
        hint = f"; the nearest is {nearest[0]}" if nearest else ""
        raise AdapterRefused(
            f"{WEIGHTS_FILE}: the base has no linear layer {path} to adapt{hint}", tensor=name
        )
    return path


def _checked_rank(path: str, rank: int, max_rank: int) -> int:
    if rank > max_rank:
        raise AdapterRefused(
            f"{path} has rank {rank}; this engine serves ranks up to {max_rank} (raise max_rank to serve it)",
            max_rank=str(max_rank),
        )
    return rank


def _check_header(name: str, header: Header, expected: list[int]) -> None:
    shape = list(header.get_shape())
    rank_axis = 0 if name.endswith(_SUFFIX_A) else 1
    if len(shape) != 2 or shape[1 - rank_axis] != expected[1 - rank_axis]:
        raise AdapterRefused(
            f"{WEIGHTS_FILE}: {name} has the shape {shape}; this base needs {expected}", tensor=name
        )
    if shape[rank_axis] != expected[rank_axis]:
        raise AdapterCorrupt(
            f"{WEIGHTS_FILE}: {name} has rank {shape[rank_axis]}, but the manifest gives "
            f"{expected[rank_axis]} to this module",
            tensor=name,
        )
    if header.get_dtype() not in STORED_DTYPES:
        raise AdapterRefused(
            f"{WEIGHTS_FILE}: {name} is stored as {header.get_dtype()}; "
            f"supported: {', '.join(STORED_DTYPES)}",
            tensor=name,
        )
