"""Watch over the wire: shared by its callers, resumable, ended by the server's end."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import grpc
import pytest

from fakes.registry.memory_blobs import MemoryBlobs
from fakes.registry.memory_index import MemoryIndex
from fakes.registry.registry_client import Client
from fakes.registry.registry_server import serving
from parfocal.registry import FolderRegistry, Publication, StoredRegistry, Watch
from parfocal.registry.copies import LocalCopies
from parfocal.registry.errors import EventUnknown, StorageError
from parfocal.registry.faces import ServiceLimits
from parfocal.registry.faces.grpc.feed import Feed
from parfocal.registry.faces.threads import Threads
from parfocal.registry.remote import RemoteRegistry
from parfocal.registry.values import Event
from parfocal.rpc import RemoteError, open_blocking_channel, remote_error
from parfocal.v1 import registry_service_pb2 as pb
from parfocal.v1.registry_service_pb2_grpc import RegistryServiceStub

Write = Callable[..., Path]


class CountedRegistry(FolderRegistry):
    """Counts its watches; the next `broken` ones end with an error as soon as they are followed."""

    watches = 0
    broken = 0

    def watch(self, name: str = "", after: int | None = None) -> Watch:
        self.watches += 1
        watch = super().watch(name, after)
        if self.broken:
            self.broken -= 1
            return BrokenWatch(watch)
        return watch


class BrokenWatch:
    """A watch of a disk that does not answer."""

    def __init__(self, watch: Watch) -> None:
        self.begins_after = watch.begins_after

    def __iter__(self) -> Iterator[Event]:
        raise StorageError("the disk does not answer")

    def close(self) -> None:
        pass


@pytest.fixture
def counted(tmp_path: Path, adapter: Write, publication: Publication) -> CountedRegistry:
    registry = CountedRegistry(tmp_path / "counted")
    for fill in (1, 2):
        registry.publish("team/x", adapter(fill=fill), publication)
    return registry


@pytest.fixture
def remembered(tmp_path: Path, adapter: Write, publication: Publication) -> StoredRegistry:
    """A registry that waits for no disk."""
    registry = StoredRegistry("memory", MemoryIndex(), MemoryBlobs(), [LocalCopies(tmp_path)])
    for fill in (1, 2):
        registry.publish("team/x", adapter(fill=fill), publication)
    return registry


@pytest.fixture
def stub(counted: CountedRegistry, tmp_path: Path) -> Iterator[RegistryServiceStub]:
    with serving(counted, tmp_path / "counted-uploads") as address, open_blocking_channel(address) as channel:
        yield RegistryServiceStub(channel)


def move(registry: StoredRegistry, count: int) -> None:
    """Makes that many events."""
    for number in range(count):
        registry.set_alias("team/x", "prod", 1 + number % 2)


def test_a_watch_says_first_where_it_begins(client: Client) -> None:
    begun = next(iter(client.stub.Watch(pb.WatchRequest())))

    assert (begun.sequence, begun.WhichOneof("event")) == (0, None)


def test_a_publication_is_told_without_its_manifest(stub: RegistryServiceStub) -> None:
    _, told = islice(stub.Watch(pb.WatchRequest(after_sequence=0)), 2)

    version = told.version_published
    assert (version.name, version.version, version.HasField("manifest")) == ("team/x", 1, False)
    assert stub.GetVersion(pb.GetVersionRequest(name="team/x", version=1)).digest == version.digest


def test_any_number_of_callers_share_one_watch(stub: RegistryServiceStub, counted: CountedRegistry) -> None:
    calls = [stub.Watch(pb.WatchRequest(name=name)) for name in ["", "team/x"] * 20]
    assert [next(iter(call)).sequence for call in calls] == [2] * 40

    move(counted, 3)

    for call in calls:
        assert [told.alias_moved.version for told in islice(iter(call), 3)] == [1, 2, 1]
        call.cancel()  # type: ignore[no-untyped-call]  # the stubs leave it bare
    assert counted.watches == 1


def test_when_the_last_caller_has_left_nothing_watches_any_more(
    stub: RegistryServiceStub, counted: CountedRegistry
) -> None:
    for _ in range(2):
        call = stub.Watch(pb.WatchRequest())
        next(iter(call))
        call.cancel()  # type: ignore[no-untyped-call]  # the stubs leave it bare
        for thread in watching_threads():
            thread.join(30)
        assert watching_threads() == []
    assert counted.watches == 2


def test_watches_leave_room_for_who_asks_and_leaves(counted: CountedRegistry, tmp_path: Path) -> None:
    limits = ServiceLimits(max_registry_rpcs=4)
    with (
        serving(counted, tmp_path / "few-uploads", limits) as address,
        open_blocking_channel(address) as channel,
    ):
        stub = RegistryServiceStub(channel)
        calls = [stub.Watch(pb.WatchRequest()) for _ in range(2)]
        for call in calls:
            next(iter(call))
        with pytest.raises(grpc.RpcError) as failed:
            next(iter(stub.Watch(pb.WatchRequest())))
        refused = remote_error(failed.value)
        assert (refused.status, refused.reason) == ("RESOURCE_EXHAUSTED", "OVERLOADED")
        assert "--max-registry-rpcs" in str(refused)
        assert len(stub.ListAdapters(pb.ListAdaptersRequest()).adapters) == 1
        for call in calls:
            call.cancel()  # type: ignore[no-untyped-call]  # the stubs leave it bare


def test_a_watch_that_breaks_ends_for_its_callers_who_can_go_on(
    stub: RegistryServiceStub, counted: CountedRegistry
) -> None:
    counted.broken = 1
    call = stub.Watch(pb.WatchRequest(after_sequence=0))
    with pytest.raises(grpc.RpcError) as failed:
        list(iter(call))
    refused = remote_error(failed.value)
    assert (refused.status, refused.reason) == ("UNAVAILABLE", "STORAGE_ERROR")

    again = stub.Watch(pb.WatchRequest(after_sequence=0))
    assert [told.sequence for told in islice(iter(again), 3)] == [0, 1, 2]


def test_a_watch_goes_through_a_server_of_a_server(
    remote: RemoteRegistry, registry: FolderRegistry, tmp_path: Path, adapter: Write, publication: Publication
) -> None:
    with serving(remote, tmp_path / "second-uploads") as address:
        second = RemoteRegistry(address, cache=tmp_path / "second-cache")
        watch = second.watch()
        registry.publish("team/x", adapter(fill=1), publication)
        events = iter(watch)
        assert next(events).sequence == 1
        assert next(iter(second.watch(after=0))).sequence == 1
        with pytest.raises(EventUnknown):
            second.watch(after=7)
        watch.close()
        assert list(events) == []


def test_the_end_of_a_server_ends_its_watches(tmp_path: Path, registry: FolderRegistry) -> None:
    with serving(registry, tmp_path / "uploads") as address:
        watch = RemoteRegistry(address, cache=tmp_path / "cache").watch()
    with pytest.raises(RemoteError) as ended:
        list(watch)

    assert ended.value.status == "UNAVAILABLE"


@pytest.mark.parametrize("kept", [1, 2, 7, 1000])
@pytest.mark.parametrize("after", [0, 3, 250])
def test_a_reader_who_falls_behind_misses_nothing(remembered: StoredRegistry, kept: int, after: int) -> None:
    """Whatever is held in memory for all, and wherever a reader begins."""
    move(remembered, 298)

    async def scenario() -> list[int | Event]:
        feed = Feed(remembered, Threads(2, "test-watch"), kept)
        async with contextlib.aclosing(feed.events("", after)) as events:
            told = [await anext(events), await anext(events)]
            move(remembered, 20)
            return told + [await anext(events) for _ in range(319 - after)]

    begun, *events = asyncio.run(scenario())

    assert begun == after
    assert [event.sequence for event in events if isinstance(event, Event)] == [*range(after + 1, 321)]


def watching_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "registry-watch"]
