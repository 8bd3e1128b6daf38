"""The routes that read: files, descriptions, lists. Knows HTTP, and not how a registry keeps anything."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, ParamSpec, TypeAlias
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from parfocal.registry.errors import AdapterNotFound
from parfocal.registry.faces.hub.addresses import base_of
from parfocal.registry.faces.hub.bodies import form_values, read_bytes
from parfocal.registry.faces.hub.descriptions import commits, described, named, refs
from parfocal.registry.faces.hub.downloads import FileResponse
from parfocal.registry.faces.hub.entries import Entry, entries_of
from parfocal.registry.faces.hub.errors import BadCall, EntryUnknown, RepoUnknown, RevisionUnknown
from parfocal.registry.faces.hub.lists import Search, search
from parfocal.registry.faces.hub.ranges import wanted
from parfocal.registry.faces.hub.revisions import MAIN, known_name, plain, repo_id, sha_of, version_at
from parfocal.registry.faces.hub.routing import Values
from parfocal.registry.faces.threads import Threads
from parfocal.registry.registry import Registry
from parfocal.registry.signing import bundles_of
from parfocal.registry.values import MAX_PAGE_SIZE, Version
from parfocal.rpc import current_call, current_caller
from parfocal.rpc.access import Caller

P = ParamSpec("P")

_JSON = "application/json"

# What is known of a repository that was created and has no version yet; None where it was not.
Pending: TypeAlias = Callable[[str], dict[str, object] | None]


@dataclass(frozen=True, slots=True)
class Places:
    """Threads, so that what waits for a disk holds up nothing of another kind."""

    look_ups: Threads
    downloads: Threads


class Reading:
    """Reads `registry`; `pending` says what repositories without a version are, in a thread."""

    def __init__(self, registry: Registry, places: Places, pending: Pending) -> None:
        self._registry = registry
        self._look_up = places.look_ups
        self._downloads = places.downloads
        self._pending = pending

    async def resolve(self, request: Request, values: Values) -> Response:
        """A file, or what is to be known of it."""
        version, entry = await self._look_up(self._entry, values)
        headers = {
            "x-repo-commit": sha_of(version),
            "etag": f'"{entry.etag}"',
            "accept-ranges": "bytes",
            "content-disposition": f'inline; filename="{entry.path}"',
            "x-linked-size": str(entry.size),
            "x-linked-etag": f'"{entry.etag}"',
        }
        if request.method == "HEAD":
            kind = "application/octet-stream"
            return Response(headers={**headers, "content-length": str(entry.size)}, media_type=kind)
        asked = request.headers.get("range", "")
        if request.headers.get("if-range", headers["etag"]) != headers["etag"]:
            asked = ""
        span = wanted(asked, entry.size)
        source = None if entry.content is not None else await self._opened(version, entry)
        return FileResponse(entry, span, source, self._downloads, headers)

    async def model(self, request: Request, values: Values) -> Response:
        """A repository at its newest version, or at none."""
        details = "blobs" in request.query_params
        return await self._told(self._described, values["repo"], None, details)

    async def model_at(self, request: Request, values: Values) -> Response:
        """A repository at a revision."""
        details = "blobs" in request.query_params
        return await self._told(self._described, values["repo"], values["revision"], details)

    async def tree(self, request: Request, values: Values) -> Response:
        """The files of a revision: all, or those below a path, which is no folder here."""
        if values.get("path"):
            raise EntryUnknown(
                f"versions have no folder {values['path'][:80]!a}; their files lie side by side"
            )
        commit, entries = await self._look_up(self._listed, values)
        return JSONResponse([entry.line() for entry in entries], headers=_commit(commit))

    async def paths_info(self, request: Request, values: Values) -> Response:
        """Some files of a revision; paths that it does not have are left out."""
        form = form_values(await read_bytes(request), request.headers.get("content-type", ""))
        commit, entries = await self._look_up(self._listed, values)
        paths = set(form.get("paths", []))
        return JSONResponse(
            [entry.line() for entry in entries if entry.path in paths], headers=_commit(commit)
        )

    async def refs(self, request: Request, values: Values) -> Response:
        """Branches and tags."""
        return await self._told(self._refs, values["repo"])

    async def commits(self, request: Request, values: Values) -> Response:
        """The versions before a revision, as commits."""
        return await self._told(self._commits, values)

    async def models(self, request: Request, values: Values) -> Response:
        """Repositories, by what is looked for."""
        asked = _asked(request.query_params)
        body, cursor = await self._look_up(self._search, current_caller(), asked)
        headers = {}
        if cursor:
            kept = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
            query = urlencode([*kept, ("cursor", cursor)])
            headers["link"] = f'<{base_of(request)}{request.url.path}?{query}>; rel="next"'
        return Response(body, headers=headers, media_type=_JSON)

    async def whoami(self, request: Request, values: Values) -> Response:
        """Whose key it is."""
        caller = current_caller()
        name = caller.name or "anybody"
        role = {"displayName": name, "role": "write"}
        told = {"type": "user", "id": caller.key_id or name, "name": name, "fullname": name, "orgs": []}
        return JSONResponse({**told, "auth": {"type": "access_token", "accessToken": role}})

    async def _told(self, call: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> Response:
        """What a look-up finds, as JSON that is written in its thread too: it may be long."""
        return Response(await self._look_up(lambda: _encoded(call(*args, **kwargs))), media_type=_JSON)

    def _search(self, caller: Caller, asked: Search) -> tuple[bytes, str]:
        found = search(self._registry, caller, asked)
        return _encoded(found.repos), found.cursor

    async def _opened(self, version: Version, entry: Entry) -> BinaryIO:
        """Opens a file, every byte of which was verified just before."""
        folder = await self._downloads(self._registry.materialise, version.digest)
        return await self._downloads.open(folder / entry.path)

    def _entry(self, values: Values) -> tuple[Version, Entry]:
        try:
            version = self._version(values["repo"], values["revision"])
        except RevisionUnknown as error:
            # A repository that was created has its main branch, in which no file is.
            if plain(values["revision"]) == MAIN and self._pending(known_name(values["repo"])) is not None:
                raise EntryUnknown(str(error)) from error
            raise
        entries = self._entries(version)
        for entry in entries:
            if entry.path == values["path"]:
                return version, entry
        raise EntryUnknown(
            f"{version} has no file {values['path'][:80]!a}; it has "
            f"{', '.join(entry.path for entry in entries)}",
            sha_of(version),
        )

    def _described(self, repo: str, revision: str | None, details: bool) -> dict[str, object]:
        name = known_name(repo)
        waiting = self._pending(name)
        try:
            version = self._version(repo, revision or MAIN)
        except RevisionUnknown:
            if revision is not None or waiting is None:
                raise
            return {**named(name), "sha": None, "siblings": [], "tags": [], "parfocal": waiting}
        told = described(version, self._registry.aliases(name), self._entries(version), details)
        return {**told, "parfocal": {**_object(told["parfocal"]), **(waiting or {})}}

    def _listed(self, values: Values) -> tuple[str, list[Entry]]:
        try:
            version = self._version(values["repo"], values["revision"])
        except RevisionUnknown:
            # A repository that was created holds nothing, which can be listed.
            if plain(values["revision"]) == MAIN and self._pending(known_name(values["repo"])) is not None:
                return "", []
            raise
        return sha_of(version), self._entries(version)

    def _entries(self, version: Version) -> list[Entry]:
        signatures = self._registry.signatures(version.name, version.version)
        return entries_of(version.manifest, bundles_of(signatures))

    def _refs(self, repo: str) -> dict[str, object]:
        name = known_name(repo)
        try:
            return refs(self._registry, name)
        except AdapterNotFound as error:
            if self._pending(name) is None:
                raise _unknown(name) from error
            return {"branches": [], "converts": [], "tags": [], "pullRequests": []}

    def _commits(self, values: Values) -> list[dict[str, object]]:
        version = self._version(values["repo"], values["revision"])
        return commits(self._registry, version.name, version)

    def _version(self, repo: str, revision: str) -> Version:
        name = known_name(repo)
        try:
            version = version_at(self._registry, name, revision)
        except AdapterNotFound as error:
            waiting = self._pending(name)
            if waiting is None:
                raise _unknown(name) from error
            raise RevisionUnknown(f"{repo_id(name)} has no version yet{_why(waiting)}") from error
        current_call().facts |= {"adapter": str(version), "digest": version.digest}
        return version


def _encoded(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _unknown(name: str) -> RepoUnknown:
    return RepoUnknown(
        f"nobody has published an adapter {name!r} into this registry, nor created the repository"
    )


def _why(waiting: Mapping[str, object]) -> str:
    """What a version waits for, as a part of a sentence."""
    staged = waiting.get("staged")
    if not isinstance(staged, Sequence) or not staged:
        return "; upload its files"
    return "; an upload waits for " + " and ".join(str(each["waits_for"]) for each in staged)


def _asked(query: QueryParams) -> Search:
    limit = query.get("limit", str(MAX_PAGE_SIZE))
    if not (limit.isascii() and limit.isdigit() and len(limit) < 10):
        raise BadCall(f"limit is {limit[:40]!a}; give a number", field="limit")
    tags = tuple(query.getlist("filter"))
    return Search(
        query.get("search", ""),
        query.get("author", ""),
        tags,
        query.get("sort", ""),
        int(limit),
        query.get("cursor", ""),
    )


def _commit(commit: str) -> dict[str, str]:
    return {"x-repo-commit": commit} if commit else {}


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
