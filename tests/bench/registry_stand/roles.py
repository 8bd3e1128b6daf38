"""Who takes part in chaos, each a process, and what they tell of what was acknowledged."""

import json
import os
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

from bench.registry_stand.processes import COMMAND, environment
from fakes.registry.publisher import numbered_adapter, small_publication
from fakes.registry.shared_writer import ALIAS, NAME, write_once
from parfocal.registry import RegistryError, SharedRegistry, StorageAddress
from parfocal.registry.remote import RemoteRegistry
from parfocal.rpc import RemoteError

_PAUSE_S = 0.1


@dataclass(frozen=True, slots=True)
class Stand:
    """Where everything is: the storage, the ports of its servers, and a folder for what is told."""

    index: str
    blobs: str
    folder: Path
    ports: tuple[int, ...]

    @property
    def location(self) -> str:
        """The storage as commands are told of it."""
        return f"{self.index}&blobs={quote(self.blobs, safe='')}"

    def registry(self, who: str) -> SharedRegistry:
        """The registry without a server."""
        return SharedRegistry(StorageAddress(self.index, self.blobs), cache=self.folder / who)

    def tell(self, **told: object) -> None:
        """Notes what was acknowledged, and when: one write, which a kill cannot tear."""
        line = json.dumps({"at": time.monotonic(), **told}).encode() + b"\n"
        to = os.open(self.folder / "told", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(to, line)
        os.close(to)


def publish_the_first(stand: Stand) -> None:
    """Makes the registry, so that from now on nobody may be told that there is nothing."""
    folder = stand.folder / "first"
    folder.mkdir()
    write_once(stand.registry("first"), numbered_adapter(folder, 1), small_publication(folder), stand.tell)


def serve(stand: Stand, number: int) -> NoReturn:
    """Becomes a server."""
    log = os.open(stand.folder / f"server-{number}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.dup2(log, 2)
    address = f"127.0.0.1:{stand.ports[number]}"
    flags = ["registry", "serve", "--registry", stand.location, "--grpc-address", address]
    home = stand.folder / f"server-{number}"
    os.execve(sys.executable, [*COMMAND, *flags, "--metrics-address", ""], environment(home))


def write(stand: Stand, number: int) -> None:
    """Publishes and promotes without end."""
    folder = stand.folder / f"writer-{number}-{os.getpid()}"
    folder.mkdir()
    publication = small_publication(folder)
    count = os.getpid() * 10_000
    while True:
        count += 1
        try:
            registry = _remote(stand, number + count, folder)
            write_once(registry, numbered_adapter(folder, count), publication, stand.tell)
        except (RemoteError, RegistryError) as error:
            stand.tell(refused=error.reason, status=error.status)
            time.sleep(_PAUSE_S)


def read(stand: Stand, number: int) -> None:
    """Resolves and fetches without end; each copy that is handed out was verified."""
    folder = stand.folder / f"reader-{number}-{os.getpid()}"
    count = 0
    while True:
        count += 1
        try:
            registry = _remote(stand, number + count, folder)
            registry.materialise(registry.resolve(f"{NAME}@{ALIAS}").digest)
            stand.tell(read=1)
        except (RemoteError, RegistryError) as error:
            stand.tell(refused=error.reason, status=error.status)
            time.sleep(_PAUSE_S)


def free_port() -> int:
    """A port of the loopback that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _remote(stand: Stand, number: int, folder: Path) -> RemoteRegistry:
    port = stand.ports[number % len(stand.ports)]
    return RemoteRegistry(f"grpc://127.0.0.1:{port}", cache=folder / "cache")
