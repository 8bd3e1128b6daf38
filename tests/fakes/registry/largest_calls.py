"""The largest messages of uploads file by file that a server takes."""

import hashlib

from parfocal.v1 import adapter_pb2, limits
from parfocal.v1 import registry_service_pb2 as pb
from parfocal.v1.registry_service_pb2_grpc import RegistryServiceStub


def largest_question(registry: RegistryServiceStub, name: str) -> None:
    """Asks for as many files as a message holds."""
    files = [adapter_pb2.FileEntry()] * (limits.REQUEST_BYTES.most // 3)
    registry.FindMissingBlobs(pb.FindMissingBlobsRequest(name=name, files=files))


def largest_piece(registry: RegistryServiceStub, name: str) -> None:
    """Uploads a file of one piece."""
    data = bytes(limits.PIECE_BYTES.most)
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    file = adapter_pb2.FileEntry(path="adapter_model.safetensors", size=len(data), digest=digest)
    header = pb.UploadBlobHeader(name=name, file=file)
    registry.UploadBlob(iter([pb.UploadBlobRequest(header=header), pb.UploadBlobRequest(data=data)]))


def largest_publication(registry: RegistryServiceStub, name: str) -> None:
    """Publishes a file that comes with the message and fills it."""
    header = pb.PublishHeader(name=name, files=[adapter_pb2.FileEntry(path="x")])
    inline = [pb.FileChunk(path="x", data=bytes(1 << 20))]
    registry.PublishBlobs(pb.PublishBlobsRequest(header=header, inline=inline))
