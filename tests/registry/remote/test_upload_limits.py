"""Uploads that would take all there is: too many, too large, too slow. What they had is free again."""

import queue
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import pytest

from fakes.registry.registry_client import Client, Parts
from fakes.registry.registry_server import serving
from parfocal.registry import FolderRegistry, Publication
from parfocal.registry.errors import TooManyUploads, UploadsFull, UploadTooSlow
from parfocal.registry.faces import ServiceLimits
from parfocal.registry.remote import RemoteRegistry
from parfocal.rpc import RemoteError, open_blocking_channel, remote_error
from parfocal.v1 import registry_service_pb2 as pb
from parfocal.v1.registry_service_pb2_grpc import RegistryServiceStub

MakeParts = Callable[..., Parts]


@contextmanager
def limited(tmp_path: Path, registry: FolderRegistry, limits: ServiceLimits) -> Iterator[Client]:
    uploads = tmp_path / "uploads"
    with serving(registry, uploads, limits) as address, open_blocking_channel(address) as channel:
        yield Client(RegistryServiceStub(channel), registry, uploads)


class Held:
    """An upload that has sent `parts` and then says nothing until it is let go."""

    def __init__(self, client: Client, parts: Parts) -> None:
        self._rest: queue.SimpleQueue[pb.PublishVersionRequest | None] = queue.SimpleQueue()
        for part in parts:
            self._rest.put(part)
        self.call = client.stub.PublishVersion.future(iter(self._rest.get, None), timeout=60)

    def send(self, parts: Parts) -> None:
        for part in parts:
            self._rest.put(part)

    def cancel(self) -> None:
        self.call.cancel()  # type: ignore[no-untyped-call]

    def end(self) -> None:
        self._rest.put(None)

    def refusal(self) -> RemoteError:
        error = self.call.exception()
        assert isinstance(error, grpc.RpcError)
        self.end()
        return remote_error(error)


@contextmanager
def held(client: Client, parts: Parts, count: int) -> Iterator[list[Held]]:
    """Uploads that have begun, and are cancelled at the end."""
    with ExitStack() as stack:
        begun = [Held(client, parts[:1]) for _ in range(count)]
        for upload in begun:
            stack.callback(upload.end)
            stack.callback(upload.cancel)
        wait_until(lambda: len(list(client.uploads.glob("*.lock"))) == count)
        yield begun


def wait_until(happens: Callable[[], bool]) -> None:
    from threading import Event

    pause = Event()
    for _ in range(3000):
        if happens():
            return
        pause.wait(0.01)
    raise AssertionError("it did not happen in 30 seconds")


def test_an_upload_beyond_the_limit_is_refused_with_the_setting_that_raises_it(
    tmp_path: Path, registry: FolderRegistry, parts: MakeParts
) -> None:
    with (
        limited(tmp_path, registry, ServiceLimits(max_uploads=3)) as client,
        held(client, parts(), 3),
        pytest.raises(grpc.RpcError) as refused,
    ):
        client.publish(parts())

    error = remote_error(refused.value)
    assert (error.status, error.reason, error.retry_after_s) == (
        "RESOURCE_EXHAUSTED",
        "TOO_MANY_UPLOADS",
        5.0,
    )
    assert "--max-uploads" in error.message
    assert error.metadata == {"setting": "max_uploads", "limit": "3"}


def test_a_flood_of_uploads_leaves_descriptors_and_look_ups_to_others(
    tmp_path: Path, registry: FolderRegistry, parts: MakeParts
) -> None:
    with limited(tmp_path, registry, ServiceLimits(max_uploads=8)) as client:
        client.publish(parts())
        flood = [Held(client, parts()[:1]) for _ in range(200)]
        wait_until(lambda: sum(upload.call.done() for upload in flood) == 192)
        assert len(list(client.uploads.glob("*.lock"))) == 8
        request = pb.ResolveAdapterRequest(reference="team/x")
        assert client.stub.ResolveAdapter(request, timeout=30).version == 1
        for upload in flood:
            upload.cancel()
            upload.end()
        wait_until(lambda: client.left_over() == [])
        assert client.publish(parts()).version == 2 - 1


def test_an_upload_that_ends_makes_room_for_the_next(
    tmp_path: Path, registry: FolderRegistry, parts: MakeParts
) -> None:
    with limited(tmp_path, registry, ServiceLimits(max_uploads=1)) as client:
        for begin, end in ((0, 5), (0, 4), (1, 5)):
            try:
                client.publish(parts()[begin:end])
            except grpc.RpcError as error:
                assert remote_error(error).reason == "INVALID_UPLOAD"
        assert client.publish(parts()).version == 1


def test_an_upload_that_could_never_be_kept_is_refused_before_its_first_piece(
    tmp_path: Path, registry: FolderRegistry, parts: MakeParts
) -> None:
    with limited(tmp_path, registry, ServiceLimits(max_upload_bytes=1000)) as client:
        refused = client.refusal(parts()[:1])

    assert (refused.status, refused.reason) == ("RESOURCE_EXHAUSTED", "UPLOADS_FULL")
    assert "--max-upload-bytes" in refused.message
    assert "1000" in refused.message


def test_uploads_share_their_bytes_and_give_them_back(
    tmp_path: Path, registry: FolderRegistry, parts: MakeParts
) -> None:
    size = sum(file.size for file in parts()[0].header.files)
    with limited(tmp_path, registry, ServiceLimits(max_upload_bytes=size)) as client:
        with held(client, parts(), 1) as (first,):
            first.send(parts()[1:2])  # half of the configuration
            wait_until(lambda: any(path.stat().st_size for path in client.uploads.glob("*/*.json")))
            with pytest.raises(grpc.RpcError) as refused:
                client.publish(parts())
            assert remote_error(refused.value).reason == "UPLOADS_FULL"
        wait_until(lambda: client.left_over() == [])
        assert client.publish(parts()).version == 1


@pytest.mark.parametrize("sent", [0, 1, 2])
def test_an_upload_that_stops_sending_is_ended_and_leaves_nothing(
    tmp_path: Path, registry: FolderRegistry, parts: MakeParts, sent: int
) -> None:
    """Before its header, after it, and between pieces."""
    with limited(tmp_path, registry, ServiceLimits(upload_idle_s=0.2)) as client:
        refused = Held(client, parts()[:sent]).refusal()

        assert (refused.status, refused.reason) == ("DEADLINE_EXCEEDED", "UPLOAD_TOO_SLOW")
        assert "--upload-idle-s" in refused.message
        wait_until(lambda: client.left_over() == [])
        assert client.publish(parts()).version == 1


def test_bytes_that_trickle_do_not_keep_an_upload_alive(
    tmp_path: Path, registry: FolderRegistry, parts: MakeParts
) -> None:
    """Pieces of one byte, each long before an idle upload would be ended."""
    with limited(tmp_path, registry, ServiceLimits(upload_idle_s=0.5)) as client:
        upload = Held(client, [])
        refused = None
        for part in parts(pieces=100_000):
            upload.send([part])
            wait_a_little()
            if upload.call.done():
                refused = upload.refusal()
                break

    assert refused is not None
    assert refused.reason == "UPLOAD_TOO_SLOW"


def wait_a_little() -> None:
    from threading import Event

    Event().wait(0.02)


def test_a_remote_registry_raises_what_the_server_refused(
    tmp_path: Path, registry: FolderRegistry, adapter: Callable[..., Path], publication: Publication
) -> None:
    tight = ServiceLimits(max_upload_bytes=10)
    with serving(registry, tmp_path / "uploads", tight) as address:
        remote = RemoteRegistry(f"grpc://{address}", cache=tmp_path / "cache")
        with pytest.raises(UploadsFull, match="--max-upload-bytes") as refused:
            remote.publish("team/x", adapter(), publication)

    assert refused.value.retry_after_s == 5.0
    assert not isinstance(refused.value, TooManyUploads | UploadTooSlow)
