"""RegistryService: any registry over gRPC. Knows messages and streams, not how a registry keeps anything."""

# size: a method for each rpc

import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from parfocal.registry.disk import Staging, be_patient_until, cache_home, disk_errors
from parfocal.registry.errors import (
    InvalidArgument,
    InvalidUpload,
    Overloaded,
)
from parfocal.registry.faces.grpc.announcements import (
    announced,
    announced_files,
    publish_header,
    taking_blobs,
    whole_files,
)
from parfocal.registry.faces.grpc.blob_uploads import BlobUploads
from parfocal.registry.faces.grpc.downloads import SentFiles, files_from
from parfocal.registry.faces.grpc.feed import Feed
from parfocal.registry.faces.grpc.gates import Gates
from parfocal.registry.faces.grpc.lists import Lists
from parfocal.registry.faces.limits import ServiceLimits
from parfocal.registry.faces.sight import may_have, readable, signed
from parfocal.registry.faces.threads import Threads, to_the_end
from parfocal.registry.faces.uploads import Uploads
from parfocal.registry.publishing import Upload, Uploaded
from parfocal.registry.registry import Registry, TakesBlobs
from parfocal.registry.values import (
    AdapterName,
    Event,
    FileEntry,
    Page,
    Version,
    check_needed,
    check_version,
    chunks_of,
)
from parfocal.registry.wire import (
    ManifestFields,
    alias_message,
    event_message,
    fields_set,
    first_of_download_bytes,
    read_filter,
    read_publication,
    signature_message,
    version_bytes,
    versions_bytes,
)
from parfocal.rpc import Context, Room, as_reply, current_call, current_caller, endless
from parfocal.rpc.access import Caller
from parfocal.v1 import adapter_pb2
from parfocal.v1 import registry_service_pb2 as pb
from parfocal.v1.registry_service_pb2_grpc import RegistryServiceServicer

# What the log says of a request, if present: its subject and its caller.
_TOLD = ("reference", "name", "alias", "version", "expected_version", "weight", "after_sequence", "actor")
_MARGIN_S = 0.25
_MARGIN_SHARE = 0.1


# size: one method for each rpc of the service
class RegistryService(RegistryServiceServicer):
    """Serves `registry`; uploads under way are kept under `uploads` (default: ~/.cache/parfocal/uploads).

    Registry calls block, so each runs in a thread. `rpcs` and `uploads` say how much is under way.
    """

    def __init__(
        self,
        registry: Registry,
        uploads: Path | None = None,
        limits: ServiceLimits = ServiceLimits(),  # noqa: B008  # frozen
    ) -> None:
        self._registry = registry
        self._folder = uploads or cache_home() / "uploads"
        self._staging = Staging(self._folder)
        with disk_errors(self._folder):
            self._staging.sweep()
            self.uploads = Uploads(self._folder, limits)
        self.rpcs = Room(limits.max_registry_rpcs, "max_registry_rpcs")
        # Separate, so that what waits for a lock, a disk or a long check holds up nothing of another kind.
        self._look_ups = Threads(16, "registry-look-up")
        self._readings = Threads(2, "registry-reading")
        self._fields = ManifestFields()
        self._lists = Lists(registry)
        self._gates = Gates(registry)
        self._changes = Threads(4, "registry-change")
        self._downloads = Threads(4, "registry-download")
        self._pieces = Threads(4, "registry-upload")
        self._blobs = BlobUploads(self._folder, limits.upload_keep_s, self.uploads, self._pieces)
        self._keep_s = limits.upload_keep_s
        self._storing = Threads(4, "registry-store")
        # One check of a large adapter keeps a core busy for seconds, beside streams that want their tokens.
        self._publishing = Threads(1, "registry-publish", patient=True)
        # Watches last: half of the room stays for who asks and leaves.
        self.watches = Room(max(1, limits.max_registry_rpcs // 2), "max_registry_rpcs")
        self._feed = Feed(registry, Threads(4, "registry-watch"))

    async def PublishVersion(
        self, request_iterator: AsyncIterator[pb.PublishVersionRequest], context: Context
    ) -> adapter_pb2.Version:
        """Receives an adapter and publishes it; a stream that breaks leaves nothing."""
        with self.uploads.one() as staged:
            async with contextlib.aclosing(self.uploads.paced(request_iterator, _bytes_in)) as requests:
                header = await publish_header(requests)
                _tell(header, context)
                files = announced(header)
                if isinstance(self._registry, TakesBlobs):
                    await self._look_ups(self._registry.check_quota, header.name, files)
                async with self._work_folder() as folder:
                    upload = Upload(folder, files)
                    staged.announce(sum(file.size for file in files))
                    async for request in requests:
                        if not request.HasField("chunk"):
                            raise InvalidUpload("after the header only chunks may follow", field="part")
                        data = request.chunk.data  # each look copies it
                        staged.take(len(data))
                        await to_the_end(self._pieces(upload.write, request.chunk.path, data))
                    upload.finish()
                    version = await to_the_end(
                        self._publishing(self._publish, header, folder, current_caller())
                    )
        _tell_of(version)
        return await self._version_reply(version)

    async def FindMissingBlobs(
        self, request: pb.FindMissingBlobsRequest, context: Context
    ) -> pb.FindMissingBlobsResponse:
        """Says which files must be uploaded, and from which byte on."""
        _tell(request, context)
        registry = taking_blobs(self._registry)
        name = str(AdapterName.parse(request.name))
        files = announced_files(request.files)
        return await self._pieces(self._missing, registry, name, files, current_caller())

    async def UploadBlob(
        self, request_iterator: AsyncIterator[pb.UploadBlobRequest], context: Context
    ) -> pb.UploadBlobResponse:
        """Receives a file, or the rest of it; a stream that breaks leaves what has come."""
        registry, owner = taking_blobs(self._registry), current_caller().key_id
        async with self._blobs.one(request_iterator, owner) as (entry, file):
            await to_the_end(self._storing(registry.receive, file, entry, owner, self._keep_s))
        return pb.UploadBlobResponse()

    async def PublishBlobs(self, request: pb.PublishBlobsRequest, context: Context) -> adapter_pb2.Version:
        """Publishes files that were uploaded, or came with the message."""
        _tell(request.header, context)
        registry, owner = taking_blobs(self._registry), current_caller().key_id
        uploaded = Uploaded(tuple(announced(request.header)), owner, whole_files(request))
        version = await to_the_end(
            self._publishing(self._publish_uploaded, registry, request.header, uploaded, current_caller())
        )
        _tell_of(version)
        return await self._version_reply(version)

    async def GetVersion(self, request: pb.GetVersionRequest, context: Context) -> adapter_pb2.Version:
        """Returns one version."""
        _tell(request, context)
        return await self._resolved(f"{AdapterName.parse(request.name)}@{check_version(request.version)}")

    async def ResolveAdapter(
        self, request: pb.ResolveAdapterRequest, context: Context
    ) -> adapter_pb2.Version:
        """Returns the version that a reference means now."""
        _tell(request, context)
        return await self._resolved(request.reference)

    async def AddSignature(self, request: pb.AddSignatureRequest, context: Context) -> adapter_pb2.Signature:
        """Adds a signature to a version."""
        _tell(request, context)
        actor = signed(request.actor, current_caller())
        added = await to_the_end(
            self._changes(self._registry.add_signature, request.name, request.version, request.bundle, actor)
        )
        return signature_message(added)

    async def ListSignatures(
        self, request: pb.ListSignaturesRequest, context: Context
    ) -> pb.ListSignaturesResponse:
        """Lists the signatures of a version."""
        _tell(request, context)
        found = await self._look_ups(self._registry.signatures, request.name, request.version)
        return pb.ListSignaturesResponse(signatures=map(signature_message, found))

    async def ListAdapters(
        self, request: pb.ListAdaptersRequest, context: Context
    ) -> pb.ListAdaptersResponse:
        """Lists the adapters with their aliases."""
        _tell(request, context)
        return await self._look_ups(self._lists.adapters, request, current_caller())

    async def ListNamespaces(
        self, request: pb.ListNamespacesRequest, context: Context
    ) -> pb.ListNamespacesResponse:
        """Lists what namespaces hold and may hold."""
        _tell(request, context)
        return await self._readings(self._lists.namespaces, request)

    async def ListVersions(
        self, request: pb.ListVersionsRequest, context: Context
    ) -> pb.ListVersionsResponse:
        """Lists the versions of an adapter."""
        _tell(request, context)
        where = read_filter(request.filter)
        page = await self._look_ups(
            self._registry.versions, request.name, request.page_size, request.page_token, where
        )
        await self._read_large(page.items)
        written = await self._look_ups(self._written_versions, request, page)
        return as_reply(pb.ListVersionsResponse, written)

    async def SetAlias(self, request: pb.SetAliasRequest, context: Context) -> adapter_pb2.Alias:
        """Points an alias at a version."""
        _tell(request, context)
        return alias_message(await self._changes(self._gates.move, request, current_caller()))

    async def SetCanary(self, request: pb.SetCanaryRequest, context: Context) -> adapter_pb2.Alias:
        """Gives a share of an alias's requests to a second version."""
        _tell(request, context)
        return alias_message(await self._changes(self._gates.begin_canary, request, current_caller()))

    async def AbortCanary(self, request: pb.AbortCanaryRequest, context: Context) -> adapter_pb2.Alias:
        """Gives all requests of an alias to the version that it points at."""
        _tell(request, context)
        return alias_message(await self._changes(self._gates.abort_canary, request, current_caller()))

    async def GetGate(self, request: pb.GetGateRequest, context: Context) -> adapter_pb2.Gate:
        """Returns the gate of an alias."""
        _tell(request, context)
        return await self._look_ups(self._gates.get, request)

    async def SetGate(self, request: pb.SetGateRequest, context: Context) -> adapter_pb2.Gate:
        """Gives an alias a gate."""
        _tell(request, context)
        return await self._changes(self._gates.set, request, current_caller())

    async def ClearGate(self, request: pb.ClearGateRequest, context: Context) -> Empty:
        """Takes an alias's gate away."""
        _tell(request, context)
        await self._changes(self._gates.clear, request, current_caller())
        return Empty()

    async def CheckGate(self, request: pb.CheckGateRequest, context: Context) -> adapter_pb2.GateVerdict:
        """Says what a gate finds of a version."""
        _tell(request, context)
        return await self._readings(self._gates.check, request)

    async def ListAliases(self, request: pb.ListAliasesRequest, context: Context) -> pb.ListAliasesResponse:
        """Lists aliases, with their history if asked."""
        _tell(request, context)
        return await self._look_ups(self._lists.aliases, request)

    async def ListAliasMoves(
        self, request: pb.ListAliasMovesRequest, context: Context
    ) -> pb.ListAliasMovesResponse:
        """Lists the moves of one alias, or of all."""
        _tell(request, context)
        return await self._look_ups(self._lists.moves, request)

    async def RollbackAlias(self, request: pb.RollbackAliasRequest, context: Context) -> adapter_pb2.Alias:
        """Undoes the last move of an alias, if it still points where the caller says."""
        _tell(request, context)
        alias = await self._changes(
            self._registry.rollback_alias,
            request.name,
            request.alias,
            check_needed(_expected(request)),
            signed(request.actor, current_caller()),
        )
        return alias_message(alias)

    async def DeleteAlias(self, request: pb.DeleteAliasRequest, context: Context) -> Empty:
        """Deletes an alias."""
        _tell(request, context)
        actor = signed(request.actor, current_caller())
        await self._changes(
            self._registry.delete_alias, request.name, request.alias, actor, _expected(request)
        )
        return Empty()

    async def DeleteVersion(self, request: pb.DeleteVersionRequest, context: Context) -> Empty:
        """Deletes a version."""
        _tell(request, context)
        actor = signed(request.actor, current_caller())
        await self._changes(self._registry.delete_version, request.name, request.version, actor)
        return Empty()

    async def DeleteAdapter(self, request: pb.DeleteAdapterRequest, context: Context) -> Empty:
        """Deletes an adapter with its versions."""
        _tell(request, context)
        actor = signed(request.actor, current_caller())
        await self._changes(self._registry.delete_adapter, request.name, request.force, actor)
        return Empty()

    async def DownloadVersion(
        self, request: pb.DownloadVersionRequest, context: Context
    ) -> AsyncIterator[pb.DownloadVersionResponse]:
        """Sends a version, then its files, verified just before."""
        _tell(request, context)
        version = await self._look_ups(self._chosen, request, current_caller())
        await self._read_large([version])
        first = await self._look_ups(self._written_version, version)
        _tell_of(version)
        files = await self._downloads(files_from, version, request.path, request.offset)
        begins = pb.DownloadVersionResponse(path=files[0].path, offset=request.offset).SerializeToString()
        yield as_reply(pb.DownloadVersionResponse, first_of_download_bytes(first) + begins)
        with contextlib.closing(SentFiles(self._registry, version, files, request.offset)) as sent:
            for entry, source in zip(files, await self._downloads(sent.open), strict=True):
                pieces = chunks_of(source)
                while data := await self._downloads(next, pieces, b""):
                    yield pb.DownloadVersionResponse(chunk=pb.FileChunk(path=entry.path, data=data))

    @endless
    async def Watch(self, request: pb.WatchRequest, context: Context) -> AsyncIterator[pb.WatchResponse]:
        """Sends where the watch begins, then each event."""
        _tell(request, context)
        after, caller = (
            request.after_sequence if request.HasField("after_sequence") else None,
            current_caller(),
        )
        with self._watching():
            async with contextlib.aclosing(self._feed.events(request.name, after)) as events:
                async for told in events:
                    if not isinstance(told, Event):
                        yield pb.WatchResponse(sequence=told)
                    elif caller.sees(told.name):
                        yield event_message(told)

    @contextlib.contextmanager
    def _watching(self) -> Iterator[None]:
        """Room for one watch; raises Overloaded."""
        if not self.watches.take():
            raise Overloaded(
                f"{self.watches.most} watches are under way, as many as may be; try again soon, or give the "
                "server more with --max-registry-rpcs, half of which may be watches",
                limit=str(self.watches.most),
            )
        try:
            yield
        finally:
            self.watches.give_back()

    @contextlib.asynccontextmanager
    async def _work_folder(self) -> AsyncIterator[Path]:
        """Yields an empty folder that is removed at the end, both in threads: a disk may take its time."""
        with disk_errors(self._folder), contextlib.ExitStack() as stack:
            try:
                yield await to_the_end(self._pieces(stack.enter_context, self._staging.work_folder()))
            finally:
                await to_the_end(self._pieces(stack.close))

    async def _resolved(self, reference: str) -> adapter_pb2.Version:
        version = await self._look_ups(self._registry.resolve, reference)
        _tell_of(version)
        return await self._version_reply(version)

    async def _version_reply(self, version: Version) -> adapter_pb2.Version:
        """A version with its manifest, which may be megabytes: never written on the event loop."""
        await self._read_large([version])
        return as_reply(adapter_pb2.Version, await self._look_ups(self._written_version, version))

    async def _read_large(self, versions: Iterable[Version]) -> None:
        """Has manifests read that keep their reader busy, by threads that no other look-up waits for."""
        for version in versions:
            if self._fields.take_long(version):
                await self._readings(self._fields, version)

    def _written_version(self, version: Version) -> bytes:
        return version_bytes(version, self._registry.aliases(version.name), self._fields(version))

    def _written_versions(self, request: pb.ListVersionsRequest, page: Page[Version]) -> bytes:
        aliases = self._registry.aliases(request.name)
        versions = (version_bytes(version, aliases, self._fields(version)) for version in page.items)
        return versions_bytes(versions, page.next_page_token, fields_set(request.filter))

    def _publish(self, header: pb.PublishHeader, folder: Path, caller: Caller) -> Version:
        publication = read_publication(header, signed(header.actor, caller))
        return self._registry.publish(header.name, folder, publication)

    def _publish_uploaded(
        self, registry: TakesBlobs, header: pb.PublishHeader, uploaded: Uploaded, caller: Caller
    ) -> Version:
        publication = read_publication(header, signed(header.actor, caller))
        return registry.publish_uploaded(header.name, uploaded, publication)

    def _missing(
        self, registry: TakesBlobs, name: str, files: list[FileEntry], caller: Caller
    ) -> pb.FindMissingBlobsResponse:
        with disk_errors(self._folder):
            self._blobs.sweep()
            owner = caller.key_id
            registry.check_quota(name, files)
            missing = registry.missing(files, owner, self._keep_s, may_have(self._registry, caller, name))
            found = [
                pb.MissingBlob(path=each.path, received=self._blobs.received(each, owner)) for each in missing
            ]
        return pb.FindMissingBlobsResponse(missing=found)

    def _chosen(self, request: pb.DownloadVersionRequest, caller: Caller) -> Version:
        if request.HasField("digest"):
            return readable(self._registry, caller, request.digest)
        if request.HasField("reference"):
            return self._registry.resolve(request.reference)
        raise InvalidArgument("a download needs a reference or a digest", field="selector")


def _expected(
    request: pb.RollbackAliasRequest | pb.DeleteAliasRequest,
) -> int | None:
    return request.expected_version if request.HasField("expected_version") else None


def _tell_of(version: Version) -> None:
    current_call().facts |= {"adapter": str(version), "digest": version.digest}


def _tell(request: Message, context: Context) -> None:
    """Notes for the log what is asked, and for every wait in threads how long the caller will."""
    left_s = context.time_remaining()
    # Never reset: gRPC serves each rpc in a task of its own, whose variables end with it.
    if left_s is not None:
        # A refusal that says what was waited for should arrive before the caller has hung up.
        be_patient_until(time.monotonic() + left_s - min(_MARGIN_S, _MARGIN_SHARE * left_s))
    asked = {field.name: value for field, value in request.ListFields()}
    current_call().facts |= {name: asked[name] for name in _TOLD if name in asked}


def _bytes_in(request: pb.PublishVersionRequest) -> int:
    return len(request.chunk.data)
