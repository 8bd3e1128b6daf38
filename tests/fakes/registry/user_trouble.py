"""Troubles of users with each other, a process each: `python -m fakes.registry.user_trouble TROUBLE FOLDER`.

It becomes other users, so it must run as root. What happened is printed as one line of JSON.
"""

import fcntl
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from fakes.registry.disk_trouble import refusal, said
from fakes.registry.publisher import numbered_adapter, small_publication
from parfocal.registry import FolderRegistry, Publication, back_up, rebuild_folder
from parfocal.registry.blobs import FolderBlobs


def forbidden(folder: Path) -> dict[str, object]:
    """A user who may only read a registry, then may not even do that, and a blob that he may not read."""
    folder.chmod(0o755)
    path, publication = folder / "registry", small_publication(folder)
    registry = FolderRegistry(path)
    digests = [registry.publish("x", numbered_adapter(folder, n), publication).digest for n in (1, 2)]
    adapter = numbered_adapter(folder, 9)
    secret = FolderBlobs(path).path(registry.find(digests[1]).digest)
    config = FolderBlobs(path).path(registry.find(digests[1]).manifest.files[0].digest)
    config.chmod(0)
    del registry
    home = folder / "home"
    home.mkdir()
    home.chmod(0o777)

    def as_reader() -> dict[str, object]:
        os.environ["XDG_CACHE_HOME"] = str(home)
        registry = FolderRegistry(path)
        return {
            "versions": [version.version for version in registry.versions("x").items],
            "copy": str(registry.materialise(digests[0]).relative_to(folder)),
            "publish": refusal(lambda: registry.publish("x", adapter, publication)),
            "alias": refusal(lambda: registry.set_alias("x", "prod", 1)),
            "gc": refusal(registry.collect_garbage),
            "named": said(lambda: registry.set_alias("x", "prod", 1)),
            "blob": said(lambda: registry.materialise(digests[1])),
            "lock": _error(lambda: os.close(os.open(path / "lock", os.O_RDONLY))),
        }

    happened = as_user(4001, 4001, as_reader)
    path.chmod(0o700)
    shut = as_user(4001, 4001, lambda: {"shut": refusal(lambda: FolderRegistry(path, create=False))})
    return {**happened, **shut, "config": str(config), "manifest": str(secret)}


def backing_up(folder: Path) -> dict[str, object]:
    """A user who may only read a registry copies it."""
    folder.chmod(0o755)
    path, publication = folder / "registry", small_publication(folder)
    registry = FolderRegistry(path)
    for number in (1, 2):
        registry.publish("x", numbered_adapter(folder, number), publication)
    registry.set_alias("x", "prod", 1)
    del registry
    home = folder / "home"
    home.mkdir()
    home.chmod(0o777)

    def as_reader() -> dict[str, object]:
        os.environ["XDG_CACHE_HOME"] = str(home)
        copied = back_up(FolderRegistry(path), home / "copy")
        copy = FolderRegistry(home / "copy")
        return {
            "bad": len(copied.bad),
            "versions": [version.version for version in copy.versions("x").items],
            "prod": copy.resolve("x@prod").version,
            "sound": copy.verify().is_sound,
        }

    return as_user(4001, 4001, as_reader)


def shared(folder: Path) -> dict[str, object]:
    """Two users of one group publish into one registry, the first of whom is killed in the midst of it."""
    folder.chmod(0o755)
    path, publication = folder / "registry", small_publication(folder)
    path.mkdir()
    os.chown(path, 0, 4000)
    path.chmod(0o2775)
    adapters = [numbered_adapter(folder, number) for number in range(4)]
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")

    def publish(*numbers: int) -> dict[str, object]:
        registry = FolderRegistry(path)
        found = [registry.publish("x", adapters[number], publication) for number in numbers]
        return {"versions": [version.version for version in found]}

    def die() -> dict[str, object]:
        return _killed_while_publishing(path, adapters[1], publication)

    def tend() -> dict[str, object]:
        registry = FolderRegistry(path)
        registry.set_alias("x", "prod", 1, actor="second")
        registry.delete_version("x", 3)
        return {"freed": registry.collect_garbage().freed_bytes > 0, "sound": registry.verify().is_sound}

    first = as_user(4001, 4000, lambda: publish(0))
    killed = as_user(4001, 4000, die)
    second = as_user(4002, 4000, lambda: publish(2, 3))
    tended = as_user(4002, 4000, tend)
    again = as_user(4001, 4000, lambda: publish(1))
    return {"first": first, "killed": killed, "second": second, "tended": tended, "again": again}


def careful(folder: Path) -> dict[str, object]:
    """As `shared`, of users whose own files are closed to others; the second one rebuilds the index too."""
    folder.chmod(0o755)
    path, publication = folder / "registry", small_publication(folder)
    path.mkdir()
    os.chown(path, 0, 4000)
    path.chmod(0o2770)
    adapters = [numbered_adapter(folder, number) for number in range(4)]
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")

    def publish(number: int) -> dict[str, object]:
        registry = FolderRegistry(path)
        version = registry.publish("x", adapters[number], publication)
        registry.set_alias("x", "prod", version.version, actor=str(os.geteuid()))
        return {"version": version.version, "copy": registry.materialise(version.digest).is_relative_to(path)}

    def die() -> dict[str, object]:
        return _killed_while_publishing(path, adapters[1], publication)

    def rebuild() -> dict[str, object]:
        os.truncate(path / "index.sqlite", 0)
        return {"versions": rebuild_folder(path).rebuilt.versions}

    def tend() -> dict[str, object]:
        registry = FolderRegistry(path)
        registry.delete_version("x", 1)
        freed = registry.collect_garbage(copies=True).freed_bytes > 0
        return {"freed": freed, "sound": registry.verify().is_sound}

    done = [
        as_user(user, 4000, call, umask=0o077)
        for user, call in (
            (4001, lambda: publish(0)),
            (4001, die),
            (4002, lambda: publish(2)),
            (4002, rebuild),
            (4001, lambda: publish(3)),
            (4001, rebuild),
            (4002, tend),
        )
    ]
    modes = {oct(each.stat().st_mode & 0o777) for each in path.rglob("*") if each.is_file()}
    foreign = as_user(4003, 4003, lambda: {"seen": refusal(lambda: FolderRegistry(path, create=False))})
    return {"done": done, "modes": sorted(modes), **foreign}


def holding(folder: Path) -> dict[str, object]:
    """A user who may only read takes every lock that he can, in every way; then the owner goes on."""
    folder.chmod(0o755)
    path, publication = folder / "registry", small_publication(folder)
    registry = FolderRegistry(path)
    for number in (0, 1):
        registry.publish("x", numbered_adapter(folder, number), publication)
    del registry
    asked, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(4003)
        os.setuid(4003)
        held = [_locked(each) for each in sorted(path.rglob("*")) if each.name != "index.sqlite"]
        os.write(told, b"%d" % sum(held))
        signal.pause()
    os.close(told)
    locked = int(os.read(asked, 100))
    try:
        registry = FolderRegistry(path)
        version = registry.publish("x", numbered_adapter(folder, 2), publication).version
        registry.set_alias("x", "prod", 2)
        registry.delete_version("x", 1)
        freed = registry.collect_garbage().freed_bytes > 0
        del registry
        rebuilt = rebuild_folder(path).rebuilt.versions
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return {"some are locked": locked > 0, "version": version, "freed": freed, "rebuilt": rebuilt}


def after_root(folder: Path) -> dict[str, object]:
    """Root publishes into a user's registry, rebuilds it and collects; then the user goes on."""
    folder.chmod(0o755)
    path, publication = folder / "registry", small_publication(folder)
    path.mkdir()
    os.chown(path, 4001, 4001)
    adapters = [numbered_adapter(folder, number) for number in range(3)]
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    registry = FolderRegistry(path)
    registry.materialise(registry.publish("x", adapters[0], publication).digest)
    registry.collect_garbage()
    del registry
    rebuild_folder(path)

    def go_on() -> dict[str, object]:
        registry = FolderRegistry(path)
        found = registry.publish("x", adapters[1], publication)
        registry.set_alias("x", "prod", 1)
        registry.delete_version("x", 2)
        freed = registry.collect_garbage().freed_bytes > 0
        copy = registry.materialise(registry.resolve("x").digest).is_relative_to(path)
        return {"version": found.version, "freed": freed, "copy": copy, "sound": registry.verify().is_sound}

    return as_user(4001, 4001, go_on)


def as_user(
    user: int, group: int, call: Callable[[], dict[str, object]], umask: int = 0o022
) -> dict[str, object]:
    """What `call` returns in a process of that user; nothing when it was killed."""
    answer, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.umask(umask)
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)
        try:
            os.write(told, json.dumps(call()).encode())
        except BaseException as error:
            os.write(told, json.dumps({"failed": repr(error)}).encode())
        os._exit(0)
    os.close(told)
    with os.fdopen(answer) as stream:
        text = stream.read()
    os.waitpid(child, 0)
    found: dict[str, object] = json.loads(text or "{}")
    return found


def _killed_while_publishing(path: Path, adapter: Path, publication: Publication) -> dict[str, object]:
    """Ends this process by SIGKILL in the midst of a publication; returns only if that was not reached."""
    FolderRegistry(path).publish(
        "x", adapter, publication, lambda done, total: os.kill(os.getpid(), signal.SIGKILL)
    )
    return {"failed": "the publication ended"}


def _locked(path: Path) -> bool:
    """Locks a file or folder for as long as this process lives, if it may."""
    try:
        fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _error(call: Callable[[], object]) -> str:
    try:
        call()
    except OSError as error:
        return type(error).__name__
    return ""


if __name__ == "__main__":
    troubles = (forbidden, backing_up, shared, careful, holding, after_root)
    trouble = {each.__name__: each for each in troubles}[sys.argv[1]]
    print(json.dumps(trouble(Path(sys.argv[2]))))
