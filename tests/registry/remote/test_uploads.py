"""Uploads as any gRPC client sends them: those that break off, and those that lie."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from fakes.registry.registry_client import CONFIG, WEIGHTS, Client, Parts, chunk, chunks, entry
from parfocal.rpc import remote_error
from parfocal.v1 import adapter_pb2
from parfocal.v1 import registry_service_pb2 as pb

Write = Callable[..., Path]


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


def _chat(**fields: str) -> adapter_pb2.Rendering:
    return adapter_pb2.Rendering(form=adapter_pb2.RENDERING_FORM_CHAT, **fields)


def _hyper_parameters(numbers: str) -> adapter_pb2.Provenance:
    return adapter_pb2.Provenance(hyper_parameters_json=f'{{"x":[{numbers}0]}}')


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
        ({"provenance": _hyper_parameters("0," * 40_000)}, "INVALID_PUBLICATION"),
        ({"evaluation": adapter_pb2.Evaluation(metrics={"loss": float("nan")})}, "INVALID_PUBLICATION"),
        ({"rendering": adapter_pb2.Rendering()}, "INVALID_PUBLICATION"),
        ({"rendering": _chat(template_variables_json="[")}, "INVALID_PUBLICATION"),
        ({"rendering": _chat(template_variables_json="[]")}, "INVALID_PUBLICATION"),
        ({"rendering": _chat(chat_template_digest="md5:0")}, "INVALID_DIGEST"),
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


def test_a_base_of_an_endless_name_is_looked_for_nowhere(client: Client, parts: Callable[..., Parts]) -> None:
    refusal = client.refusal(parts(base_contract=None, base_reference="a" * 301))
    assert (refusal.status, refusal.reason) == ("INVALID_ARGUMENT", "INVALID_PUBLICATION")
    assert "at most 300" in refusal.message
