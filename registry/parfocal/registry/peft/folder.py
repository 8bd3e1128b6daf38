"""Reads a PEFT folder for publishing: what the adapter is, and whether its weights are plausible."""

import mmap
from dataclasses import dataclass
from pathlib import Path

from parfocal.registry.bases import check_module
from parfocal.registry.disk import FileState
from parfocal.registry.peft.config import PeftConfig, read_peft_config
from parfocal.registry.peft.finite_weights import check_finite
from parfocal.registry.peft.folder_files import check_files, check_is_folder, open_regular
from parfocal.registry.peft.idle_modules import idle_warnings
from parfocal.registry.peft.lora_tensors import LoraModule, read_modules
from parfocal.registry.peft.missing_modules import missing_warnings
from parfocal.registry.peft.published_weights import PublishedWeights
from parfocal.registry.peft.safetensors_header import SafetensorsHeader, read_header
from parfocal.registry.peft.tensor_names import tensor_name
from parfocal.registry.values import CONFIG_FILE, WEIGHTS_FILE, BaseShape
from parfocal.v1.limits import CONFIG_BYTES, WEIGHTS_BYTES

MAX_CONFIG_BYTES = CONFIG_BYTES.most
MAX_WEIGHTS_BYTES = WEIGHTS_BYTES.most


@dataclass(frozen=True, slots=True)
class PeftFolder:
    """A folder that can be published: its configuration, its modules and what was noticed about them.

    `head` is what precedes the tensors in the file of weights, and `state` the file's before it was read.
    """

    path: Path
    config: PeftConfig
    header: SafetensorsHeader
    modules: tuple[LoraModule, ...]
    warnings: tuple[str, ...]
    head: bytes
    state: FileState

    @property
    def paths(self) -> dict[str, str]:
        """The path in the base of each module, by the path that it was trained at."""
        return {module.trained_path: module.target.path for module in self.modules}

    @property
    def weights(self) -> PublishedWeights:
        """The weights as they are published: under PEFT's own names for the base's modules."""
        names = {
            factor.name: tensor_name(module.target.path, side)
            for module in self.modules
            for side, factor in (("A", module.a), ("B", module.b))
        }
        return PublishedWeights.of(self.header, names)


def read_peft_folder(path: Path, shape: BaseShape | None = None) -> PeftFolder:
    """What a PEFT folder holds, checked against the base's `shape` where it is known.

    Raises AdapterRefused (MalformedFile, PickleRefused, UnsupportedAdapter, ContractMismatch) and OSError.
    """
    check_files(path)
    config = read_config(path)
    with open_regular(path / WEIGHTS_FILE, MAX_WEIGHTS_BYTES) as file:
        state = FileState.of(file)
        header = read_header(file, WEIGHTS_FILE)
        modules = read_modules(header, config, None if shape is None else shape.prefix)
        for module in modules:
            check_module(module.target, shape)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            check_finite(data, header.tensors.items())
            warnings = (
                *config.warnings,
                *_mapped(modules),
                *missing_warnings(modules, config, shape),
                *idle_warnings(data, modules),
            )
            head = data[: min(span.begin for span in header.tensors.values())]
    return PeftFolder(path, config, header, modules, warnings, head, state)


def _mapped(modules: tuple[LoraModule, ...]) -> tuple[str, ...]:
    moved = [module for module in modules if module.trained_path != module.target.path]
    if not moved:
        return ()
    old, new = moved[0].trained_path, moved[0].target.path
    return (f"modules were mapped to the base's names, such as {old} to {new}",)


def read_config(path: Path) -> PeftConfig:
    """The configuration of a PEFT folder, for instance to learn which base it names.

    Raises what `read_peft_folder` raises of the configuration.
    """
    check_is_folder(path)
    with open_regular(path / CONFIG_FILE, MAX_CONFIG_BYTES) as file:
        return read_peft_config(file.read())
