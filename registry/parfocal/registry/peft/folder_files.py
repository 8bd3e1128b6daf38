"""Opens the two files of a PEFT folder, and says what another kind of folder is.

Whatever else lies there (cards, tokenizers, optimizers and schedules of a training, files of macOS) is never
opened. No link is followed, except those of the Hub's cache.
"""

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from parfocal.registry.errors import AdapterRefused, MalformedFile, PickleRefused
from parfocal.registry.peft.fields import CONVERT_MLX
from parfocal.registry.values import CONFIG_FILE, WEIGHTS_FILE

_MAX_ENTRIES = 1000
_HUB_BLOB = re.compile(r"\.\./\.\./blobs/(?P<name>[0-9a-f]{40,64})")
_HOW_TO_SAVE = f"save it with save_pretrained(folder), which writes {WEIGHTS_FILE}"

_PICKLE = f"a pickle, which runs code when opened; {_HOW_TO_SAVE}"
# What the weights of a folder without adapter_model.safetensors are: the pattern of a file's name, whether
# opening it would run code, what it is and what to do.
_OTHERS: tuple[tuple[str, bool, str], ...] = (
    (r"(\d+_)?adapters\.(safetensors|npz)", False, f"an MLX adapter; {CONVERT_MLX}"),
    (r"adapter_model.*\.(bin|pt|pth)", True, _PICKLE),
    (r"adapter_model-\d+-of-\d+\.safetensors|adapter_model\.safetensors\.index\.json", False,
     "a part of weights that are split over several files; save them as one file"),
    (r"adapter.*\.(pt|pth|ckpt|pkl)", True, _PICKLE),
    (r".*\.gguf", False, "a llama.cpp file; publish the PEFT folder that it was converted from"),
    (r"(model|pytorch_model|consolidated|diffusion_pytorch_model).*\.(safetensors|bin|pth)", False,
     "a whole model; adapters are published, merged models are not"),
    (r"lora.*\.(pt|pth|bin|ckpt)|.*\.(pkl|ckpt)", True, _PICKLE),
    (r".*\.safetensors", False,
     f"a file of weights under another name; rename it to {WEIGHTS_FILE} if it is the adapter"),
)  # fmt: skip


def check_files(path: Path) -> None:
    """Raises AdapterRefused, saying what the folder is, unless it holds an adapter's two files."""
    check_is_folder(path)
    missing = [name for name in (WEIGHTS_FILE, CONFIG_FILE) if not os.path.lexists(path / name)]
    if WEIGHTS_FILE in missing:
        check_kind(_names(path), str(path))
    if missing:
        raise AdapterRefused(
            f"{path} has no {missing[0]}; a PEFT folder holds {CONFIG_FILE} and {WEIGHTS_FILE}{_hint(path)}",
            field=missing[0],
        )


def check_is_folder(path: Path) -> None:
    """Raises AdapterRefused if no folder is there."""
    if not path.is_dir():
        fault = f"{path} is not a folder" if os.path.lexists(path) else f"there is no folder {path}"
        raise AdapterRefused(f"{fault}; give the folder that PEFT's save_pretrained wrote", field="folder")


def check_kind(names: Iterable[str], where: str) -> None:
    """Raises AdapterRefused, saying what they are, if files are the weights of something else."""
    held = list(names)
    for pattern, runs_code, what in _OTHERS:
        for name in held:
            if re.fullmatch(pattern, name, re.IGNORECASE):
                error = PickleRefused if runs_code else AdapterRefused
                raise error(f"{where} has no {WEIGHTS_FILE}; its {name[:200]!a} is {what}", field=name[:200])


@contextmanager
def open_regular(path: Path, max_bytes: int) -> Iterator[BinaryIO]:
    """Opens a regular file of at most `max_bytes` that is no link; raises AdapterRefused or OSError."""
    try:
        descriptor = _opened(path)
    except FileNotFoundError as error:
        raise AdapterRefused(f"{path.parent} has no {path.name}", field=path.name) from error
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


def _opened(path: Path) -> int:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        return os.open(path, flags)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        blob = _hub_blob(path)
        if blob is not None:
            return os.open(blob, flags)
        raise AdapterRefused(
            f"{path.name} is a symbolic link, which is not followed; copy the folder with cp -rL first",
            field=path.name,
        ) from error


def _hub_blob(path: Path) -> Path | None:
    """The file behind a link of the Hub's cache: `snapshots/<commit>/<name>` to `blobs/<digest>`."""
    folder = path.parent.absolute()
    match = _HUB_BLOB.fullmatch(os.readlink(path))
    if match is None or folder.parent.name != "snapshots":
        return None
    return folder.parent.parent / "blobs" / match["name"]


def _hint(path: Path) -> str:
    """Where the adapter may be instead: in a checkpoint, or in the folder of an archive."""
    inside = [name for name in _names(path) if (path / name / WEIGHTS_FILE).is_file()]
    return f"; {path / max(inside, key=_checkpoint)} has both" if inside else ""


def _checkpoint(name: str) -> tuple[int, str]:
    number = name.rpartition("-")[2]
    return (int(number) if number.isdecimal() and len(number) < 12 else -1, name)


def _names(path: Path) -> list[str]:
    """The names in a folder, sorted, without those that macOS adds."""
    with os.scandir(path) as entries:
        names = [entry.name for entry in islice(entries, _MAX_ENTRIES)]
    return sorted(name for name in names if not name.startswith("._") and name != "__MACOSX")
