"""Reads a PEFT folder for publishing: which files count, which are refused, and what the adapter is.

Opens nothing but `adapter_config.json` and `adapter_model.safetensors`, and never follows a link.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from parfocal.registry.bases import check_module
from parfocal.registry.errors import AdapterRefused, MalformedFile, PickleRefused
from parfocal.registry.peft.config import PeftConfig, read_peft_config
from parfocal.registry.peft.idle_modules import idle_warnings
from parfocal.registry.peft.lora_tensors import LoraModule, read_modules
from parfocal.registry.peft.safetensors_header import SafetensorsHeader, read_header
from parfocal.registry.values import CONFIG_FILE, WEIGHTS_FILE, BaseShape

MAX_CONFIG_BYTES = 1 << 20
MAX_WEIGHTS_BYTES = 16 << 30

_MAX_OTHER_BYTES = 64 << 20
_MAX_ENTRIES = 1000
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz")


@dataclass(frozen=True, slots=True)
class PeftFolder:
    """A folder that can be published: its configuration, its modules and what was noticed about them."""

    path: Path
    config: PeftConfig
    header: SafetensorsHeader
    modules: tuple[LoraModule, ...]
    warnings: tuple[str, ...]


def read_peft_folder(path: Path, shape: BaseShape | None = None) -> PeftFolder:
    """Returns what a PEFT folder holds, checked against the base's `shape` where it is known.

    Raises AdapterRefused (MalformedFile, PickleRefused, UnsupportedAdapter, ContractMismatch) and OSError.
    """
    check_files(path)
    config = read_config(path)
    with open_regular(path / WEIGHTS_FILE, MAX_WEIGHTS_BYTES) as file:
        header = read_header(file, WEIGHTS_FILE)
        modules = read_modules(header, config)
        for module in modules:
            check_module(module.target, shape)
        return PeftFolder(path, config, header, modules, idle_warnings(file, modules))


def read_config(path: Path) -> PeftConfig:
    """Returns the configuration of a PEFT folder, for instance to learn which base it names."""
    with open_regular(path / CONFIG_FILE, MAX_CONFIG_BYTES) as file:
        return read_peft_config(file.read())


def check_files(path: Path) -> None:
    """Raises AdapterRefused when the folder holds a link, a pickle, other weights or a big unexpected file.

    Small files beside the adapter (a card, a tokenizer) and subfolders are left where they are.
    """
    if not path.is_dir():
        raise AdapterRefused(
            f"{path} is not a folder; give the folder that PEFT's save_pretrained wrote", field="folder"
        )
    with os.scandir(path) as entries:
        for count, entry in enumerate(entries):
            if count >= _MAX_ENTRIES:
                raise AdapterRefused(
                    f"{path} holds more than {_MAX_ENTRIES} files; publish the adapter's folder alone"
                )
            _check_entry(entry)


@contextmanager
def open_regular(path: Path, max_bytes: int) -> Iterator[BinaryIO]:
    """Opens a regular file of at most `max_bytes` that is no link; raises AdapterRefused or OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise AdapterRefused(
            f"{path.parent} has no {path.name}; a PEFT folder holds {CONFIG_FILE} and {WEIGHTS_FILE}",
            field=path.name,
        ) from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _link(path.name) from error
        raise
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise AdapterRefused(f"{path.name} is not a regular file", field=path.name)
        if status.st_size > max_bytes:
            raise MalformedFile(
                f"{path.name} is {status.st_size} bytes long; at most {max_bytes} are accepted",
                field=path.name,
            )
        yield file


def _check_entry(entry: os.DirEntry[str]) -> None:
    name = entry.name
    if entry.is_symlink():
        raise _link(name)
    if name in (CONFIG_FILE, WEIGHTS_FILE) or entry.is_dir(follow_symlinks=False):
        return
    if name.lower().endswith(_PICKLES):
        raise PickleRefused(
            f"{name[:200]!a} is a pickle (or may hold one), which runs code when opened; publish a folder "
            f"without it, with the weights in {WEIGHTS_FILE}",
            field=name[:200],
        )
    if name.lower().endswith((".safetensors", ".safetensors.index.json", ".gguf", ".h5")):
        raise AdapterRefused(
            f"{name[:200]!a} holds other weights; an adapter is one file, {WEIGHTS_FILE}", field=name[:200]
        )
    if entry.stat(follow_symlinks=False).st_size > _MAX_OTHER_BYTES:
        raise AdapterRefused(
            f"{name[:200]!a} is over {_MAX_OTHER_BYTES >> 20} MiB and no part of a PEFT adapter; remove it",
            field=name[:200],
        )


def _link(name: str) -> AdapterRefused:
    return AdapterRefused(
        f"{name[:200]!a} is a symbolic link, which is not followed; copy the folder with cp -rL first",
        field=name[:200],
    )
