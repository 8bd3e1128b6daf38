"""Troubles of real disks, each in a process of its own: `python -m fakes.disk_trouble TROUBLE FOLDER`.

`read_only` and `full` mount something, so they must run in a mount namespace of their own (`unshare -m`).
What happened is printed as one line of JSON.
"""

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from fakes.publisher import numbered_adapter, small_publication
from parfocal.registry import FolderRegistry, RegistryError


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
        "publish": _refusal(lambda: registry.publish("x", adapter, publication)),
        "alias": _refusal(lambda: registry.set_alias("x", "prod", 1)),
        "delete": _refusal(lambda: registry.delete_version("x", 1)),
        "gc": _refusal(lambda: registry.collect_garbage()),
        "new": _refusal(lambda: FolderRegistry(path / "new")),
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


def _fill(
    folder: Path, disk: Path, tighten: Callable[[], object], loosen: Callable[[], object]
) -> dict[str, object]:
    """Publishes until that is refused, and once more after `loosen`."""
    registry = FolderRegistry(disk / "registry")
    publication = small_publication(folder)
    adapters = [numbered_adapter(folder, number) for number in range(400)]
    registry.publish("x", adapters[0], publication)
    tighten()
    refusals = (_refusal(partial(registry.publish, "x", adapter, publication)) for adapter in adapters[1:])
    refusal = next(filter(None, refusals), "")
    left = sorted(path.name for path in (disk / "registry" / "staging").iterdir())
    loosen()
    before = len(registry.versions("x", 1000).items)
    after = registry.publish("x", numbered_adapter(folder, 999), publication).version
    registry = FolderRegistry(disk / "registry", cache=folder / "cache")
    verified = sum(registry.materialise(v.digest).is_dir() for v in registry.versions("x", 1000).items)
    return {"refusal": refusal, "left": left, "before": before, "after": after, "verified": verified}


def _refusal(call: Callable[[], object]) -> str:
    try:
        call()
    except RegistryError as error:
        return f"{error.status} {error.reason}"
    return ""


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


if __name__ == "__main__":
    trouble = {"read_only": read_only, "full": full, "limited": limited}[sys.argv[1]]
    print(json.dumps(trouble(Path(sys.argv[2]))))
