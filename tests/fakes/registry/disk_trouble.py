"""Troubles of real disks, a process each: `python -m fakes.registry.disk_trouble TROUBLE FOLDER`.

All but `limited` mount something, so they must run in a mount namespace of their own (`unshare -m`).
What happened is printed as one line of JSON.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from fakes.registry.publisher import Order, numbered_adapter, publisher, small_publication
from parfocal.registry import FolderRegistry, RegistryError, back_up


def read_only(folder: Path) -> dict[str, object]:
    """Reads from and writes to the registry in `folder/registry`, whose mount is made read-only."""
    path = folder / "registry"
    _run("mount", "--bind", str(path), str(path))
    _run("mount", "-o", "remount,bind,ro", str(path))
    registry = FolderRegistry(path, cache=folder / "cache")
    adapter, publication = numbered_adapter(folder, 7), small_publication(folder)
    versions = registry.versions("x").items
    return {
        "versions": [version.version for version in versions],
        "files": len([*registry.materialise(versions[0].digest).iterdir()]),
        "publish": refusal(lambda: registry.publish("x", adapter, publication)),
        "alias": refusal(lambda: registry.set_alias("x", "prod", 1)),
        "delete": refusal(lambda: registry.delete_version("x", 1)),
        "gc": refusal(lambda: registry.collect_garbage()),
        "backup": back_up(registry, folder / "copy").versions,
        "new": refusal(lambda: FolderRegistry(path / "new")),
    }


def full(folder: Path) -> dict[str, object]:
    """Publishes into a disk of half a megabyte until it is full, then makes room and goes on."""
    disk = folder / "disk"
    disk.mkdir()
    _run("mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk))
    ballast = disk / "ballast"
    return _fill(folder, disk, lambda: ballast.write_bytes(bytes(96 << 10)), ballast.unlink)


def limited(folder: Path) -> dict[str, object]:
    """Publishes while no file may grow beyond 300 bytes, then goes on without the limit."""
    disk = folder / "disk"
    disk.mkdir()

    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    return _fill(folder, disk, lambda: limit(300), lambda: limit(resource.RLIM_INFINITY))


def packed(folder: Path) -> dict[str, object]:
    """Opens and uses a registry whose disk has not a page left, nor has a second disk for local copies."""
    disk, small = folder / "disk", folder / "small"
    for path, size in ((disk, "1500k"), (small, "64k")):
        path.mkdir()
        _run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path))
    path, publication = disk / "registry", small_publication(folder)
    registry = FolderRegistry(path)
    adapters = [numbered_adapter(folder, number) for number in range(14)]
    digests = [registry.publish("x", each, publication).digest for each in adapters[:12]]
    for digest in digests[:10]:
        registry.materialise(digest)
    registry.set_alias("x", "prod", 1)
    del registry
    for full_disk in (disk, small):
        _pack(full_disk)
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    registry, adapter = FolderRegistry(path), adapters[13]
    elsewhere = FolderRegistry(path, cache=small / "cache")
    happened: dict[str, object] = {
        "versions": [version.version for version in registry.versions("x").items],
        "prod": registry.resolve("x@prod").version,
        "copy": str(registry.materialise(digests[10]).relative_to(folder)),
        "publish": refusal(lambda: registry.publish("x", adapter, publication)),
        "alias": refusal(lambda: registry.set_alias("x", "prod", 2)),
        "delete": refusal(lambda: registry.delete_version("x", 3)),
        "named": said(lambda: registry.set_alias("x", "prod", 2)),
        "cache named": said(lambda: elsewhere.materialise(digests[11])),
        "freed": registry.collect_garbage(copies=True).freed_bytes > 0,
    }
    registry.delete_version("x", 3)
    registry.collect_garbage()
    (disk / "ballast").unlink()
    happened["after"] = registry.publish("x", adapter, publication).version
    return happened


def crammed(folder: Path) -> dict[str, object]:
    """Everything is on one disk, which is full, and a killed process left commits in the -wal file."""
    disk = folder / "disk"
    disk.mkdir()
    _run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk))
    path = disk / "registry"
    with publisher() as process:
        process.begin(Order(str(path), "x", first=0, count=3, dies=True))
        process.end()
    (path / "index.sqlite-shm").unlink()
    held = [path.stat().st_size for path in path.glob("index.sqlite-wal")]
    for variable in ("TMPDIR", "XDG_CACHE_HOME"):
        os.environ[variable] = str(disk)
    tempfile.tempdir = None
    _pack(disk)
    registry = FolderRegistry(path)
    versions = registry.versions("x").items
    return {
        "commits waited": held[0] > 0,
        "versions": [version.version for version in versions],
        "publish": refusal(lambda: registry.set_alias("x", "prod", 1)),
        "copy": refusal(lambda: registry.materialise(versions[0].digest)),
        "gc": registry.collect_garbage().freed_bytes,
    }


def _pack(disk: Path) -> None:
    """Fills a disk to its last byte."""
    with (disk / "ballast").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def _fill(
    folder: Path, disk: Path, tighten: Callable[[], object], loosen: Callable[[], object]
) -> dict[str, object]:
    """Publishes until that is refused, and once more after `loosen`."""
    registry = FolderRegistry(disk / "registry")
    publication = small_publication(folder)
    adapters = [numbered_adapter(folder, number) for number in range(400)]
    registry.publish("x", adapters[0], publication)
    tighten()
    refusals = (refusal(partial(registry.publish, "x", adapter, publication)) for adapter in adapters[1:])
    first = next(filter(None, refusals), "")
    left = sorted(path.name for path in (disk / "registry" / "staging").iterdir())
    loosen()
    before = len(registry.versions("x", 1000).items)
    after = registry.publish("x", numbered_adapter(folder, 999), publication).version
    registry = FolderRegistry(disk / "registry", cache=folder / "cache")
    verified = sum(registry.materialise(v.digest).is_dir() for v in registry.versions("x", 1000).items)
    return {"refusal": first, "left": left, "before": before, "after": after, "verified": verified}


def refusal(call: Callable[[], object]) -> str:
    try:
        call()
    except RegistryError as error:
        return f"{error.status} {error.reason}"
    return ""


def said(call: Callable[[], object]) -> str:
    """What a refusal says."""
    try:
        call()
    except RegistryError as error:
        return str(error)
    return ""


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


if __name__ == "__main__":
    troubles = (read_only, full, limited, packed, crammed)
    trouble = {each.__name__: each for each in troubles}[sys.argv[1]]
    print(json.dumps(trouble(Path(sys.argv[2]))))
