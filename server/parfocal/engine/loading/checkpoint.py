"""Refuses weights that are not the base's: missing, misshapen or broken tensors, each by name."""

import json
import logging
import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from bitsandbytes.nn.modules import Linear4bit
from safetensors import SafetensorError, safe_open
from torch import nn

from parfocal.engine.errors import BaseRefused

log = logging.getLogger(__name__)

_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_NAMED = 6
# Tables that older releases saved and newer ones compute.
_COMPUTED = ".rotary_emb.inv_freq"


def check_files(folder: Path, dtype: torch.dtype) -> None:
    """Reads every tensor once.

    Raises:
        BaseRefused: a file is missing or damaged, or a tensor holds NaN, infinity, or more than `dtype` can.
    """
    for path in _weight_files(folder):
        try:
            _check_finite(path, dtype)
        except (SafetensorError, OSError) as error:
            raise BaseRefused(f"{path} cannot be read ({error}); download it again") from error


def check_report(folder: Path, report: Mapping[str, Collection[Any]]) -> None:
    """Checks transformers' loading report; missing tensors would be filled with random numbers.

    Raises:
        BaseRefused: the weights lack a tensor, or have one of another shape.
    """
    missing = sorted(str(name) for name in report["missing_keys"])
    misshapen = sorted(str(entry[0]) for entry in report["mismatched_keys"])
    if missing:
        raise BaseRefused(
            f"the weights in {folder} lack {_listed(missing)}; the base is incomplete: download it again",
            field=missing[0],
        )
    if misshapen:
        raise _misshapen(folder, misshapen)
    unused = sorted(str(name) for name in report["unexpected_keys"] if not str(name).endswith(_COMPUTED))
    if unused:
        log.warning("%s has no place for %s; ignored", folder / "config.json", _listed(unused))


def check_linears(folder: Path, model: nn.Module) -> None:
    """Checks what the report omits: each 4-bit linear's own shape and recipe.

    Raises:
        BaseRefused: a linear has another shape than the configuration says, or is not in NF4 with double
            quantisation.
    """
    misshapen = []
    for path, linear in model.named_modules():
        if not isinstance(linear, Linear4bit):
            continue
        weight: Any = linear.weight
        state = weight.quant_state
        if tuple(state.shape) != (linear.out_features, linear.in_features):
            misshapen.append(f"{path}.weight")
        if state.quant_type != "nf4" or not state.nested:
            raise BaseRefused(
                f"{path} in {folder} is stored as {state.quant_type}"
                f"{'' if state.nested else ' without double quantisation'}; "
                "only NF4 with double quantisation is served: give the base that is not quantised",
                field=path,
            )
    if misshapen:
        raise _misshapen(folder, misshapen)


def _weight_files(folder: Path) -> tuple[Path, ...]:
    """Names the files that transformers will read; raises BaseRefused unless all are there."""
    if (folder / _SINGLE).is_file() or not (folder / _INDEX).is_file():
        files: tuple[Path, ...] = (folder / _SINGLE,)
    else:
        try:
            shards = json.loads((folder / _INDEX).read_bytes())["weight_map"].values()
            files = tuple(folder / str(name) for name in sorted(set(shards)))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise BaseRefused(f"{folder / _INDEX} does not list the weights: {error!r}") from error
    absent = [path.name for path in files if not path.is_file()]
    if absent:
        raise BaseRefused(
            f"{folder} lacks {_listed(absent)}; a base needs all its weights as safetensors", field=absent[0]
        )
    return files


def _check_finite(path: Path, dtype: torch.dtype) -> None:
    for name, tensor in _tensors(path):
        if not tensor.is_floating_point() or not tensor.numel() or tensor.element_size() < 2:
            continue
        # One pass without a copy: a NaN anywhere becomes both minimum and maximum.
        least, most = (float(end) for end in torch.aminmax(tensor))
        if not (math.isfinite(least) and math.isfinite(most)):
            bad = int((~torch.isfinite(tensor)).sum())
            raise BaseRefused(
                f"tensor {name} in {path} holds {bad} values that are NaN or infinite, so no answer could be "
                "right; download it again, or save it in a wider type",
                field=name,
            )
        if max(-least, most) > torch.finfo(dtype).max:
            raise BaseRefused(
                f"tensor {name} in {path} holds {max(-least, most):g}, too large for {dtype}; "
                "serve with --dtype float32 or bfloat16",
                field=name,
            )


def _tensors(path: Path) -> Iterator[tuple[str, torch.Tensor]]:
    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118  not a mapping
            yield name, file.get_tensor(name)


def _misshapen(folder: Path, names: list[str]) -> BaseRefused:
    return BaseRefused(
        f"the weights in {folder} do not have the shapes that its config.json gives them: {_listed(names)}; "
        "the files are of two different bases",
        field=names[0],
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
