"""Serves a base whose cache's disk takes nothing: `python -m fakes.engine.cache_trouble TROUBLE BASE FOLDER`.

All but `limited` mount something, so they must run in a mount namespace of their own (`unshare -m`).
What happened is printed as one line of JSON.
"""

import json
import logging
import resource
import signal
import subprocess
import sys
from pathlib import Path

from fakes.engine.folder_source import FolderSource
from oracle.engines import run_all
from parfocal.engine import BaseCache, EngineConfig, Request, Stop
from parfocal.engine.loading import build_engine, load_base


def limited(disk: Path) -> None:
    """Lets no file grow beyond 4 KiB."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))


def full(disk: Path) -> None:
    """Puts a disk of 64 KiB there."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], check=True)


def read_only(disk: Path) -> None:
    """Makes the disk read-only."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(disk)], check=True)


class _Warnings(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def _main(trouble: str, base: Path, folder: Path) -> None:
    disk = folder / "disk"
    disk.mkdir()
    config = EngineConfig(device="cpu", dtype="float32", kv_cache_bytes=1 << 22)
    {"limited": limited, "full": full, "read_only": read_only}[trouble](disk)
    warnings = _Warnings()
    logging.getLogger("parfocal.engine.loading").addHandler(warnings)
    cache = BaseCache(disk / "bases")
    engine = build_engine(load_base(base, config, cache=cache), config, FolderSource({}))
    done = run_all(engine, [Request("q", (1, 2), stop=Stop(3, ignore_eos=True))])
    engine.close()
    left = [path.name for path in cache.root.iterdir()] if cache.root.is_dir() else []
    told = {"tokens": len(done.tokens["q"]), "warnings": warnings.said, "left": left}
    print(json.dumps(told))


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
