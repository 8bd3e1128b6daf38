"""Downloads a version into the local cache, from where an earlier download was cut."""

from collections.abc import Iterator, Sequence

from parfocal.client.transfer import file_pieces, never_silent
from parfocal.registry.errors import BlobCorrupt, RegistryBusy, RegistryError
from parfocal.registry.remote.cache import RemoteCache
from parfocal.registry.remote.persistence import Persistence
from parfocal.registry.remote.replies import checked_version
from parfocal.registry.values import FileEntry, Version
from parfocal.registry.wire import read_version, registry_errors
from parfocal.rpc import Endpoint, WireError
from parfocal.v1 import registry_service_pb2 as pb
from parfocal.v1.registry_service_pb2_grpc import RegistryServiceStub

_Replies = Iterator[pb.DownloadVersionResponse]


class Pull:
    """The download of the version with `digest` into `cache`; it ends when nothing comes for `silence_s`."""

    def __init__(
        self,
        stub: RegistryServiceStub,
        endpoint: Endpoint,
        cache: RemoteCache,
        digest: str,
        silence_s: float,
    ) -> None:
        self._stub = stub
        self._endpoint = endpoint
        self._cache = cache
        self._digest = digest
        self._silence_s = silence_s
        self._goes_on = False
        self._begun_anew = False
        self._there_elsewhere = -1

    def carry_out(self, persistence: Persistence) -> None:
        """Fetches what is missing, every byte verified; raises what a download raises, and OSError."""
        while True:
            try:
                with registry_errors(self._endpoint):
                    return self._round(persistence)
            except BlobCorrupt:
                # What was kept of an earlier download may have rotted since.
                if not self._goes_on or self._begun_anew:
                    raise
                self._begun_anew = True
            except RegistryBusy as error:
                if self._gets_on_elsewhere():
                    persistence.got_on()
                persistence.wait_or_raise(error)
            except (RegistryError, WireError) as error:
                persistence.wait_or_raise(error)

    def _gets_on_elsewhere(self) -> bool:
        """Whether another process, which fetches the same files, has got on since it was asked last."""
        manifest = self._cache.manifest(self._digest)
        there = sum(map(self._cache.received, manifest.files)) if manifest else 0
        before, self._there_elsewhere = self._there_elsewhere, there
        return there != before

    def _round(self, persistence: Persistence) -> None:
        manifest = self._cache.manifest(self._digest)
        wanted = () if manifest is None else self._cache.missing(self._digest, manifest)
        if manifest is not None and not wanted:
            return
        request = pb.DownloadVersionRequest(digest=self._digest)
        if wanted:
            request.path, request.offset = wanted[0].path, self._cache.received(wanted[0])
        self._goes_on = request.offset > 0
        with never_silent(self._stub.DownloadVersion(request), self._silence_s) as replies:
            first = next(replies, pb.DownloadVersionResponse())
            version = first_version(first, self._digest)
            persistence.reached()
            if manifest is None:
                self._cache.keep_manifest(version.manifest)
                wanted = self._cache.missing(self._digest, version.manifest)
            offset = first.offset if first.path else 0
            for entry in _from(version.manifest.files, first.path):
                pieces = file_pieces(replies, entry.path, entry.size - offset)
                self._take(entry, offset, pieces, entry in wanted, persistence)
                offset = 0

    def _take(
        self,
        entry: FileEntry,
        offset: int,
        pieces: Iterator[bytes],
        is_wanted: bool,
        persistence: Persistence,
    ) -> None:
        if not is_wanted:
            for _ in pieces:
                pass
            return
        with self._cache.arriving(entry, offset) as file:
            for piece in pieces:
                try:
                    file.write(piece)
                except OSError:  # a full disk is not kept full
                    file.remove()
                    raise
                persistence.got_on()
            file.check()
            self._cache.take(self._digest, entry, file.path)


def first_version(reply: pb.DownloadVersionResponse, digest: str) -> Version:
    """The version that a download begins with; raises BlobCorrupt unless it is the one asked for."""
    version = read_version(reply.version)
    if version.digest != digest:
        raise BlobCorrupt(
            f"the registry sent {version.digest} when asked for {digest}",
            expected=digest,
            actual=version.digest,
        )
    return checked_version(version)


def _from(files: Sequence[FileEntry], path: str) -> Sequence[FileEntry]:
    """The files that a download sends; servers that do not say send all."""
    paths = [file.path for file in files]
    return files[paths.index(path) :] if path in paths else files
