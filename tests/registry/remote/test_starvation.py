"""What waits for a lock holds up nobody else, and waits no longer than its caller does."""

import asyncio
import contextvars
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from fakes.registry.registry_client import Client, Parts
from parfocal.registry import FolderRegistry, Publication
from parfocal.registry.disk import FolderLock, be_patient_until, patience
from parfocal.registry.errors import RegistryBusy
from parfocal.registry.faces.threads import Threads
from parfocal.rpc import remote_error
from parfocal.v1 import registry_service_pb2 as pb

WRITERS = 24


@contextmanager
def index_held(registry: FolderRegistry) -> Iterator[None]:
    """Another process's transaction, which keeps every writer waiting."""
    other = sqlite3.connect(registry.path / "index.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


def test_look_ups_and_downloads_go_on_while_every_kind_of_writer_waits(
    client: Client, parts: Callable[..., Parts], registry: FolderRegistry
) -> None:
    client.publish(parts())
    move = pb.SetAliasRequest(name="team/x", alias="prod", version=1)
    with index_held(registry):
        moves = [client.stub.SetAlias.future(move, timeout=60) for _ in range(WRITERS)]
        again = [client.stub.PublishVersion.future(iter(parts(name="other/y")), timeout=60) for _ in range(6)]
        resolve = pb.ResolveAdapterRequest(reference="team/x")
        download = pb.DownloadVersionRequest(reference="team/x")
        for _ in range(20):
            assert client.stub.ResolveAdapter(resolve, timeout=10).version == 1
            assert len(list(client.stub.DownloadVersion(download, timeout=10))) == 3
        assert not any(call.done() for call in moves)
        assert not any(call.done() for call in again)

    assert {call.result().version for call in moves} == {1}
    assert {call.result().name for call in again} == {"other/y"}


def test_a_write_whose_caller_has_gone_is_not_made_later(
    client: Client, parts: Callable[..., Parts], registry: FolderRegistry
) -> None:
    client.publish(parts())
    move = pb.SetAliasRequest(name="team/x", alias="prod", version=1)
    with index_held(registry):
        for call in [client.stub.SetAlias.future(move, timeout=2) for _ in range(WRITERS)]:
            error = call.exception()
            assert isinstance(error, grpc.RpcError)
            assert remote_error(error).reason == "REGISTRY_BUSY"
        # Its turn comes at once: nobody who has gone keeps a thread.
        last = client.stub.SetAlias.future(
            pb.SetAliasRequest(name="team/x", alias="next", version=1), timeout=60
        )

    assert last.result().alias == "next"
    assert [alias.alias for alias in registry.aliases("team/x")] == ["next"]


def _within(seconds: float, call: Callable[[], object]) -> object:
    """Makes a call whose caller waits so long."""

    def limited() -> object:
        import time

        be_patient_until(time.monotonic() + seconds)
        return call()

    return contextvars.copy_context().run(limited)


def test_a_wait_ends_with_its_callers_deadline(
    registry: FolderRegistry, adapter: Callable[..., Path], publication: Publication
) -> None:
    registry.publish("team/x", adapter(), publication)

    with index_held(registry), pytest.raises(RegistryBusy):
        _within(0.05, lambda: registry.set_alias("team/x", "prod", 1))


def test_a_folders_lock_is_waited_for_no_longer_than_the_caller_waits(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path / "lock")

    def taken() -> None:
        with lock.shared():
            pass

    with lock.exclusive(), pytest.raises(RegistryBusy, match="try again"):
        _within(0.05, taken)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems give threads no priority of their own")
@pytest.mark.parametrize("patient", [True, False])
def test_patient_threads_leave_the_processor_to_all_others(patient: bool) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)

    async def priority() -> int:
        return await Threads(1, "patient", patient)(os.getpriority, os.PRIO_PROCESS, 0)

    assert asyncio.run(priority()) == (max(own, 10) if patient else own)
    assert os.getpriority(os.PRIO_PROCESS, 0) == own


def test_patience_is_the_smaller_of_both_and_never_negative() -> None:
    assert patience(30.0) == 30.0
    assert _within(-1.0, lambda: patience(30.0)) == 0.0
    assert 0.0 < float(str(_within(5.0, lambda: patience(30.0)))) <= 5.0
    assert _within(5.0, lambda: patience(1.0)) == 1.0
