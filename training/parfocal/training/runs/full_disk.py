"""Recognises a full disk in what the libraries that write checkpoints raise."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from parfocal.training.errors import DiskFull

_NUMBERS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_TEXTS = (
    "No space left on device",
    "File too large",
    "PytorchStreamWriter failed writing",
    "file write failed",
    # torch.save into a stream that cannot take more, and its closing of the archive then
    "basic_ios::clear: iostream error",
    "unexpected pos",
)


@contextmanager
def full_disk_named(folder: Path, command: str = "train") -> Iterator[None]:
    """Raises DiskFull instead of what torch, safetensors or the system raise then, or at `ulimit -f`."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if not _is_full(error):
            raise
        raise DiskFull(
            f"no room left on the disk of {folder}, or for so large a file (ulimit -f); free some and go on "
            f"with: parfocal {command} --resume --output {folder}",
            field="output",
        ) from error


def _is_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in _NUMBERS:
        return True
    return any(text in str(error) for text in _TEXTS)
