"""Keeps a loaded base's tensors on disk, so that the next start neither quantises nor repacks.

An entry is a folder that appears whole or not at all, and is used only if its bytes are intact. Knows no
models: `frozen_model` turns one into tensors and back.
"""

import contextlib
import json
import logging
import os
import tempfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from parfocal.engine.base_cache import SEAL, BaseCache

log = logging.getLogger(__name__)

_TENSORS = "model.safetensors"
_CHUNK = 1 << 24
# The library reports a full disk, a quota and a file that it cannot map in an error of its own.
_REFUSALS = (OSError, SafetensorError)


@dataclass(frozen=True, slots=True)
class Frozen:
    """A model as tensors by name, and notes on how to put them together."""

    tensors: Mapping[str, torch.Tensor]
    notes: Mapping[str, Any]


def weight_facts(folder: Path) -> dict[str, object]:
    """What identifies the weights in `folder` without reading them.

    It includes each file's ctime: unlike mtime, no tool sets it back.
    """
    files = []
    for path in sorted(folder.glob("*.safetensors*")):
        state = path.stat()
        files.append([path.name, str(path.resolve()), state.st_size, state.st_mtime_ns, state.st_ctime_ns])
    return {"files": files, "config": sha256((folder / "config.json").read_bytes()).hexdigest()}


class CacheEntry:
    """One base in a cache, named by the digest of everything that its tensors depend on."""

    def __init__(self, cache: BaseCache, facts: Mapping[str, object]) -> None:
        self._facts = json.dumps(facts, sort_keys=True)
        self._cache = cache
        self._key = sha256(self._facts.encode()).hexdigest()
        self.folder = cache.root / self._key

    def read(self, device: torch.device) -> Frozen | None:
        """The entry with its tensors on `device`, marked as in use; None if there is none.

        A corrupt one is moved aside, one that the disk does not give is left; both with a warning, and count
        as none.
        """
        try:
            found = self._found(device)
        except FileNotFoundError:  # another process found it corrupt too, and was faster
            return None
        except _REFUSALS as error:
            log.warning(
                "cannot read cached base %s: %s; loading the base without it; if it happens again, remove it",
                self.folder,
                error,
            )
            return None
        if found is not None:
            self._make_room()
        return found

    def write(self, frozen: Frozen) -> None:
        """Saves the entry unless another process has; a disk that refuses causes only a warning."""
        root = self._cache.root
        try:
            root.mkdir(parents=True, exist_ok=True)
            self._cache.sweep()
            with tempfile.TemporaryDirectory(prefix=".new-", dir=root, ignore_cleanup_errors=True) as new:
                self._fill(Path(new), frozen)
                with contextlib.suppress(FileExistsError):
                    _rename(Path(new), self.folder)
        except _REFUSALS as error:
            log.warning("cannot write base cache %s: %s; the next start takes as long", root, error)
            return
        self._cache.use(self._key)
        self._make_room()

    def _found(self, device: torch.device) -> Frozen | None:
        if not self._cache.use(self._key) and not self.folder.is_dir():
            return None
        fault = self._fault()
        if fault:
            log.warning("cached base %s is corrupt (%s); rebuilding", self.folder, fault)
            self._discard()
            return None
        return self._tensors(device)

    def _make_room(self) -> None:
        try:
            self._cache.make_room()
        except OSError as error:
            log.warning("cannot keep %s within its size: %s", self._cache.root, error)

    def _tensors(self, device: torch.device) -> Frozen:
        with safe_open(self.folder / _TENSORS, framework="pt") as file:
            names, notes = file.keys(), json.loads(file.metadata()["notes"])
            # Copied out of the mapped file: the kernels need aligned numbers, and the file may vanish.
            tensors = {name: file.get_tensor(name).clone().to(device) for name in names}
        return Frozen(tensors, notes)

    def _fill(self, new: Path, frozen: Frozen) -> None:
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in frozen.tensors.items()}
        save_file(tensors, new / _TENSORS, {"notes": json.dumps(frozen.notes)})
        size, checksum = _sum(new / _TENSORS)
        facts = json.loads(self._facts)
        seal = {"size": size, "crc32": checksum, "base": self._cache.label, "facts": facts}
        (new / SEAL).write_text(json.dumps(seal, indent=1))
        for path in (new / _TENSORS, new / SEAL, new):
            _sync(path)

    def _fault(self) -> str:
        """What is wrong with the entry, empty if it is intact; raises OSError if it cannot tell."""
        try:
            seal = json.loads((self.folder / SEAL).read_bytes())
            expected = seal["size"], seal["crc32"]
            found = _sum(self.folder / _TENSORS)
        except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
            return repr(error)
        return "" if found == expected else f"size and checksum are {found}, not {expected}"

    def _discard(self) -> None:
        with contextlib.suppress(OSError):
            self._cache.discard(self._key)


def _rename(new: Path, folder: Path) -> None:
    """Moves a finished entry into place; raises FileExistsError if another process was first."""
    try:
        new.rename(folder)
    except OSError as error:
        if folder.is_dir():
            raise FileExistsError(str(folder)) from error
        raise
    _sync(folder.parent)


def _sum(path: Path) -> tuple[int, int]:
    """The file's size and CRC-32, which finds damage eight times as fast as SHA-256."""
    size = checksum = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            size, checksum = size + len(chunk), zlib.crc32(chunk, checksum)
    return size, checksum


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
