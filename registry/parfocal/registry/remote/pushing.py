"""Publishes an adapter file by file: only what the registry lacks travels, from where it was cut."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from parfocal.client.transfer import Progress, Source, announced_header
from parfocal.registry.errors import RegistryError
from parfocal.registry.remote.persistence import Persistence
from parfocal.registry.values import WEIGHTS_FILE
from parfocal.registry.wire import registry_errors
from parfocal.rpc import Endpoint, WireError
from parfocal.v1 import adapter_pb2
from parfocal.v1 import registry_service_pb2 as pb
from parfocal.v1.limits import PIECE_BYTES
from parfocal.v1.registry_service_pb2_grpc import RegistryServiceStub

# Told how many bytes have travelled.
Sent = Callable[[int], None]

# What is smaller comes with the order to publish, but for weights.
_INLINE_BYTES = 64 << 10
_DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True)
class Report:
    """Who is told how many bytes of how many the registry has, and how many have travelled."""

    progress: Progress | None = None
    sent: Sent | None = None


class Push:
    """The publication of `sources` under a header, which goes on where it was cut, in any process."""

    def __init__(
        self,
        stub: RegistryServiceStub,
        endpoint: Endpoint,
        header: pb.PublishHeader,
        sources: Sequence[Source],
        report: Report,
    ) -> None:
        self._stub = stub
        self._endpoint = endpoint
        self._header = announced_header(header, sources)
        self._whole = [each for each in sources if each.path != WEIGHTS_FILE and each.size <= _INLINE_BYTES]
        self._blobs = [each for each in sources if each not in self._whole]
        self._total = sum(each.size for each in sources)
        self._there: dict[str, int] = {}
        self._most_there = 0
        self._report = report

    def carry_out(self, persistence: Persistence) -> adapter_pb2.Version:
        """The version that was published, once; raises what publishing raises, and OSError.

        Raises RemoteError with the status UNIMPLEMENTED where the registry only takes PublishVersion.
        """
        while True:
            try:
                with registry_errors(self._endpoint):
                    return self._round(persistence)
            except (RegistryError, WireError) as error:
                persistence.wait_or_raise(error)

    def _round(self, persistence: Persistence) -> adapter_pb2.Version:
        missing = self._missing()
        persistence.reached()
        there = sum(self._there.values())
        if there > self._most_there:
            self._most_there = there
            persistence.got_on()
        for source in self._blobs:
            if source.path in missing:
                self._upload(source, missing[source.path])
        whole = [pb.FileChunk(path=each.path, data=_bytes_of(each)) for each in self._whole]
        version = self._stub.PublishBlobs(pb.PublishBlobsRequest(header=self._header, inline=whole))
        self._has_travelled(sum(len(each.data) for each in whole))
        self._is_there({each.path: each.size for each in self._whole})
        return version

    def _missing(self) -> dict[str, int]:
        """The files that the registry lacks, with how many of their bytes it has."""
        wanted = {each.path for each in self._blobs}
        files = [file for file in self._header.files if file.path in wanted]
        request = pb.FindMissingBlobsRequest(name=self._header.name, files=files)
        reply = self._stub.FindMissingBlobs(request, timeout=_DEADLINE_S)
        missing = {each.path: each.received for each in reply.missing}
        self._is_there({each.path: missing.get(each.path, each.size) for each in self._blobs})
        return missing

    def _upload(self, source: Source, offset: int) -> None:
        (file,) = (each for each in self._header.files if each.path == source.path)
        header = pb.UploadBlobHeader(name=self._header.name, file=file, offset=offset)

        def parts() -> Iterator[pb.UploadBlobRequest]:
            yield pb.UploadBlobRequest(header=header)
            done = offset
            with source.open() as opened:
                opened.seek(offset)
                while data := opened.read(PIECE_BYTES.most):
                    yield pb.UploadBlobRequest(data=data)
                    done += len(data)
                    self._has_travelled(len(data))
                    self._is_there({source.path: done})

        self._stub.UploadBlob(parts())

    def _has_travelled(self, count: int) -> None:
        if self._report.sent is not None:
            self._report.sent(count)

    def _is_there(self, sizes: dict[str, int]) -> None:
        self._there.update(sizes)
        if self._report.progress is not None:
            self._report.progress(sum(self._there.values()), self._total)


def _bytes_of(source: Source) -> bytes:
    with source.open() as opened:
        return opened.read()
