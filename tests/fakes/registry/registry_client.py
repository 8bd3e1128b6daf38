"""A bare gRPC client of a RegistryService, and the messages of an upload, right or wrong."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from parfocal.registry import FolderRegistry, Publication
from parfocal.registry.wire.messages import base_message
from parfocal.rpc import RemoteError, remote_error
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
