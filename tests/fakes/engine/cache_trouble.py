"""Serves a base whose cache's disk takes nothing.

`python -m fakes.engine.cache_trouble BASE FOLDER TROUBLE…`: all but `limited` mount something, so they must
run in a mount namespace of their own (`unshare -m`). What happened in each is printed as one line of JSON.
"""

import json
import logging
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fakes.engine.folder_source import FolderSource
from oracle.engines import run_all
from parfocal.engine import BaseCache, EngineConfig, Request, Stop
from parfocal.engine.loading import build_engine, load_base


@contextmanager
def limited(disk: Path) -> Iterator[None]:
    """Lets no file grow beyond 4 KiB."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Puts a disk of 64 KiB there."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=True)
    yield


@contextmanager
def read_only(disk: Path) -> Iterator[None]:
    """Makes the disk read-only."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(disk)], check=True)
    yield


class _Warnings(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


_TROUBLES = {"limited": limited, "full": full, "read_only": read_only}


def _happened(base: Path, root: Path) -> dict[str, object]:
    """Serves the base once, with its cache at `root`."""
    config = EngineConfig(device="cpu", dtype="float32", kv_cache_bytes=1 << 22)
    log, warnings = logging.getLogger("parfocal.engine.loading"), _Warnings()
    log.addHandler(warnings)
    cache = BaseCache(root)
    engine = build_engine(load_base(base, config, cache=cache), config, FolderSource({}))
    done = run_all(engine, [Request("q", (1, 2), stop=Stop(3, ignore_eos=True))])
    engine.close()
    log.removeHandler(warnings)
    left = [path.name for path in root.iterdir()] if root.is_dir() else []
    return {"root": str(root), "tokens": len(done.tokens["q"]), "warnings": warnings.said, "left": left}


def _main(base: Path, folder: Path, *troubles: str) -> None:
    for name in troubles:
        disk = folder / name
        disk.mkdir()
        with _TROUBLES[name](disk):
            happened = _happened(base, disk / "bases")
        print(json.dumps(happened))


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
