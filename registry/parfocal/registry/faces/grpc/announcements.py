"""What an upload announces, checked before anything of it is taken. Knows messages, and stores nothing."""

from collections.abc import AsyncIterator, Sequence

from parfocal.registry.errors import InvalidUpload
from parfocal.registry.registry import Registry, TakesBlobs
from parfocal.registry.values import AdapterName, FileEntry
from parfocal.registry.wire import read_file
from parfocal.rpc import MethodNotImplemented
from parfocal.v1 import adapter_pb2
from parfocal.v1 import registry_service_pb2 as pb
from parfocal.v1.limits import UPLOAD_FILES


async def publish_header(requests: AsyncIterator[pb.PublishVersionRequest]) -> pb.PublishHeader:
    """The header that a publication begins with; raises InvalidUpload."""
    async for request in requests:
        if request.HasField("header"):
            return request.header
        break
    raise InvalidUpload("an upload begins with its header", field="header")


def announced(header: pb.PublishHeader) -> list[FileEntry]:
    """The files of a publication; raises InvalidName or InvalidUpload."""
    AdapterName.parse(header.name)
    return announced_files(header.files)


def announced_files(files: Sequence[adapter_pb2.FileEntry]) -> list[FileEntry]:
    """The files of one adapter; raises InvalidUpload."""
    if len(files) > UPLOAD_FILES.most:
        raise InvalidUpload(
            f"the header announces {len(files)} files; at most {UPLOAD_FILES.most} make an adapter",
            field="header.files",
        )
    return [read_file(file) for file in files]


def whole_files(request: pb.PublishBlobsRequest) -> dict[str, bytes]:
    """The files that come with the message, by their paths; raises InvalidUpload."""
    whole = {each.path: each.data for each in request.inline}
    known = {file.path for file in request.header.files}
    if len(whole) < len(request.inline) or not whole.keys() <= known:
        raise InvalidUpload(
            "a file that comes with the message was not announced, or comes twice", field="inline"
        )
    return whole


def taking_blobs(registry: Registry) -> TakesBlobs:
    """The registry, if it takes single files; raises MethodNotImplemented."""
    if not isinstance(registry, TakesBlobs):
        raise MethodNotImplemented("this registry takes no single files; publish with PublishVersion")
    return registry
