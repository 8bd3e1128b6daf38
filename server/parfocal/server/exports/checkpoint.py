"""The safetensors files of a base: which there are, and where in them each adapted weight lies."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from parfocal.registry import TargetModule
from parfocal.registry.peft import SafetensorsHeader, TensorSpan, read_header
from parfocal.server.errors import ExportRefused

INDEX_FILE = "model.safetensors.index.json"
_SINGLE = "model.safetensors"
_LAYERS = "layers."
DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class Place:
    """Where the weight of an adapted linear lies: its tensor's name and its bytes in a file."""

    target: TargetModule
    tensor: str
    span: TensorSpan

    @property
    def dtype(self) -> torch.dtype:
        """What its numbers are."""
        return DTYPES[self.span.dtype]


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of a base, and the adapted weights in it in the order of their bytes."""

    path: Path
    size: int
    places: tuple[Place, ...]


def shards_of(folder: Path, targets: Sequence[TargetModule]) -> tuple[Shard, ...]:
    """Every file of the weights in `folder`, and where each target is.

    Raises ExportRefused where a file is missing, or a target is nowhere, in two places, or of another shape
    or type than a plain linear; MalformedFile and OSError.
    """
    headers = {path: _header(path) for path in weight_files(folder)}
    files = {name: path for path, header in headers.items() for name in header.tensors}
    found: dict[Path, list[Place]] = defaultdict(list)
    for target in targets:
        name = _tensor_of(target, files)
        path = files[name]
        found[path].append(_checked(Place(target, name, headers[path].tensors[name]), path))
    return tuple(
        Shard(path, header.file_bytes, tuple(sorted(found[path], key=lambda place: place.span.begin)))
        for path, header in headers.items()
    )


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The files of the weights as transformers chooses them; raises ExportRefused unless all are there."""
    if (folder / _SINGLE).is_file():
        return (folder / _SINGLE,)
    try:
        named = json.loads((folder / INDEX_FILE).read_bytes())["weight_map"].values()
        files = tuple(folder / Path(str(name)).name for name in sorted(set(named)))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ExportRefused(
            f"{folder} has neither {_SINGLE} nor a {INDEX_FILE} that can be read; give a base with its "
            "weights as safetensors, with --base",
            field="base",
        ) from error
    absent = [path.name for path in files if not path.is_file()]
    if absent:
        raise ExportRefused(
            f"{folder} lacks {absent[0]} and {len(absent) - 1} more of its weights; download the base again",
            field="base",
        )
    return files


def _header(path: Path) -> SafetensorsHeader:
    with path.open("rb") as file:
        return read_header(file, path.name)


def _tensor_of(target: TargetModule, files: Mapping[str, Path]) -> str:
    """The name of a target's weight; a base of text and images may store its decoder under another path."""
    name = f"{target.path}.weight"
    if name in files:
        return name
    end = f".{_LAYERS}{target.path.partition(_LAYERS)[2]}.weight"
    others = [each for each in files if each.endswith(end)]
    if len(others) == 1:
        return others[0]
    raise ExportRefused(
        f"the base's weights hold {'no' if not others else 'several a'} {name}"
        f"{'' if not others else f' ({others[0]}, {others[1]})'}, so nothing can be merged into it",
        field=target.path,
    )


def _checked(place: Place, path: Path) -> Place:
    target, span = place.target, place.span
    if span.dtype not in DTYPES:
        raise ExportRefused(
            f"{place.tensor} in {path.name} is stored as {span.dtype}; an adapter is merged into 16-bit or "
            "32-bit weights: give the base that was not quantised, with --base",
            field=target.path,
        )
    if span.shape != (target.out_features, target.in_features):
        raise ExportRefused(
            f"{place.tensor} in {path.name} has the shape {list(span.shape)}; the adapter changes one of "
            f"{[target.out_features, target.in_features]}",
            field=target.path,
        )
    return place
