"""The routes that create and delete: repositories, tags, branches. Knows HTTP."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from parfocal.registry.errors import AdapterNotFound, AliasNotFound
from parfocal.registry.faces.hub.addresses import base_of
from parfocal.registry.faces.hub.bodies import read_object, text
from parfocal.registry.faces.hub.errors import NotKept, RefExists, RepoExists, RepoUnknown, RevisionUnknown
from parfocal.registry.faces.hub.revisions import (
    MAIN,
    checked_ref,
    known_name,
    new_name,
    plain,
    repo_id,
    version_at,
)
from parfocal.registry.faces.hub.routing import Values
from parfocal.registry.faces.hub.uploading import UploadStore
from parfocal.registry.faces.sight import signed
from parfocal.registry.faces.threads import Threads, to_the_end
from parfocal.registry.registry import Registry
from parfocal.registry.values import JSON
from parfocal.rpc import current_caller
from parfocal.rpc.access import Need
from parfocal.v1.access import Verb

_MODEL = ("", "model", "models")


class Changing:
    """Changes names in `registry`, and which repositories `store` has that nothing is published into yet."""

    def __init__(self, registry: Registry, store: UploadStore) -> None:
        self._registry = registry
        self._store = store
        self._changes = Threads(4, "hub-change")

    async def create(self, request: Request, values: Values) -> Response:
        """A repository, to be published into."""
        name = _named(await read_object(request))
        current_caller().check(Need(Verb.PUBLISH, name))
        repo = repo_id(name)
        url = f"{base_of(request)}/{repo}"
        await to_the_end(self._changes(self._create, name, url))
        return JSONResponse({"url": url, "name": repo, "id": repo})

    async def delete(self, request: Request, values: Values) -> Response:
        """Deletes a repository: its adapter with all versions, unless aliases point at them."""
        name = _named(await read_object(request))
        current_caller().check(Need(Verb.ADMIN, name))
        await to_the_end(self._changes(self._delete, name, signed("", current_caller())))
        return JSONResponse({})

    async def tag(self, request: Request, values: Values) -> Response:
        """Points a new alias at a revision."""
        word = text(await read_object(request), "tag")
        return await self._point(values["repo"], word, values["revision"])

    async def branch(self, request: Request, values: Values) -> Response:
        """Points a new alias at a revision, by default the newest."""
        start = text(await read_object(request), "startingPoint", MAIN)
        return await self._point(values["repo"], values["ref"], start)

    async def delete_ref(self, request: Request, values: Values) -> Response:
        """Deletes an alias."""
        actor = signed("", current_caller())
        await to_the_end(self._changes(self._delete_alias, known_name(values["repo"]), values["ref"], actor))
        return JSONResponse({})

    async def _point(self, repo: str, word: str, revision: str) -> Response:
        actor = signed("", current_caller())
        await to_the_end(self._changes(self._set_alias, known_name(repo), word, revision, actor))
        return JSONResponse({})

    def _create(self, name: str, url: str) -> None:
        if self._store.is_created(name) or self._is_published(name):
            raise RepoExists(f"You already created this model repo: {repo_id(name)}", url)
        self._store.create(name)

    def _delete(self, name: str, actor: str) -> None:
        try:
            self._registry.delete_adapter(name, False, actor)
        except AdapterNotFound as error:
            if not self._store.is_created(name):
                raise RepoUnknown(f"there is no repository {repo_id(name)!r}") from error
        self._store.forget(name)

    def _set_alias(self, name: str, word: str, revision: str, actor: str) -> None:
        if plain(word) == MAIN:
            raise RefExists(f"{MAIN} is always there: it is the newest version")
        alias = checked_ref(word)
        try:
            version = version_at(self._registry, name, revision)
        except AdapterNotFound as error:
            if not self._store.is_created(name):
                raise RepoUnknown(f"there is no repository {repo_id(name)!r}") from error
            raise RevisionUnknown(f"{repo_id(name)} has no version yet; upload its files") from error
        self._registry.set_alias(name, alias, version.version, 0, actor)

    def _delete_alias(self, name: str, ref: str, actor: str) -> None:
        word = plain(ref)
        if word == MAIN or word.isdecimal():
            raise NotKept(
                f"{word[:20]!a} cannot be deleted: {MAIN} is the newest version, numbers are versions"
            )
        try:
            self._registry.delete_alias(name, checked_ref(word), actor)
        except AliasNotFound as error:
            raise RevisionUnknown(f"{repo_id(name)} has no branch or tag {word[:80]!a}") from error

    def _is_published(self, name: str) -> bool:
        try:
            self._registry.aliases(name)
        except AdapterNotFound:
            return False
        return True


def _named(fields: Mapping[str, JSON]) -> str:
    """The adapter that a call about a repository means; raises BadCall or NotKept."""
    kind = text(fields, "type", "")
    if kind not in _MODEL:
        raise NotKept(f"this is a registry of adapters: repositories of type {kind[:40]!a} are not kept here")
    name, owner = text(fields, "name"), text(fields, "organization", "")
    return new_name(f"{owner}/{name}" if owner else name)
