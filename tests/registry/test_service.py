"""RegistryService as any gRPC client sees it: codes, reasons, uploads that break off, streams that lie."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from fakes.registry_server import serving
from parfocal.registry import FolderRegistry, Manifest, Publication
from parfocal.registry.wire.messages import base_message
from parfocal.rpc import RemoteError, open_blocking_channel, remote_error
from parfocal.v1 import adapter_pb2
from parfocal.v1 import registry_service_pb2 as pb
from parfocal.v1.registry_service_pb2_grpc import RegistryServiceStub

Write = Callable[..., Path]
Parts = list[pb.PublishVersionRequest]
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@dataclass(frozen=True, slots=True)
class Client:
    """A bare stub, and what the server behind it has on its disk."""

    stub: RegistryServiceStub
    registry: FolderRegistry
    uploads: Path

    def publish(self, parts: Iterator[pb.PublishVersionRequest] | Parts) -> adapter_pb2.Version:
        return self.stub.PublishVersion(iter(parts), timeout=30)

    def refusal(self, parts: Iterator[pb.PublishVersionRequest] | Parts) -> RemoteError:
        """Returns why a publication is refused, after looking that nothing of it was left."""
        with pytest.raises(grpc.RpcError) as refused:
            self.publish(parts)
        assert self.left_over() == []
        assert self.registry.adapters().items == ()
        return remote_error(refused.value)

    def left_over(self) -> list[Path]:
        return list(self.uploads.glob("*"))


@pytest.fixture
def client(tmp_path: Path, registry: FolderRegistry) -> Iterator[Client]:
    with serving(registry, tmp_path / "uploads") as address, open_blocking_channel(address) as channel:
        yield Client(RegistryServiceStub(channel), registry, tmp_path / "uploads")


@pytest.fixture
def parts(adapter: Write, publication: Publication) -> Callable[..., Parts]:
    """Returns a function that makes the messages of a good publication, some fields of its header changed."""

    def make(pieces: int = 2, **header: object) -> Parts:
        return publication_parts(adapter(), publication, pieces, **header)

    return make


def publication_parts(folder: Path, publication: Publication, pieces: int = 2, **header: object) -> Parts:
    assert publication.base is not None
    fields: dict[str, object] = {
        "name": "team/x",
        "base_contract": base_message(publication.base),
        "files": [entry(folder / CONFIG), entry(folder / WEIGHTS)],
        **header,
    }
    first = pb.PublishVersionRequest(header=pb.PublishHeader(**fields))  # type: ignore[arg-type]
    return [first, *chunks(folder / CONFIG, pieces), *chunks(folder / WEIGHTS, pieces)]


def entry(path: Path) -> adapter_pb2.FileEntry:
    data = path.read_bytes()
    return adapter_pb2.FileEntry(
        path=path.name, size=len(data), digest=f"sha256:{hashlib.sha256(data).hexdigest()}"
    )


def chunks(path: Path, pieces: int) -> Parts:
    data = path.read_bytes()
    size = -(-len(data) // pieces)
    return [chunk(path.name, data[start : start + size]) for start in range(0, len(data), size)]


def chunk(path: str, data: bytes) -> pb.PublishVersionRequest:
    return pb.PublishVersionRequest(chunk=pb.FileChunk(path=path, data=data))


def test_a_bare_client_publishes_and_verifies_the_digest_by_itself(
    client: Client, parts: Callable[..., Parts]
) -> None:
    version = client.publish(parts(pieces=7))
    assert (version.name, version.version) == ("team/x", 1)
    assert version.digest == f"sha256:{hashlib.sha256(version.manifest_json).hexdigest()}"
    assert [file.path for file in version.manifest.files] == [CONFIG, WEIGHTS]
    assert version.manifest.contract.targets[0].rank == 4
    assert client.left_over() == []


def test_a_base_named_by_reference_is_described_by_the_registry(client: Client, adapter: Write) -> None:
    tiny = {"modules": ("q_proj",), "layers": (0,), "base": "tiny"}
    folder = adapter(**tiny)
    header = pb.PublishHeader(
        name="x", base_reference="tiny", files=[entry(folder / CONFIG), entry(folder / WEIGHTS)]
    )
    upload = [
        pb.PublishVersionRequest(header=header),
        *chunks(folder / CONFIG, 1),
        *chunks(folder / WEIGHTS, 1),
    ]
    refusal = client.refusal(upload)
    # The shapes of `tiny` are known to the registry, and this adapter was made for a smaller base.
    assert (refusal.status, refusal.reason) == ("FAILED_PRECONDITION", "CONTRACT_MISMATCH")
    assert refusal.field == "model.layers.0.self_attn.q_proj.in_features"


def test_a_base_that_only_the_configuration_names_is_looked_up(client: Client, adapter: Write) -> None:
    folder = adapter(base="tiny")
    header = pb.PublishHeader(name="x", files=[entry(folder / CONFIG), entry(folder / WEIGHTS)])
    upload = [
        pb.PublishVersionRequest(header=header),
        *chunks(folder / CONFIG, 1),
        *chunks(folder / WEIGHTS, 1),
    ]
    assert client.refusal(upload).reason == "CONTRACT_MISMATCH"


@pytest.mark.parametrize("reference", ["/etc", "../..", "~", "org/unreachable"])
def test_a_base_that_is_a_folder_of_the_server_is_not_looked_at(
    client: Client, parts: Callable[..., Parts], reference: str
) -> None:
    refusal = client.refusal(parts(base_contract=None, base_reference=reference))
    assert (refusal.status, refusal.reason) == ("FAILED_PRECONDITION", "BASE_UNREACHABLE")


def test_an_unreachable_base_is_recorded_as_unverified_when_that_is_meant(
    client: Client, parts: Callable[..., Parts]
) -> None:
    version = client.publish(
        parts(base_contract=None, base_reference="org/unreachable", unverified_base=True)
    )
    assert version.manifest.contract.base.id == "org/unreachable"
    assert not version.manifest.contract.base.verified


def announced(
    path: str = CONFIG, size: int = 5, digest: str = "sha256:" + "0" * 64
) -> list[adapter_pb2.FileEntry]:
    weights = adapter_pb2.FileEntry(path=WEIGHTS, size=5, digest="sha256:" + "0" * 64)
    return [adapter_pb2.FileEntry(path=path, size=size, digest=digest), weights]


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"name": "../x"}, "INVALID_NAME"),
        ({"name": ""}, "INVALID_NAME"),
        ({"name": "te\u0430m/x"}, "INVALID_NAME"),
        ({"files": []}, "INVALID_UPLOAD"),
        ({"files": announced(path="../../etc/passwd")}, "INVALID_UPLOAD"),
        ({"files": announced(path="/etc/passwd")}, "INVALID_UPLOAD"),
        ({"files": announced(path="adapter_model.bin")}, "INVALID_UPLOAD"),
        ({"files": announced(path=WEIGHTS)}, "INVALID_UPLOAD"),
        ({"files": announced(size=-1)}, "INVALID_UPLOAD"),
        ({"files": announced(size=0)}, "INVALID_UPLOAD"),
        ({"files": announced(size=1 << 60)}, "INVALID_UPLOAD"),
        ({"files": announced(digest="md5:0")}, "INVALID_DIGEST"),
        ({"files": [*announced(), *announced()]}, "INVALID_UPLOAD"),
        ({"provenance": adapter_pb2.Provenance(hyper_parameters_json="{")}, "INVALID_PUBLICATION"),
        ({"provenance": adapter_pb2.Provenance(hyper_parameters_json="[]")}, "INVALID_PUBLICATION"),
        ({"evaluation": adapter_pb2.Evaluation(metrics={"loss": float("nan")})}, "INVALID_PUBLICATION"),
        ({"base_contract": adapter_pb2.BaseContract(id="")}, "INVALID_PUBLICATION"),
        ({"base_contract": adapter_pb2.BaseContract(id="x", verified=True)}, "INVALID_DIGEST"),
    ],
)
def test_a_header_that_cannot_be_believed_is_refused(
    client: Client, parts: Callable[..., Parts], header: dict[str, object], reason: str
) -> None:
    refusal = client.refusal(parts(**header))
    assert (refusal.status, refusal.reason) == ("INVALID_ARGUMENT", reason)
    assert client.publish(parts()).version == 1


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        (lambda parts: [], "INVALID_ARGUMENT", "INVALID_UPLOAD"),
        (lambda parts: parts[1:], "INVALID_ARGUMENT", "INVALID_UPLOAD"),
        (lambda parts: parts[:1], "INVALID_ARGUMENT", "INVALID_UPLOAD"),
        (lambda parts: parts[:-1], "INVALID_ARGUMENT", "INVALID_UPLOAD"),
        (lambda parts: [*parts[:3], parts[0], *parts[3:]], "INVALID_ARGUMENT", "INVALID_UPLOAD"),
        (lambda parts: [parts[0], *parts[3:], *parts[1:3]], "INVALID_ARGUMENT", "INVALID_UPLOAD"),
        (lambda parts: [*parts, parts[-1]], "INVALID_ARGUMENT", "INVALID_UPLOAD"),
        (lambda parts: [*parts[:-1], chunk("../x", b"x")], "INVALID_ARGUMENT", "INVALID_UPLOAD"),
        (lambda parts: [*parts[:-1], chunk(WEIGHTS, b"")], "INVALID_ARGUMENT", "INVALID_UPLOAD"),
        (lambda parts: [*parts[:-1], pb.PublishVersionRequest()], "INVALID_ARGUMENT", "INVALID_UPLOAD"),
        (
            lambda parts: [*parts[:-1], chunk(WEIGHTS, bytes(len(parts[-1].chunk.data)))],
            "DATA_LOSS",
            "BLOB_CORRUPT",
        ),
    ],
)
def test_a_stream_that_is_not_what_it_announced_is_refused(
    client: Client, parts: Callable[..., Parts], change: Callable[[Parts], Parts], status: str, reason: str
) -> None:
    refusal = client.refusal(change(parts()))
    assert (refusal.status, refusal.reason) == (status, reason)
    assert client.publish(parts()).version == 1


def test_an_upload_that_is_cancelled_leaves_nothing(client: Client, parts: Callable[..., Parts]) -> None:
    reached, release = threading.Event(), threading.Event()

    def hesitating() -> Iterator[pb.PublishVersionRequest]:
        yield from parts()[:3]
        reached.set()
        release.wait(30)

    call = client.stub.PublishVersion.future(hesitating())
    assert reached.wait(30)
    call.cancel()  # type: ignore[no-untyped-call]
    release.set()
    wait_until(lambda: client.left_over() == [])
    assert client.registry.adapters().items == ()
    assert client.publish(parts()).version == 1


def test_a_deadline_that_passes_while_uploading_leaves_nothing(
    client: Client, parts: Callable[..., Parts]
) -> None:
    release = threading.Event()

    def endless() -> Iterator[pb.PublishVersionRequest]:
        yield from parts()[:3]
        release.wait(30)

    with pytest.raises(grpc.RpcError) as failed:
        client.stub.PublishVersion(endless(), timeout=0.5)
    release.set()
    assert remote_error(failed.value).status == "DEADLINE_EXCEEDED"
    wait_until(lambda: client.left_over() == [])
    assert client.registry.adapters().items == ()


def wait_until(happens: Callable[[], bool]) -> None:
    """Returns when `happens` returns true; the server notices a lost client only after a moment."""
    pause = threading.Event()
    for _ in range(3000):
        if happens():
            return
        pause.wait(0.01)
    raise AssertionError("it did not happen in 30 seconds")


def test_a_message_over_the_limit_is_refused_and_the_next_request_works(
    client: Client, parts: Callable[..., Parts]
) -> None:
    flood = [parts()[0], chunk(CONFIG, bytes(100 << 20))]
    with pytest.raises(grpc.RpcError) as refused:
        client.publish(flood)
    assert remote_error(refused.value).status == "RESOURCE_EXHAUSTED"
    assert client.publish(parts()).version == 1


def test_an_upload_that_cannot_be_kept_is_a_storage_error(
    tmp_path: Path, client: Client, parts: Callable[..., Parts]
) -> None:
    (tmp_path / "uploads").write_text("a file where the folder of uploads should be")
    with pytest.raises(grpc.RpcError) as refused:
        client.publish(parts())
    assert remote_error(refused.value).reason == "STORAGE_ERROR"
    (tmp_path / "uploads").unlink()
    assert client.publish(parts()).version == 1


@pytest.fixture
def published(client: Client, adapter: Write, publication: Publication) -> Client:
    for fill in (1, 2, 3):
        client.publish(publication_parts(adapter(fill=fill), publication))
    client.stub.SetAlias(pb.SetAliasRequest(name="team/x", alias="prod", version=1, actor="ann"))
    client.stub.SetAlias(pb.SetAliasRequest(name="team/x", alias="prod", version=2, expected_version=1))
    client.stub.SetAlias(pb.SetAliasRequest(name="team/x", alias="dev", version=2, expected_version=0))
    return client


def test_a_version_tells_which_aliases_point_at_it(published: Client) -> None:
    stub = published.stub
    assert list(stub.GetVersion(pb.GetVersionRequest(name="team/x", version=2)).aliases) == ["dev", "prod"]
    assert list(stub.ResolveAdapter(pb.ResolveAdapterRequest(reference="team/x@1")).aliases) == []
    listed = stub.ListVersions(pb.ListVersionsRequest(name="team/x")).versions
    assert [(version.version, list(version.aliases)) for version in listed] == [
        (3, []),
        (2, ["dev", "prod"]),
        (1, []),
    ]


def test_history_is_sent_when_it_is_asked_for(published: Client) -> None:
    stub = published.stub
    stub.RollbackAlias(pb.RollbackAliasRequest(name="team/x", alias="prod", actor="ben"))
    request = pb.ListAliasesRequest(name="team/x", alias="prod", include_history=True)
    [alias] = stub.ListAliases(request).aliases
    assert (alias.version, alias.actor) == (1, "ben")
    moves = [(move.previous_version, move.version, move.kind, move.actor) for move in alias.history]
    assert moves == [
        (2, 1, adapter_pb2.MOVE_KIND_ROLLBACK, "ben"),
        (1, 2, adapter_pb2.MOVE_KIND_SET, ""),
        (0, 1, adapter_pb2.MOVE_KIND_SET, "ann"),
    ]
    assert list(stub.ListAliases(pb.ListAliasesRequest(name="team/x")).aliases[0].history) == []


def test_aliases_come_page_by_page(published: Client) -> None:
    stub = published.stub
    first = stub.ListAliases(pb.ListAliasesRequest(name="team/x", page_size=1))
    second = stub.ListAliases(
        pb.ListAliasesRequest(name="team/x", page_size=1, page_token=first.next_page_token)
    )
    assert [alias.alias for alias in (*first.aliases, *second.aliases)] == ["dev", "prod"]
    assert second.next_page_token == ""


def test_adapters_are_listed_with_their_aliases(published: Client) -> None:
    [adapter] = published.stub.ListAdapters(pb.ListAdaptersRequest()).adapters
    assert (adapter.name, adapter.latest_version, adapter.version_count) == ("team/x", 3, 3)
    assert [(alias.alias, alias.version) for alias in adapter.aliases] == [("dev", 2), ("prod", 2)]
    assert adapter.aliases[0].digest.startswith("sha256:")


@pytest.mark.parametrize("selector", [{"reference": "team/x@prod"}, {"digest": "of prod"}])
def test_a_download_holds_the_manifest_and_then_every_byte(
    published: Client, selector: dict[str, str]
) -> None:
    if "digest" in selector:
        selector = {"digest": published.registry.resolve("team/x@prod").digest}
    replies = list(published.stub.DownloadVersion(pb.DownloadVersionRequest(**selector)))
    manifest = Manifest.from_bytes(replies[0].version.manifest_json)
    for file in manifest.files:
        data = b"".join(reply.chunk.data for reply in replies[1:] if reply.chunk.path == file.path)
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == file.digest


def test_a_deleted_version_is_gone_and_an_aliased_one_is_not_deleted(published: Client) -> None:
    published.stub.DeleteVersion(pb.DeleteVersionRequest(name="team/x", version=3))
    assert refused(published, "GetVersion", name="team/x", version=3).reason == "VERSION_NOT_FOUND"
    assert refused(published, "DeleteVersion", name="team/x", version=2).reason == "VERSION_IN_USE"


@pytest.mark.parametrize(
    ("rpc", "fields", "status", "reason"),
    [
        ("GetVersion", {"name": "nobody", "version": 1}, "NOT_FOUND", "ADAPTER_NOT_FOUND"),
        ("GetVersion", {"name": "team/x", "version": 9}, "NOT_FOUND", "VERSION_NOT_FOUND"),
        ("GetVersion", {"name": "team/x", "version": 0}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        ("GetVersion", {"name": "team/x@1", "version": 1}, "INVALID_ARGUMENT", "INVALID_NAME"),
        ("ResolveAdapter", {"reference": ""}, "INVALID_ARGUMENT", "INVALID_REFERENCE"),
        ("ResolveAdapter", {"reference": "team/x@nope"}, "NOT_FOUND", "ALIAS_NOT_FOUND"),
        ("ResolveAdapter", {"reference": "../x"}, "INVALID_ARGUMENT", "INVALID_NAME"),
        ("ListVersions", {"name": "team/x", "page_size": -1}, "INVALID_ARGUMENT", "INVALID_PAGE"),
        ("ListVersions", {"name": "nobody"}, "NOT_FOUND", "ADAPTER_NOT_FOUND"),
        ("ListAdapters", {"page_token": "x"}, "INVALID_ARGUMENT", "INVALID_PAGE"),
        ("ListAliases", {"name": "team/x", "alias": "nope"}, "NOT_FOUND", "ALIAS_NOT_FOUND"),
        ("ListAliases", {"name": "team/x", "page_size": -1}, "INVALID_ARGUMENT", "INVALID_PAGE"),
        ("SetAlias", {"name": "team/x", "alias": "prod", "version": 3, "expected_version": 1},
         "FAILED_PRECONDITION", "ALIAS_MOVED"),
        ("SetAlias", {"name": "x", "alias": "latest", "version": 1}, "INVALID_ARGUMENT", "INVALID_ALIAS"),
        ("SetAlias", {"name": "team/x", "alias": "prod", "version": 99}, "NOT_FOUND", "VERSION_NOT_FOUND"),
        ("RollbackAlias", {"name": "team/x", "alias": "dev"}, "FAILED_PRECONDITION", "NOTHING_TO_ROLL_BACK"),
        ("DeleteVersion", {"name": "team/x", "version": -1}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        ("DownloadVersion", {}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        ("DownloadVersion", {"digest": "x"}, "INVALID_ARGUMENT", "INVALID_DIGEST"),
        ("DownloadVersion", {"digest": "sha256:" + "0" * 64}, "NOT_FOUND", "VERSION_NOT_FOUND"),
        ("Watch", {}, "UNIMPLEMENTED", "METHOD_NOT_IMPLEMENTED"),
    ],
)  # fmt: skip
def test_each_refusal_has_its_code_and_reason(
    published: Client, rpc: str, fields: dict[str, object], status: str, reason: str
) -> None:
    refusal = refused(published, rpc, **fields)
    assert (refusal.status, refusal.reason) == (status, reason)
    assert published.stub.ResolveAdapter(pb.ResolveAdapterRequest(reference="team/x@prod")).version == 2


def test_a_lost_compare_and_swap_tells_what_it_found(published: Client) -> None:
    refusal = refused(published, "SetAlias", name="team/x", alias="prod", version=3, expected_version=1)
    assert (refusal.metadata["expected"], refusal.metadata["actual"]) == ("1", "2")


def refused(client: Client, rpc: str, **fields: object) -> RemoteError:
    """Returns why an rpc is refused."""
    request = getattr(pb, f"{rpc}Request")(**fields)
    with pytest.raises(grpc.RpcError) as refusal:
        reply = getattr(client.stub, rpc)(request, timeout=30)
        if isinstance(reply, Iterator):
            list(reply)
    return remote_error(refusal.value)
