"""The registry's commands against a registry on another machine, over gRPC."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from typer.testing import Result

from parfocal.registry import FolderRegistry
from parfocal.registry.faces.grpc.service import RegistryService
from parfocal.rpc import Service, WireServer
from parfocal.v1 import registry_service_pb2 as pb
from parfocal.v1 import registry_service_pb2_grpc as pb_grpc

Run = Callable[..., Result]


@contextlib.contextmanager
def _remote(folder: Path) -> Iterator[str]:
    """Serves the registry in `folder` from a thread of its own; yields what to give to --registry."""
    ready, done, ports = threading.Event(), threading.Event(), []

    async def serve() -> None:
        servicer = RegistryService(FolderRegistry(folder / "registry"), folder / "uploads")
        name = pb.DESCRIPTOR.services_by_name["RegistryService"].full_name
        wire = WireServer(
            "127.0.0.1:0", [Service(pb_grpc.add_RegistryServiceServicer_to_server, servicer, name)]
        )
        await wire.start()
        ports.append(wire.port)
        ready.set()
        await asyncio.to_thread(done.wait)
        await wire.stop()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(30)
        yield f"grpc://127.0.0.1:{ports[0]}"
    finally:
        done.set()
        thread.join()


def test_an_adapters_life_over_the_wire(
    run: Run, small_base: Path, adapter_folder: Callable[[int], Path], tmp_path: Path
) -> None:
    def ok(*arguments: object) -> str:
        result = run(*arguments, "--registry", location)
        assert result.exit_code == 0, result.output
        return result.stdout

    with _remote(tmp_path) as location:
        for fill in (1, 2):
            ok("push", adapter_folder(fill), "team/invoices", "--base", small_base)
        for version in (1, 2):
            ok("alias", "team/invoices", "prod", version)
        ok("rollback", "team/invoices", "prod")
        ok("rm", "team/invoices@2", "--yes")
        ok("pull", "team/invoices@prod", tmp_path / "copy")
        (adapter,) = json.loads(ok("ls", "--json"))["adapters"]
        history = json.loads(ok("show", "team/invoices@prod", "--json"))["alias_history"]

    assert (adapter["latest_version"], adapter["version_count"]) == (1, 1)
    assert [move["kind"] for move in history] == ["rollback", "set", "set"]
    assert (tmp_path / "copy" / "adapter_model.safetensors").is_file()


def test_a_refusal_from_afar_is_the_same_one_line(run: Run, tmp_path: Path) -> None:
    with _remote(tmp_path) as location:
        result = run("show", "team/absent", "--registry", location)

    assert result.exit_code == 1
    assert "team/absent" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_registry_that_nobody_serves_is_one_line(run: Run, tmp_path: Path) -> None:
    with _remote(tmp_path) as location:
        pass

    result = run("ls", "--registry", location)

    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1


def test_gc_runs_only_where_the_folder_is(run: Run) -> None:
    result = run("gc", "--registry", "grpc://127.0.0.1:1")

    assert result.exit_code == 2
    assert "its machine" in " ".join(result.stderr.split())
