"""A real RegistryService for blocking clients: in a thread, or as a process of its own.

The process: `python -m fakes.registry.registry_server REGISTRY UPLOADS ADDRESS` prints where it
answers and ends with stdin.
"""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from parfocal.registry import Registry, open_registry
from parfocal.registry.faces import ServiceLimits
from parfocal.registry.faces.grpc.service import RegistryService
from parfocal.rpc import Service, WireServer
from parfocal.v1.registry_service_pb2_grpc import add_RegistryServiceServicer_to_server


@contextmanager
def serving(
    registry: Registry,
    uploads: Path,
    limits: ServiceLimits = ServiceLimits(),  # noqa: B008  # frozen
    address: str = "127.0.0.1:0",
) -> Iterator[str]:
    """Serves `registry`, by default on a free port of the loopback, and gives the address."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="registry-server", daemon=True)
    thread.start()
    try:
        started = _started(registry, uploads, limits, address)
        server = asyncio.run_coroutine_threadsafe(started, loop).result(30)
        yield address if address.startswith("unix:") else f"127.0.0.1:{server.port}"
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()


@dataclass(frozen=True, slots=True)
class ServerAside:
    """A server of its own process, which ends with the scope unless it was killed before."""

    process: "subprocess.Popen[str]"
    address: str

    @classmethod
    def begun(cls, registry: Path | str, uploads: Path, address: str = "127.0.0.1:0") -> Self:
        """Serves the registry in a folder, or at the address of its storage, from another process."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, "-m", "fakes.registry.registry_server", str(registry), str(uploads)]
        pipe = subprocess.PIPE
        process = subprocess.Popen([*command, address], stdin=pipe, stdout=pipe, text=True, env=environment)
        assert process.stdout is not None
        return cls(process, process.stdout.readline().strip())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with self.process:  # closes stdin, with which it ends
            pass


@contextmanager
def serving_aside(folder: Path, uploads: Path, address: str = "127.0.0.1:0") -> Iterator[str]:
    """Serves the registry in `folder` from another process and gives where it answers."""
    with ServerAside.begun(folder, uploads, address) as server:
        yield server.address


async def _started(registry: Registry, uploads: Path, limits: ServiceLimits, address: str) -> WireServer:
    servicer = RegistryService(registry, uploads, limits)
    service = Service(
        add_RegistryServiceServicer_to_server, servicer, "parfocal.v1.RegistryService", servicer.rpcs
    )
    server = WireServer(address, [service])
    await server.start()
    return server


if __name__ == "__main__":
    with serving(open_registry(sys.argv[1]), Path(sys.argv[2]), address=sys.argv[3]) as where:
        print(where, flush=True)
        sys.stdin.read()
