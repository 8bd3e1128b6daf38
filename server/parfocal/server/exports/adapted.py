"""A version beside the base that it belongs to, and its matrices one module at a time."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from parfocal.registry import BaseContract, BaseFiles, Difference, TargetModule, Version, describe_base
from parfocal.server.errors import ExportRefused

_WEIGHTS = "adapter_model.safetensors"
_PREFIX = "base_model.model."
_REVISION = "base.revision"


@dataclass(frozen=True, slots=True)
class Adapted:
    """A version, the verified folder of its files, the base, and what was noticed when they met."""

    version: Version
    folder: Path
    base: BaseFiles
    config: Mapping[str, Any]
    cautions: tuple[str, ...]

    @property
    def targets(self) -> tuple[TargetModule, ...]:
        """The linears that the adapter changes."""
        return self.version.manifest.contract.targets

    def scale(self, target: TargetModule) -> float:
        """What B(A(x)) is multiplied by."""
        return target.scale(self.version.manifest.contract.use_rslora)

    @contextmanager
    def matrices(self) -> "Iterator[Matrices]":
        """Opens the adapter's weights; raises OSError."""
        with safe_open(self.folder / _WEIGHTS, framework="pt") as file:
            yield Matrices(file)


class Matrices:
    """The matrices of an open adapter, read as they are asked for."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def of(self, target: TargetModule) -> tuple[torch.Tensor, torch.Tensor]:
        """A `[rank, in_features]` and B `[out_features, rank]` in float32."""
        name = _PREFIX + target.path
        a: torch.Tensor = self._file.get_tensor(f"{name}.lora_A.weight")
        b: torch.Tensor = self._file.get_tensor(f"{name}.lora_B.weight")
        return a.float(), b.float()


def adapted_base(version: Version, folder: Path, base: BaseFiles) -> Adapted:
    """The version in `folder` beside a base that its contract is held against.

    Raises ExportRefused, with the field that differs, where the adapter was made for another; BaseUnreachable
    or BaseUnsupported.
    """
    wanted, found = version.manifest.contract.base, describe_base(base)
    differences = wanted.differences(found)
    if _is_stored_otherwise(wanted, found):
        differences = [each for each in differences if each.field != _REVISION]
    if differences:
        raise ExportRefused(
            f"{version} was made for another base than {base.id}: {differences[0]}; give the right one with "
            "--base",
            field=differences[0].field,
        )
    cautions = wanted.cautions(found)
    config = json.loads((base.folder / "config.json").read_bytes())
    return Adapted(version, folder, base, config, tuple(map(_sentence, cautions)))


def _is_stored_otherwise(wanted: BaseContract, found: BaseContract) -> bool:
    """Whether one is the 4-bit copy of the other: then neither weights nor revisions can be compared."""
    forms = {str(each.weights_fingerprint).partition(":")[0] for each in (wanted, found)}
    return None not in (wanted.weights_fingerprint, found.weights_fingerprint) and len(forms) == 2


def _sentence(difference: Difference) -> str:
    return f"the base is called otherwise than where the adapter was made: {difference}"
