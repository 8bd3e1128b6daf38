"""A registry behind `grpc://host:port`. Trusts no byte that it has not verified."""

# size: a method for each call of the protocol

import logging
import os
import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from parfocal.client.transfer import Progress, Source, upload_parts
from parfocal.registry.disk import cache_home, disk_errors
from parfocal.registry.errors import BlobCorrupt, InvalidArgument
from parfocal.registry.gates import AS_THE_GATE_SAYS, Gate, Override, StandingGate, Verdict
from parfocal.registry.index import refusals
from parfocal.registry.publishing import Publication, draft
from parfocal.registry.quotas import NamespaceUse
from parfocal.registry.remote.cache import RemoteCache
from parfocal.registry.remote.foreseen import presigned
from parfocal.registry.remote.persistence import Persistence
from parfocal.registry.remote.pulling import Pull, first_version
from parfocal.registry.remote.pushing import Push, Report, Sent
from parfocal.registry.remote.replies import (
    check_applied,
    checked_adapters,
    checked_alias,
    checked_gate,
    checked_moves,
    checked_page,
    checked_resolved,
    checked_verdict,
    checked_version,
    checked_versions,
)
from parfocal.registry.remote.upload import publish_header, sources, weights_hashed
from parfocal.registry.remote.watch import RemoteWatch
from parfocal.registry.signing import Bundle
from parfocal.registry.values import (
    ALL_MOVES,
    ALL_VERSIONS,
    MAX_PAGE_SIZE,
    AdapterName,
    AdapterSummary,
    Alias,
    AliasMove,
    CanaryComparison,
    CanaryPlan,
    Manifest,
    MoveFilter,
    Page,
    Reference,
    Signature,
    Version,
    VersionFilter,
    check_actor,
    check_alias,
    check_canary_number,
    check_expected,
    check_needed,
    check_reason,
    check_sequence,
    check_version,
    checked_page_size,
    every_item,
    parse_digest,
)
from parfocal.registry.wire import (
    comparison_messages,
    filter_message,
    guard_messages,
    read_adapter,
    read_alias,
    read_listed,
    read_move,
    read_namespace,
    read_signature,
    read_verdict,
    read_version,
    registry_errors,
    rule_messages,
    timestamp,
)
from parfocal.rpc import Credentials, Endpoint, RemoteError, open_blocking_channel
from parfocal.v1 import adapter_pb2
from parfocal.v1 import registry_service_pb2 as pb
from parfocal.v1.registry_service_pb2_grpc import RegistryServiceStub

log = logging.getLogger(__name__)

_DEADLINE_S = 60.0
# A registry reads a version of many gigabytes to the end before it sends the first byte.
_SILENCE_S = 300.0
# A server that is restarted answers again by then.
_RETURN_S = 30.0


# size: one method for each that a registry has
class RemoteRegistry:
    """The registry that a server at `location` (`grpc://host:port`, or `grpcs://…` over TLS) serves.

    It is shown `credentials`, by default those that the environment names (`PARFOCAL_API_KEY`, …). Downloads
    are kept in `cache` (default: the user's cache), and end when nothing comes for `silence_s` seconds.
    Transfers that are cut go on where they were, in this process if the server is back within `return_s`
    seconds, else in a later one. Besides what every registry raises, calls raise RemoteError when the server
    cannot be reached.
    """

    def __init__(
        self,
        location: str,
        *,
        credentials: Credentials | None = None,
        cache: Path | None = None,
        silence_s: float = _SILENCE_S,
        return_s: float = _RETURN_S,
    ) -> None:
        shown = Credentials.found_in(os.environ) if credentials is None else credentials
        self._endpoint = Endpoint.parse(location, shown)
        channel = open_blocking_channel(self._endpoint)
        weakref.finalize(self, channel.close)
        self._stub = RegistryServiceStub(channel)
        self._silence_s = silence_s
        self._return_s = return_s
        self._home = cache or cache_home()
        with disk_errors(self._home):
            self._cache = RemoteCache(self._home)

    def publish(
        self,
        name: str,
        folder: Path,
        publication: Publication,
        progress: Progress | None = None,
        sent: Sent | None = None,
    ) -> Version:
        """The version that the PEFT folder became; refuses what is wrong before sending.

        Only what the registry lacks travels, and `sent` is told how many bytes that are.
        """
        adapter = str(AdapterName.parse(name))
        with weights_hashed(folder) as weights:
            prepared = draft(folder, publication)
            files, report = sources(prepared, weights()), Report(progress, sent)
        with disk_errors(self._home), self._cache.staging.work_folder() as work:
            signed = presigned(adapter, prepared.publication, files, work)
        header = publish_header(adapter, signed)
        try:
            push = Push(self._stub, self._endpoint, header, files, report)
            reply = push.carry_out(Persistence(self._return_s))
        except RemoteError as error:
            if error.status != "UNIMPLEMENTED":
                raise
            reply = self._published_at_once(header, files, report)
        with registry_errors(self._endpoint):
            version = checked_version(read_version(reply), adapter)
        # Files beside the adapter are not sent, so only this side can warn of them.
        for warning in prepared.warnings:
            if warning not in version.manifest.warnings:
                log.warning("%s: %s", version.name, warning)
        return version

    def _published_at_once(
        self, header: pb.PublishHeader, files: Sequence[Source], report: Report
    ) -> adapter_pb2.Version:
        """Publishes at a registry that takes all files in one stream, or none."""
        with registry_errors(self._endpoint):
            reply = self._stub.PublishVersion(upload_parts(header, files, report.progress))
        if report.sent is not None:
            report.sent(sum(each.size for each in files))
        return reply

    def resolve(self, reference: str) -> Version:
        """The version that a reference means now; see Registry."""
        wanted = Reference.parse(reference)
        with registry_errors(self._endpoint):
            request = pb.ResolveAdapterRequest(reference=str(wanted))
            reply = self._stub.ResolveAdapter(request, timeout=_DEADLINE_S)
        return checked_resolved(read_version(reply), wanted)

    def signatures(self, name: str, version: int) -> tuple[Signature, ...]:
        """The signatures of a live version; see Registry. A server of before there were any has none."""
        request = pb.ListSignaturesRequest(name=str(AdapterName.parse(name)), version=check_version(version))
        try:
            with registry_errors(self._endpoint):
                reply = self._stub.ListSignatures(request, timeout=_DEADLINE_S)
        except RemoteError as error:
            if error.status != "UNIMPLEMENTED":
                raise
            return ()
        return tuple(read_signature(each) for each in reply.signatures)

    def add_signature(self, name: str, version: int, bundle: bytes, actor: str = "") -> Signature:
        """The signature that is added to a live version; see Registry. What is no bundle is not sent."""
        Bundle.from_bytes(bundle)
        with registry_errors(self._endpoint):
            request = pb.AddSignatureRequest(
                name=str(AdapterName.parse(name)),
                version=check_version(version),
                bundle=bundle,
                actor=check_actor(actor),
            )
            reply = self._stub.AddSignature(request, timeout=_DEADLINE_S)
        return read_signature(reply)

    def find(self, digest: str) -> Version:
        """A version with this digest under any name; see Registry."""
        request = pb.DownloadVersionRequest(digest=parse_digest(digest))
        with registry_errors(self._endpoint):
            call = self._stub.DownloadVersion(request, timeout=_DEADLINE_S)
            try:
                return first_version(next(iter(call), pb.DownloadVersionResponse()), digest)
            finally:
                call.cancel()  # type: ignore[no-untyped-call]  # the files are not wanted

    def manifest(self, digest: str) -> Manifest:
        """The manifest with this digest, from the cache if it is there; see Registry."""
        with disk_errors(self._home):
            return self._cache.manifest(parse_digest(digest)) or self.find(digest).manifest

    def keep_manifest(self, manifest: Manifest) -> None:
        """Keeps a manifest in the cache, so that it needs no server later; raises StorageError."""
        with disk_errors(self._home):
            self._cache.keep_manifest(manifest)

    def kept_bundles(self, digest: str) -> tuple[bytes, ...]:
        """The signatures of a version that were kept in the cache; raises StorageError."""
        with disk_errors(self._home):
            return self._cache.bundles(parse_digest(digest))

    def keep_bundles(self, digest: str, bundles: Sequence[bytes]) -> None:
        """Keeps the signatures of a version in the cache, in place of others; raises StorageError."""
        with disk_errors(self._home):
            self._cache.keep_bundles(digest, bundles)

    def materialise(self, digest: str) -> Path:
        """A local folder with the version's files, every byte verified now; see Registry."""
        with disk_errors(self._home):
            folder = self._cache.folder(parse_digest(digest))
            if folder is None:
                pull = Pull(self._stub, self._endpoint, self._cache, digest, self._silence_s)
                pull.carry_out(Persistence(self._return_s))
                folder = self._cache.folder(digest)
        if folder is None:
            raise BlobCorrupt(
                f"the local copy of {digest} changed while it was made; try again", digest=digest
            )
        return folder

    def adapters(
        self, page_size: int = 0, page_token: str = "", where: VersionFilter = ALL_VERSIONS
    ) -> Page[AdapterSummary]:
        """A page of adapters, sorted by name; see Registry."""
        with registry_errors(self._endpoint):
            request = pb.ListAdaptersRequest(
                page_size=checked_page_size(page_size), page_token=page_token, filter=filter_message(where)
            )
            reply = self._stub.ListAdapters(request, timeout=_DEADLINE_S)
        check_applied(request.filter, reply.applied_filters)
        found = checked_adapters([read_adapter(item) for item in reply.adapters])
        return checked_page(found, reply.next_page_token, page_token)

    def versions(
        self, name: str, page_size: int = 0, page_token: str = "", where: VersionFilter = ALL_VERSIONS
    ) -> Page[Version]:
        """A page of live versions, the newest first; see Registry."""
        size, adapter = checked_page_size(page_size), str(AdapterName.parse(name))
        with registry_errors(self._endpoint):
            request = pb.ListVersionsRequest(
                name=adapter, page_size=size, page_token=page_token, filter=filter_message(where)
            )
            reply = self._stub.ListVersions(request, timeout=_DEADLINE_S)
        check_applied(request.filter, reply.applied_filters)
        found = checked_versions([read_listed(item) for item in reply.versions], adapter)
        return checked_page(found, reply.next_page_token, page_token)

    def aliases(self, name: str) -> list[Alias]:
        """The aliases of an adapter, sorted; see Registry."""
        adapter = str(AdapterName.parse(name))

        def page(token: str) -> Page[Alias]:
            with registry_errors(self._endpoint):
                request = pb.ListAliasesRequest(name=adapter, page_token=token)
                reply = self._stub.ListAliases(request, timeout=_DEADLINE_S)
            found = tuple(checked_alias(read_alias(alias), adapter) for alias in reply.aliases)
            return checked_page(found, reply.next_page_token, token)

        return list(every_item(page))

    def alias_history(self, name: str, alias: str) -> list[AliasMove]:
        """Every move of an alias, the newest first; see Registry."""
        word = check_alias(alias)
        return list(every_item(lambda token: self.alias_moves(name, word, MAX_PAGE_SIZE, token)))

    def alias_moves(
        self,
        name: str,
        alias: str = "",
        page_size: int = 0,
        page_token: str = "",
        where: MoveFilter = ALL_MOVES,
    ) -> Page[AliasMove]:
        """A page of moves, of one alias or of all of an adapter, the newest first; see Registry."""
        adapter, word = str(AdapterName.parse(name)), check_alias(alias) if alias else ""
        with registry_errors(self._endpoint):
            request = pb.ListAliasMovesRequest(
                name=adapter,
                alias=word,
                page_size=checked_page_size(page_size),
                page_token=page_token,
                actor=where.actor,
                moved_since=timestamp(where.moved.since),
                moved_until=timestamp(where.moved.until),
            )
            reply = self._stub.ListAliasMoves(request, timeout=_DEADLINE_S)
        check_applied(request, reply.applied_filters)
        found = checked_moves((read_move(move) for move in reply.moves), adapter, word)
        return checked_page(found, reply.next_page_token, page_token)

    def watch(self, name: str = "", after: int | None = None) -> RemoteWatch:
        """What happens from now on, or after a number; see Registry."""
        adapter = str(AdapterName.parse(name)) if name else ""
        return RemoteWatch(self, self._stub, adapter, check_sequence(after))

    def set_alias(
        self, name: str, alias: str, version: int, expected_version: int | None = None, actor: str = ""
    ) -> Alias:
        """Points an alias at a live version and records the move; see Registry."""
        return self.move_alias(name, alias, version, Override("", actor, expected_version))

    def override_gate(self, name: str, alias: str, version: int, override: Override) -> Alias:
        """Points an alias at a live version though its gate refuses; see Registry."""
        if not check_reason(override.reason):
            raise InvalidArgument("a gate is overridden for a reason; say which", field="override_reason")
        return self.move_alias(name, alias, version, override)

    def move_alias(self, name: str, alias: str, version: int, override: Override) -> Alias:
        """Points an alias at a live version, as the override says; see Registry."""
        with registry_errors(self._endpoint):
            request = pb.SetAliasRequest(
                name=str(AdapterName.parse(name)),
                alias=check_alias(alias),
                version=check_version(version),
                expected_version=check_expected(override.expected_version),
                actor=check_actor(override.actor),
                override_reason=check_reason(override.reason),
                expected_canary=override.expected_canary,
            )
            reply = self._stub.SetAlias(request, timeout=_DEADLINE_S)
            return checked_alias(read_alias(reply), request.name, request.alias, version)

    def set_canary(
        self, name: str, alias: str, plan: CanaryPlan, override: Override = AS_THE_GATE_SAYS
    ) -> Alias:
        """Gives a share of an alias's requests to a second live version; see Registry."""
        with registry_errors(self._endpoint):
            request = pb.SetCanaryRequest(
                name=str(AdapterName.parse(name)),
                alias=check_alias(alias),
                version=check_version(plan.version),
                weight=plan.weight,
                guards=guard_messages(plan.guards),
                expected_version=check_expected(override.expected_version),
                expected_canary=override.expected_canary,
                actor=check_actor(override.actor),
                override_reason=check_reason(override.reason),
            )
            reply = self._stub.SetCanary(request, timeout=_DEADLINE_S)
            return checked_alias(read_alias(reply), request.name, request.alias)

    def promote_canary(self, seen: Alias, override: Override = AS_THE_GATE_SAYS) -> Alias:
        """Points an alias at its canary's version; see Registry."""
        canary = seen.canary
        if canary is None:
            raise refusals.no_canary(seen.name, seen.alias)
        checked = replace(override, expected_version=seen.version, expected_canary=canary.number)
        return self.move_alias(seen.name, seen.alias, canary.version, checked)

    def abort_canary(
        self, name: str, alias: str, number: int, actor: str = "", found: tuple[CanaryComparison, ...] = ()
    ) -> Alias:
        """Gives all requests of an alias to the version that it points at; see Registry."""
        with registry_errors(self._endpoint):
            request = pb.AbortCanaryRequest(
                name=str(AdapterName.parse(name)),
                alias=check_alias(alias),
                expected_canary=check_canary_number(number),
                actor=check_actor(actor),
                comparisons=comparison_messages(found),
            )
            reply = self._stub.AbortCanary(request, timeout=_DEADLINE_S)
            return checked_alias(read_alias(reply), request.name, request.alias)

    def rollback_alias(self, name: str, alias: str, expected_version: int, actor: str = "") -> Alias:
        """Undoes the last move of an alias that was not undone yet; see Registry."""
        with registry_errors(self._endpoint):
            request = pb.RollbackAliasRequest(
                name=str(AdapterName.parse(name)),
                alias=check_alias(alias),
                actor=check_actor(actor),
                expected_version=check_needed(expected_version),
            )
            reply = self._stub.RollbackAlias(request, timeout=_DEADLINE_S)
        return checked_alias(read_alias(reply), request.name, request.alias)

    def gate(self, name: str, alias: str) -> StandingGate:
        """The gate that an alias carries; see Registry."""
        with registry_errors(self._endpoint):
            request = pb.GetGateRequest(name=str(AdapterName.parse(name)), alias=check_alias(alias))
            reply = self._stub.GetGate(request, timeout=_DEADLINE_S)
        return checked_gate(reply, request.name, request.alias)

    def set_gate(self, name: str, alias: str, gate: Gate, actor: str = "") -> StandingGate:
        """Gives an alias a gate, in place of the one that it has; see Registry."""
        with registry_errors(self._endpoint):
            request = pb.SetGateRequest(
                name=str(AdapterName.parse(name)),
                alias=check_alias(alias),
                rules=rule_messages(gate),
                actor=check_actor(actor),
            )
            reply = self._stub.SetGate(request, timeout=_DEADLINE_S)
        return checked_gate(reply, request.name, request.alias)

    def clear_gate(self, name: str, alias: str, actor: str = "") -> None:
        """Takes an alias's gate away; see Registry."""
        with registry_errors(self._endpoint):
            request = pb.ClearGateRequest(
                name=str(AdapterName.parse(name)), alias=check_alias(alias), actor=check_actor(actor)
            )
            self._stub.ClearGate(request, timeout=_DEADLINE_S)

    def check_gate(self, name: str, alias: str, version: int) -> Verdict:
        """What an alias's gate finds of a version now; see Registry."""
        with registry_errors(self._endpoint):
            request = pb.CheckGateRequest(
                name=str(AdapterName.parse(name)), alias=check_alias(alias), version=check_version(version)
            )
            reply = self._stub.CheckGate(request, timeout=_DEADLINE_S)
        return checked_verdict(read_verdict(reply), reply.passed, version)

    def namespaces(self, page_size: int = 0, page_token: str = "") -> Page[NamespaceUse]:
        """A page of namespaces with adapters, what they hold and what they may; see Registry."""
        with registry_errors(self._endpoint):
            request = pb.ListNamespacesRequest(page_size=checked_page_size(page_size), page_token=page_token)
            reply = self._stub.ListNamespaces(request, timeout=_DEADLINE_S)
        return checked_page(tuple(map(read_namespace, reply.namespaces)), reply.next_page_token, page_token)

    def delete_alias(
        self, name: str, alias: str, actor: str = "", expected_version: int | None = None
    ) -> None:
        """Deletes an alias and records that; see Registry."""
        with registry_errors(self._endpoint):
            request = pb.DeleteAliasRequest(
                name=str(AdapterName.parse(name)),
                alias=check_alias(alias),
                expected_version=check_expected(expected_version),
                actor=check_actor(actor),
            )
            self._stub.DeleteAlias(request, timeout=_DEADLINE_S)

    def delete_version(self, name: str, version: int, actor: str = "") -> None:
        """Deletes a version that no alias points at; see Registry."""
        with registry_errors(self._endpoint):
            request = pb.DeleteVersionRequest(
                name=str(AdapterName.parse(name)), version=check_version(version), actor=check_actor(actor)
            )
            self._stub.DeleteVersion(request, timeout=_DEADLINE_S)

    def delete_adapter(self, name: str, force: bool = False, actor: str = "") -> None:
        """Deletes every version of an adapter, and takes its name from the lists; see Registry."""
        with registry_errors(self._endpoint):
            request = pb.DeleteAdapterRequest(
                name=str(AdapterName.parse(name)), force=force, actor=check_actor(actor)
            )
            self._stub.DeleteAdapter(request, timeout=_DEADLINE_S)
