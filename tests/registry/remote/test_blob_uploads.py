"""Files uploaded one by one: only what is missing travels, from where it was cut, and then one publish."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from fakes.registry.registry_client import CONFIG, WEIGHTS, Client, entry
from fakes.registry.registry_server import serving
from parfocal.registry import FolderRegistry, Publication
from parfocal.registry.faces import ServiceLimits
from parfocal.registry.remote import RemoteRegistry
from parfocal.registry.wire import base_message
from parfocal.rpc import RemoteError, open_blocking_channel, remote_error
from parfocal.v1 import registry_service_pb2 as pb
from parfocal.v1.registry_service_pb2_grpc import RegistryServiceStub

Write = Callable[..., Path]


def upload(client: Client, file: Path, offset: int = 0, *pieces: bytes) -> Iterator[pb.UploadBlobRequest]:
    """The messages that upload a file, or these pieces in its place."""
    header = pb.UploadBlobHeader(name="team/x", file=entry(file), offset=offset)
    yield pb.UploadBlobRequest(header=header)
    for piece in pieces or (file.read_bytes()[offset:],):
        yield pb.UploadBlobRequest(data=piece)


def received(client: Client, *files: Path) -> dict[str, int]:
    """What the registry lacks, with how much of it has come."""
    request = pb.FindMissingBlobsRequest(name="team/x", files=map(entry, files))
    return {each.path: each.received for each in client.stub.FindMissingBlobs(request).missing}


def publish(client: Client, folder: Path, publication: Publication) -> pb.PublishBlobsRequest:
    assert publication.base is not None
    header = pb.PublishHeader(
        name="team/x",
        base_contract=base_message(publication.base),
        files=[entry(folder / CONFIG), entry(folder / WEIGHTS)],
    )
    config = pb.FileChunk(path=CONFIG, data=(folder / CONFIG).read_bytes())
    return pb.PublishBlobsRequest(header=header, inline=[config])


def refusal(call: Callable[[], object]) -> RemoteError:
    with pytest.raises(grpc.RpcError) as refused:
        call()
    return remote_error(refused.value)


def test_a_file_is_uploaded_and_published(client: Client, adapter: Write, publication: Publication) -> None:
    folder = adapter()
    assert received(client, folder / WEIGHTS) == {WEIGHTS: 0}

    client.stub.UploadBlob(upload(client, folder / WEIGHTS))

    assert received(client, folder / WEIGHTS) == {}
    version = client.stub.PublishBlobs(publish(client, folder, publication))
    assert (version.name, version.version) == ("team/x", 1)
    assert version.digest == client.registry.publish("y", folder, publication).digest
    assert client.registry.verify().is_sound
    assert client.stub.PublishBlobs(publish(client, folder, publication)).version == 1


def test_an_upload_that_was_cut_goes_on_where_it_was(client: Client, adapter: Write) -> None:
    weights = adapter() / WEIGHTS
    data = weights.read_bytes()
    said = refusal(lambda: client.stub.UploadBlob(upload(client, weights, 0, data[:100], data[100:1000])))
    assert (said.reason, said.metadata["received"]) == ("INVALID_UPLOAD", "1000")
    assert received(client, weights) == {WEIGHTS: 1000}

    client.stub.UploadBlob(upload(client, weights, 1000))

    assert received(client, weights) == {}
    assert client.left_over() == [client.uploads / "partial"]
    assert list((client.uploads / "partial").iterdir()) == []


def test_an_upload_may_go_back_and_never_ahead(client: Client, adapter: Write) -> None:
    weights = adapter() / WEIGHTS
    data = weights.read_bytes()
    refusal(lambda: client.stub.UploadBlob(upload(client, weights, 0, data[:1000])))

    ahead = refusal(lambda: client.stub.UploadBlob(upload(client, weights, 1001)))
    assert (ahead.status, ahead.reason) == ("OUT_OF_RANGE", "OFFSET_OUT_OF_RANGE")
    assert ahead.metadata["received"] == "1000"
    client.stub.UploadBlob(upload(client, weights, 10))

    assert received(client, weights) == {}


def test_a_flipped_byte_on_the_way_is_refused_and_nothing_of_it_kept(client: Client, adapter: Write) -> None:
    weights = adapter() / WEIGHTS
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    said = refusal(lambda: client.stub.UploadBlob(upload(client, weights, 0, bytes(data))))
    assert (said.status, said.reason) == ("DATA_LOSS", "BLOB_CORRUPT")
    assert received(client, weights) == {WEIGHTS: 0}


def test_a_byte_that_rots_in_a_cut_upload_is_refused(client: Client, adapter: Write) -> None:
    weights = adapter() / WEIGHTS
    data = weights.read_bytes()
    refusal(lambda: client.stub.UploadBlob(upload(client, weights, 0, data[:1000])))
    [partial] = (client.uploads / "partial").iterdir()
    partial.write_bytes(b"\xff" + data[1:1000])

    said = refusal(lambda: client.stub.UploadBlob(upload(client, weights, 1000)))

    assert said.reason == "BLOB_CORRUPT"
    client.stub.UploadBlob(upload(client, weights))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda file: setattr(file, "path", "evil.py"), "header.file"),
        (lambda file: setattr(file, "path", "../adapter_config.json"), ""),
        (lambda file: setattr(file, "size", 0), "header.file"),
        (lambda file: setattr(file, "size", 1 << 60), "header.file"),
        (lambda file: setattr(file, "digest", "sha256:no"), ""),
    ],
)
def test_what_no_adapter_has_is_not_taken(
    client: Client, adapter: Write, change: Callable[[object], None], field: str
) -> None:
    weights = adapter() / WEIGHTS
    file = entry(weights)
    change(file)
    header = pb.UploadBlobHeader(name="team/x", file=file)
    parts = [pb.UploadBlobRequest(header=header), pb.UploadBlobRequest(data=b"x")]
    said = refusal(lambda: client.stub.UploadBlob(iter(parts)))
    assert said.status == "INVALID_ARGUMENT"
    assert not field or said.field == field


def test_what_was_not_uploaded_is_not_published(
    client: Client, adapter: Write, publication: Publication
) -> None:
    said = refusal(lambda: client.stub.PublishBlobs(publish(client, adapter(), publication)))
    assert (said.status, said.reason) == ("FAILED_PRECONDITION", "BLOBS_NOT_UPLOADED")
    assert said.metadata["files"] == WEIGHTS
    assert client.registry.adapters().items == ()


def test_a_file_that_came_with_the_message_has_the_digest_announced(
    client: Client, adapter: Write, publication: Publication
) -> None:
    folder = adapter()
    client.stub.UploadBlob(upload(client, folder / WEIGHTS))
    request = publish(client, folder, publication)
    request.inline[0].data = request.inline[0].data.replace(b"0.05", b"0.06")
    assert refusal(lambda: client.stub.PublishBlobs(request)).reason == "BLOB_CORRUPT"
    request.inline[0].path = "another"
    assert refusal(lambda: client.stub.PublishBlobs(request)).reason == "INVALID_UPLOAD"


def test_what_is_uploaded_is_kept_from_collection_until_it_is_published(
    client: Client, adapter: Write, publication: Publication
) -> None:
    folder = adapter()
    client.stub.UploadBlob(upload(client, folder / WEIGHTS))
    assert client.registry.collect_garbage(most=True).blobs == ()

    client.stub.PublishBlobs(publish(client, folder, publication))

    client.registry.delete_version("team/x", 1)
    assert len(client.registry.collect_garbage(most=True).blobs) == 3


def test_what_waits_too_long_may_be_collected(
    registry: FolderRegistry, adapter: Write, publication: Publication, tmp_path: Path
) -> None:
    folder = adapter()
    limits = ServiceLimits(upload_keep_s=1e-6)
    with (
        serving(registry, tmp_path / "uploads", limits) as address,
        open_blocking_channel(address) as channel,
    ):
        client = Client(RegistryServiceStub(channel), registry, tmp_path / "uploads")
        client.stub.UploadBlob(upload(client, folder / WEIGHTS))
        assert len(registry.collect_garbage(most=True).blobs) == 1
        refusal(lambda: client.stub.UploadBlob(upload(client, folder / WEIGHTS, 0, b"x")))
        assert received(client, folder / WEIGHTS) == {WEIGHTS: 0}
        said = refusal(lambda: client.stub.PublishBlobs(publish(client, folder, publication)))
        assert said.reason == "BLOBS_NOT_UPLOADED"


def test_only_what_the_registry_lacks_travels(
    remote: RemoteRegistry, adapter: Write, publication: Publication
) -> None:
    folder = adapter()
    config, weights = ((folder / name).stat().st_size for name in (CONFIG, WEIGHTS))
    sent, told = list[int](), list[tuple[int, int]]()
    first = remote.publish(
        "team/x", folder, publication, lambda done, total: told.append((done, total)), sent.append
    )
    assert sum(sent) == config + weights
    assert told[0] == (0, config + weights) and told[-1] == (config + weights, config + weights)

    again = list[int]()
    second = remote.publish("team/y", folder, publication, None, again.append)

    assert second.digest == first.digest
    assert sum(again) == config


def test_a_rotten_blob_is_moved_aside_and_sent_again(
    remote: RemoteRegistry, registry: FolderRegistry, adapter: Write, publication: Publication
) -> None:
    folder = adapter()
    version = remote.publish("team/x", folder, publication)
    name = version.manifest.files[1].digest.removeprefix("sha256:")
    blob = registry.path / "blobs" / "sha256" / name[:2] / name
    data = blob.read_bytes()
    blob.unlink()
    blob.write_bytes(b"\xff" + data[1:])

    assert remote.publish("team/x", folder, publication) == version

    assert hashlib.sha256(blob.read_bytes()).hexdigest() == name
    assert [path.name.partition("-")[0] for path in (registry.path / "quarantine").iterdir()] == [name]
