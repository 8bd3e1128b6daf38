"""Troubles of users with each other, a process each: `python -m fakes.registry.user_trouble TROUBLE FOLDER`.

It becomes other users, so it must run as root. What happened is printed as one line of JSON.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from fakes.registry.disk_trouble import refusal, said
from fakes.registry.publisher import numbered_adapter, small_publication
from parfocal.registry import FolderRegistry, back_up, rebuild_folder
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
        FolderRegistry(path).publish(
            "x", adapters[1], publication, lambda done, total: os.kill(os.getpid(), 9)
        )
        return {}

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


def as_user(user: int, group: int, call: Callable[[], dict[str, object]]) -> dict[str, object]:
    """What `call` returns in a process of that user; nothing when it was killed."""
    answer, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.umask(0o022)
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


def _error(call: Callable[[], object]) -> str:
    try:
        call()
    except OSError as error:
        return type(error).__name__
    return ""


if __name__ == "__main__":
    trouble = {each.__name__: each for each in (forbidden, backing_up, shared, after_root)}[sys.argv[1]]
    print(json.dumps(trouble(Path(sys.argv[2]))))
