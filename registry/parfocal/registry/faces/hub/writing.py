"""The routes that upload: announcements, commits, large files before their commit. Knows HTTP."""

import asyncio
import base64
import binascii
import contextlib
import hashlib
import json
import re
import time
import weakref
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from pathlib import Path
from typing import ParamSpec, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from parfocal.registry.errors import InvalidUpload
from parfocal.registry.faces.hub.addresses import base_of
from parfocal.registry.faces.hub.bodies import read_object
from parfocal.registry.faces.hub.errors import BadCall, EntryUnknown, NotKept
from parfocal.registry.faces.hub.revisions import known_name, repo_id
from parfocal.registry.faces.hub.routing import Values
from parfocal.registry.faces.hub.uploading import (
    Announced,
    Arrival,
    Branch,
    CommitLines,
    Draft,
    Outcome,
    Publisher,
    Tickets,
    Uploader,
    UploadStore,
    check_is_adapter,
    checked_path,
    is_kept,
    key_of,
    told_ignored,
)
from parfocal.registry.faces.sight import signed
from parfocal.registry.faces.threads import Threads, to_the_end
from parfocal.registry.faces.uploads import StagedBytes, Uploads
from parfocal.registry.values import JSON, FieldError, JsonObject
from parfocal.rpc import current_call, current_caller
from parfocal.rpc.access import Need
from parfocal.v1.access import Verb
from parfocal.v1.limits import PIECE_BYTES

P = ParamSpec("P")
T = TypeVar("T")

# Clients from 1.0 on send what is "lfs" to Xet and nowhere else. For those before it saves the third that
# base64 adds.
_SENDS_LARGE_FILES = re.compile(r"\bhf_hub/0\.")
_SWEEP_S = 600.0
_LARGE_BYTES = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LFS = "application/vnd.git-lfs+json"


class Writing:
    """Uploads into a registry through `publisher`; what waits is in `store`, and counts among `uploads`."""

    def __init__(self, publisher: Publisher, store: UploadStore, uploads: Uploads) -> None:
        self._publisher = publisher
        self._store = store
        self._uploads = uploads
        self._tickets = Tickets()
        self._disk = Threads(4, "hub-upload")
        self._publishing = Threads(1, "hub-publish", patient=True)
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._waiting_bytes = 0
        self._swept = -_SWEEP_S

    async def preupload(self, request: Request, values: Values) -> Response:
        """How each file is to be sent, and which need not be: nothing of those is kept."""
        branch = _branch(request, values)
        listed = await self._disk(_listed, await read_object(request))
        by = _uploader(request)
        async with self._lock(branch.name):
            kept = await to_the_end(self._disk(self._announce, branch, by, listed))
        old = _SENDS_LARGE_FILES.search(request.headers.get("user-agent", "")) is not None
        body = await self._disk(_planned, listed, kept, old)
        ignored = [path for path in listed if path not in kept]
        warned = _warned([(f"not kept in {branch.name}", told_ignored(ignored))] if ignored else [])
        return Response(body, headers=warned, media_type="application/json")

    async def commit(self, request: Request, values: Values) -> Response:
        """A version, or a part of one that waits for the others."""
        branch, by = _branch(request, values), _uploader(request)
        await self._disk(self._publisher.head, branch)  # refused before much is sent
        with self._uploads.one() as staged:
            async with self._work_folder() as work:
                lines = CommitLines(work)
                try:
                    await self._receive(request, staged, lines.feed)
                    commit = await self._disk(lines.finish)
                finally:
                    await to_the_end(self._disk(lines.close))
                async with self._lock(branch.name):
                    take = self._publishing(self._publisher.take, work, branch, by, commit)
                    outcome = await to_the_end(take)
        await self._weigh()
        repo = repo_id(branch.name)
        told = {"success": True, "commitOid": outcome.commit, "hookOutput": ""}
        url = f"{base_of(request)}/{repo}/commit/{outcome.commit}"
        return JSONResponse({**told, "commitUrl": url}, headers=_warned(_warnings(repo, outcome)))

    async def batch(self, request: Request, values: Values) -> Response:
        """Where large files are to be sent (Git LFS, batch API); those that have come need not be."""
        name = known_name(values["repo"])
        fields = await read_object(request)
        if fields.get("operation") != "upload":
            raise NotKept("only uploads go through Git LFS here; files are read at /resolve/")
        if fields.get("hash_algo", "sha256") != "sha256":
            raise BadCall("objects are named by their sha256 here", field="hash_algo")
        await self._disk(self._publisher.check_known, name)
        objects = fields.get("objects")
        if not isinstance(objects, list):
            raise BadCall("objects is no list", field="objects")
        told = [await self._told(request, name, _wanted(each)) for each in objects]
        return JSONResponse({"transfer": "basic", "objects": told}, media_type=_LFS)

    async def put(self, request: Request, values: Values) -> Response:
        """A large file. Its address is secret and for this file only: clients show no key here."""
        ticket = self._tickets.shown(values["ticket"])
        with self._uploads.one() as staged:
            staged.announce(ticket.size)
            async with self._work_folder() as work:
                arrival = await self._disk(Arrival, work / "object", ticket)
                try:
                    await self._receive(request, staged, arrival.add)
                    await self._disk(arrival.finish)
                finally:
                    await to_the_end(self._disk(arrival.close))
                keep = self._disk(self._store.keep_object, ticket.name, ticket.sha256, work / "object")
                await to_the_end(keep)
        await self._weigh()
        return Response(status_code=200)

    async def verify(self, request: Request, values: Values) -> Response:
        """Whether a large file has come."""
        name = known_name(values["repo"])
        sha256, size = _wanted(await read_object(request))
        if await self._disk(self._size, name, sha256) != size:
            raise EntryUnknown(f"no object {sha256} of {size} bytes has come; upload it again")
        return JSONResponse({})

    async def validate(self, request: Request, values: Values) -> Response:
        """A card is not kept, so nothing about it is wrong."""
        await read_object(request)
        return JSONResponse({"errors": [], "warnings": []})

    def pending(self, name: str) -> dict[str, object] | None:
        """What waits in a repository, None where nobody created it and nothing does. Blocks."""
        drafts = self._store.drafts(name)
        if not drafts and not self._store.is_created(name):
            return None
        return {"staged": [_told_draft(draft) for draft in drafts]}

    async def opened(self) -> None:
        """Counts what waits since before this process."""
        await self._weigh()

    def _announce(self, branch: Branch, by: Uploader, listed: Mapping[str, Announced]) -> set[str]:
        """Notes which files are to come; returns those that are kept."""
        self._sweep()
        self._publisher.head(branch)
        before = self._store.draft(branch.name, by.key) or Draft(by.shown)
        check_is_adapter({*listed, *before.announced, *before.files}, repo_id(branch.name))
        kept = {path: file for path, file in listed.items() if is_kept(path, file.size)}
        if kept:
            self._store.save(branch.name, by.key, before.announcing(kept, self._store.now()), {})
        return set(kept)

    def _sweep(self) -> None:
        now = time.monotonic()
        if now - self._swept > _SWEEP_S:
            self._swept = now
            self._store.sweep()

    async def _receive(self, request: Request, staged: StagedBytes, take: Callable[[bytes], None]) -> None:
        """Hands a body on, a megabyte at a time."""
        async with contextlib.aclosing(self._uploads.paced(_pieces(request), len)) as pieces:
            waiting = bytearray()
            async for piece in pieces:
                staged.take(len(piece))
                waiting += piece
                if len(waiting) >= PIECE_BYTES.most:
                    await to_the_end(self._disk(take, bytes(waiting)))
                    waiting.clear()
            await to_the_end(self._disk(take, bytes(waiting)))

    async def _told(self, request: Request, name: str, wanted: tuple[str, int]) -> dict[str, object]:
        sha256, size = wanted
        told: dict[str, object] = {"oid": sha256, "size": size}
        if await self._disk(self._size, name, sha256) == size:
            return told
        base = base_of(request)
        upload = {"href": f"{base}/lfs/{self._tickets.give(name, sha256, size)}"}
        verify = {"href": f"{base}/{repo_id(name)}.git/info/lfs/verify"}
        return {**told, "actions": {"upload": upload, "verify": verify}}

    def _size(self, name: str, sha256: str) -> int | None:
        try:
            return self._store.object(name, sha256).stat().st_size
        except FileNotFoundError:
            return None

    async def _weigh(self) -> None:
        """Counts what waits on the disk among the bytes of all uploads."""
        now = await self._disk(self._store.size)
        room = self._uploads.staged_bytes
        room.taken += now - self._waiting_bytes
        self._waiting_bytes = now

    @contextlib.asynccontextmanager
    async def _lock(self, name: str) -> AsyncIterator[None]:
        """One at a time changes a repository: what is the newest must still be it when a commit is taken."""
        lock = self._locks.setdefault(name, asyncio.Lock())
        async with lock:
            yield

    @contextlib.asynccontextmanager
    async def _work_folder(self) -> AsyncIterator[Path]:
        with contextlib.ExitStack() as stack:
            try:
                yield await to_the_end(self._disk(stack.enter_context, self._store.work_folder()))
            finally:
                await to_the_end(self._disk(stack.close))


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    if encoding := request.headers.get("content-encoding"):
        raise BadCall(f"the body is encoded as {encoding[:60]!a}; send it as it is", field="content-encoding")
    try:
        async for piece in request.stream():
            yield piece
    except ClientDisconnect as error:
        raise InvalidUpload("the caller left before all had come; nothing of it was kept") from error


def _branch(request: Request, values: Values) -> Branch:
    """What a commit goes to; raises NotKept, or ScopeMissing where it would move an alias."""
    if request.query_params.get("create_pr") in ("1", "true"):
        raise NotKept("there are no pull requests here; commit to main, which publishes another version")
    branch = Branch.of(known_name(values["repo"]), values["revision"])
    if branch.alias:
        current_caller().check(Need(Verb.PROMOTE, branch.name))
    return branch


def _uploader(request: Request) -> Uploader:
    caller = current_caller()
    host = request.client.host if request.client else ""
    shown = f"key {caller.name}" if caller.key_id else host or "somebody"
    return Uploader(key_of(caller.key_id, host), shown, signed("", caller))


def _listed(fields: Mapping[str, JSON]) -> dict[str, Announced]:
    """The files of an announcement; raises BadCall or InvalidUpload."""
    try:
        files = JsonObject(fields).objects("files")
        return {
            checked_path(each.text("path")): Announced(each.count("size"), _sample(each.text("sample")))
            for each in files
        }
    except FieldError as error:
        raise BadCall(f"the announcement cannot be read: {error}", field="files") from error


def _planned(listed: Mapping[str, Announced], kept: Collection[str], sends_large_files: bool) -> bytes:
    """How each file of an announcement is to be sent, as JSON."""
    files = [
        {
            "path": path,
            "uploadMode": "lfs"
            if sends_large_files and path in kept and file.size > _LARGE_BYTES
            else "regular",
            "shouldIgnore": path not in kept,
        }
        for path, file in listed.items()
    ]
    return json.dumps({"files": files}).encode()


def _sample(text: str) -> str:
    try:
        return hashlib.sha256(base64.b64decode(text, validate=True)).hexdigest()
    except binascii.Error as error:
        raise BadCall("a sample is not base64", field="files.sample") from error


def _wanted(value: object) -> tuple[str, int]:
    """The sha256 and size of an object of Git LFS; raises BadCall."""
    oid, size = (value.get("oid"), value.get("size")) if isinstance(value, Mapping) else (None, None)
    if not isinstance(oid, str) or not _SHA256.fullmatch(oid):
        raise BadCall("an object has no sha256 as its oid", field="oid")
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise BadCall("an object has no size", field="size")
    return oid, size


def _warnings(repo: str, outcome: Outcome) -> list[tuple[str, str]]:
    """What a client is told beside the commit, by topic: it says each once."""
    if outcome.version is None:
        if outcome.awaited:
            waits = " and ".join(outcome.awaited)
            return [(f"{repo} {outcome.commit[:8]}", f"{repo} has no new version yet: it waits for {waits}")]
        return []
    current_call().facts |= {"adapter": str(outcome.version), "digest": outcome.version.digest}
    warnings = (*outcome.version.manifest.warnings, *outcome.cautions)
    return [(f"{outcome.version} {place}", warning) for place, warning in enumerate(warnings)]


def _warned(warnings: list[tuple[str, str]]) -> dict[str, str]:
    """The header in which the Hub's clients look for a warning; they read one."""
    if not warnings:
        return {}
    topic = warnings[0][0]
    said = "; ".join(warning for _, warning in warnings)[:1000]
    return {"x-hf-warning": f"{topic}; {said}".replace("…", "...").encode("ascii", "replace").decode()}


def _told_draft(draft: Draft) -> dict[str, object]:
    return {
        "uploader": draft.uploader,
        "files": sorted(draft.files),
        "bytes": draft.size,
        "waits_for": draft.awaited,
        "commit": draft.commit,
    }
