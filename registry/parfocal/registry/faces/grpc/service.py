"""RegistryService: any registry over gRPC. Knows messages and streams, not how a registry keeps anything."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from parfocal.registry.disk import Staging, be_patient_until, cache_home, disk_errors
from parfocal.registry.errors import AliasNotFound, InvalidArgument, InvalidUpload, Overloaded
from parfocal.registry.faces.grpc.feed import Feed
from parfocal.registry.faces.grpc.fitting import fitting
from parfocal.registry.faces.grpc.sight import readable, seen_adapters, signed
from parfocal.registry.faces.grpc.threads import Threads
from parfocal.registry.faces.grpc.uploads import Uploads
from parfocal.registry.faces.limits import ServiceLimits
from parfocal.registry.publishing import Upload
from parfocal.registry.registry import Registry
from parfocal.registry.values import (
    MAX_PAGE_SIZE,
    AdapterName,
    Alias,
    Event,
    FileEntry,
    Page,
    Version,
    check_needed,
    check_version,
    checked_page_size,
    chunks_of,
    key_in,
    page_token,
)
from parfocal.registry.wire import (
    ManifestFields,
    adapter_message,
    alias_message,
    event_message,
    first_of_download_bytes,
    move_message,
    read_file,
    read_publication,
    version_bytes,
    versions_bytes,
)
from parfocal.rpc import Context, Room, as_reply, current_call, current_caller, endless
from parfocal.rpc.access import Caller
from parfocal.v1 import adapter_pb2
from parfocal.v1 import registry_service_pb2 as pb
from parfocal.v1.limits import UPLOAD_FILES
from parfocal.v1.registry_service_pb2_grpc import RegistryServiceServicer

T = TypeVar("T")


# What the log says of a request, if present: its subject and its caller.
_TOLD = ("reference", "name", "alias", "version", "expected_version", "after_sequence", "actor")


_MARGIN_S = 0.25
_MARGIN_SHARE = 0.1


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
        self._changes = Threads(4, "registry-change")
        self._downloads = Threads(4, "registry-download")
        self._pieces = Threads(4, "registry-upload")
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
            async with contextlib.aclosing(self.uploads.paced(request_iterator)) as requests:
                header = await _header(requests)
                _tell(header, context)
                files = _announced(header)
                async with self._work_folder() as folder:
                    upload = Upload(folder, files)
                    staged.announce(sum(file.size for file in files))
                    async for request in requests:
                        if not request.HasField("chunk"):
                            raise InvalidUpload("after the header only chunks may follow", field="part")
                        staged.take(len(request.chunk.data))
                        await _to_the_end(self._pieces(upload.write, request.chunk.path, request.chunk.data))
                    upload.finish()
                    version = await _to_the_end(self._publishing(self._publish, header, folder))
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

    async def ListAdapters(
        self, request: pb.ListAdaptersRequest, context: Context
    ) -> pb.ListAdaptersResponse:
        """Lists the adapters with their aliases."""
        _tell(request, context)
        return await self._look_ups(self._list_adapters, request, current_caller())

    async def ListVersions(
        self, request: pb.ListVersionsRequest, context: Context
    ) -> pb.ListVersionsResponse:
        """Lists the versions of an adapter."""
        _tell(request, context)
        page = await self._look_ups(
            self._registry.versions, request.name, request.page_size, request.page_token
        )
        await self._read_large(page.items)
        written = await self._look_ups(self._written_versions, request.name, page)
        return as_reply(pb.ListVersionsResponse, written)

    async def SetAlias(self, request: pb.SetAliasRequest, context: Context) -> adapter_pb2.Alias:
        """Points an alias at a version."""
        _tell(request, context)
        target, expected = request.version, _expected(request)
        actor = signed(request.actor, current_caller())
        alias = await self._changes(
            self._registry.set_alias, request.name, request.alias, target, expected, actor
        )
        return alias_message(alias)

    async def ListAliases(self, request: pb.ListAliasesRequest, context: Context) -> pb.ListAliasesResponse:
        """Lists aliases, with their history if asked."""
        _tell(request, context)
        return await self._look_ups(self._list_aliases, request)

    async def ListAliasMoves(
        self, request: pb.ListAliasMovesRequest, context: Context
    ) -> pb.ListAliasMovesResponse:
        """Lists the moves of one alias, or of all."""
        _tell(request, context)
        return await self._look_ups(self._list_moves, request)

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
        yield as_reply(pb.DownloadVersionResponse, first_of_download_bytes(first))
        folder = await self._downloads(self._registry.materialise, version.digest)
        for entry in await self._downloads(_files_of, version):
            async with self._downloads.opened(folder / entry.path) as file:
                pieces = chunks_of(file)
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
                yield await _to_the_end(self._pieces(stack.enter_context, self._staging.work_folder()))
            finally:
                await _to_the_end(self._pieces(stack.close))

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

    def _written_versions(self, name: str, page: Page[Version]) -> bytes:
        aliases = self._registry.aliases(name)
        versions = (version_bytes(version, aliases, self._fields(version)) for version in page.items)
        return versions_bytes(versions, page.next_page_token)

    def _publish(self, header: pb.PublishHeader, folder: Path) -> Version:
        return self._registry.publish(header.name, folder, read_publication(header))

    def _chosen(self, request: pb.DownloadVersionRequest, caller: Caller) -> Version:
        if request.HasField("digest"):
            return readable(self._registry, caller, request.digest)
        if request.HasField("reference"):
            return self._registry.resolve(request.reference)
        raise InvalidArgument("a download needs a reference or a digest", field="selector")

    def _list_adapters(self, request: pb.ListAdaptersRequest, caller: Caller) -> pb.ListAdaptersResponse:
        page = seen_adapters(self._registry, caller, request.page_size, request.page_token)
        messages = (adapter_message(item, self._registry.aliases(item.name)) for item in page.items)
        adapters = fitting(messages)
        token = page.next_page_token
        if len(adapters) < len(page.items):
            token = page_token("adapters", adapters[-1].name)
        return pb.ListAdaptersResponse(adapters=adapters, next_page_token=token)

    def _list_aliases(self, request: pb.ListAliasesRequest) -> pb.ListAliasesResponse:
        size = checked_page_size(request.page_size)
        name = str(AdapterName.parse(request.name))
        listing = f"aliases/{name}/{request.alias}"
        after = key_in(request.page_token, listing)
        found = [alias for alias in self._registry.aliases(name) if request.alias in ("", alias.alias)]
        if request.alias and not found:
            raise AliasNotFound(
                f"adapter {name!r} has no alias {request.alias[:80]!a}; leave it out to list them all",
                adapter=name,
            )
        rest = [alias for alias in found if alias.alias > after]
        messages = fitting(self._alias_message(alias, request.include_history) for alias in rest[:size])
        token = page_token(listing, messages[-1].alias) if len(rest) > len(messages) else ""
        return pb.ListAliasesResponse(aliases=messages, next_page_token=token)

    def _alias_message(self, alias: Alias, include_history: bool) -> adapter_pb2.Alias:
        if not include_history:
            return alias_message(alias)
        return alias_message(alias, self._registry.alias_moves(alias.name, alias.alias, MAX_PAGE_SIZE).items)

    def _list_moves(self, request: pb.ListAliasMovesRequest) -> pb.ListAliasMovesResponse:
        page = self._registry.alias_moves(request.name, request.alias, request.page_size, request.page_token)
        moves = [move_message(move) for move in page.items]
        return pb.ListAliasMovesResponse(moves=moves, next_page_token=page.next_page_token)


def _expected(
    request: pb.SetAliasRequest | pb.RollbackAliasRequest | pb.DeleteAliasRequest,
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


def _files_of(version: Version) -> tuple[FileEntry, ...]:
    return version.manifest.files


def _announced(header: pb.PublishHeader) -> list[FileEntry]:
    AdapterName.parse(header.name)
    if len(header.files) > UPLOAD_FILES.most:
        raise InvalidUpload(
            f"the header announces {len(header.files)} files; at most {UPLOAD_FILES.most} make an adapter",
            field="header.files",
        )
    return [read_file(file) for file in header.files]


async def _header(requests: AsyncIterator[pb.PublishVersionRequest]) -> pb.PublishHeader:
    async for request in requests:
        if request.HasField("header"):
            return request.header
        break
    raise InvalidUpload("an upload begins with its header", field="header")


async def _to_the_end(work: Awaitable[T]) -> T:
    """Returns the result of `work` in a thread, which is waited for even when the caller goes away.

    Its files must not be removed while it runs.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
    finally:
        # What failed holds its error, whose traceback holds this frame and all that the thread had read.
        del task, work
