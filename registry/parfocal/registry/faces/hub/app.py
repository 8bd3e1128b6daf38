"""The Hub's protocol as one application of ASGI: finds the route, who calls, and whether they may."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from parfocal.registry.faces.hub.access import Entry
from parfocal.registry.faces.hub.changing import Changing
from parfocal.registry.faces.hub.outcomes import Admitted, Outcomes
from parfocal.registry.faces.hub.reading import Places, Reading
from parfocal.registry.faces.hub.routing import Routing, Values
from parfocal.registry.faces.hub.uploading import Publisher, UploadStore
from parfocal.registry.faces.hub.writing import Writing
from parfocal.registry.faces.threads import Threads
from parfocal.registry.faces.uploads import Uploads
from parfocal.registry.registry import Registry
from parfocal.rpc import Guard

_MATCH = "parfocal.match"

Handler: TypeAlias = Callable[[Request, Values], Awaitable[Response]]


class HubApp:
    """Answers the Hub's clients from `registry`, for whom `guard` lets in.

    Uploads wait in `store`, and count among `uploads`. `admitted` is the scope in which a request counts as
    one of the server's. Raises RuleMissing.
    """

    def __init__(
        self, registry: Registry, store: UploadStore, uploads: Uploads, admitted: Admitted, guard: Guard
    ) -> None:
        places = Places(Threads(16, "hub-look-up"), Threads(4, "hub-download"))
        self._writing = Writing(Publisher(registry, store), store, uploads)
        reading = Reading(registry, places, self._writing.pending)
        changing = Changing(registry, store)
        self.routes = _reading_routes(reading) | _writing_routes(self._writing) | _changing_routes(changing)
        self._routing = Routing(list(self.routes))
        self._entry = Entry(guard)
        self._entry.check_total(list(self.routes))
        self._app = Outcomes(self._serve, admitted, self._enter)

    async def open(self) -> None:
        """Counts what waits since before this process; raises StorageError."""
        await self._writing.opened()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        await self._app(scope, receive, send)

    def _enter(self, scope: Scope) -> None:
        """Finds the route, and who calls; raises what refuses them before anything else is done for them."""
        match = self._routing.match(scope["method"], scope["raw_path"].decode("latin-1"))
        shown = [value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"]
        self._entry.enter(match.route, shown)
        self._entry.check(match.route, match.values.get("repo"))
        scope[_MATCH] = match

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        match = scope[_MATCH]
        response = await self.routes[match.route](Request(scope, receive), match.values)
        await response(scope, receive, send)


def _reading_routes(reading: Reading) -> dict[str, Handler]:
    return {
        "GET /{repo}/resolve/{revision}/{path}": reading.resolve,
        "GET /api/models": reading.models,
        "GET /api/models/{repo}": reading.model,
        "GET /api/models/{repo}/revision/{revision}": reading.model_at,
        "GET /api/models/{repo}/tree/{revision}": reading.tree,
        "GET /api/models/{repo}/tree/{revision}/{path}": reading.tree,
        "POST /api/models/{repo}/paths-info/{revision}": reading.paths_info,
        "GET /api/models/{repo}/refs": reading.refs,
        "GET /api/models/{repo}/commits/{revision}": reading.commits,
        "GET /api/whoami-v2": reading.whoami,
    }


def _writing_routes(writing: Writing) -> dict[str, Handler]:
    return {
        "POST /api/validate-yaml": writing.validate,
        "POST /api/models/{repo}/preupload/{revision}": writing.preupload,
        "POST /api/models/{repo}/commit/{revision}": writing.commit,
        "POST /{repo}.git/info/lfs/objects/batch": writing.batch,
        "POST /{repo}.git/info/lfs/verify": writing.verify,
        "PUT /lfs/{ticket}": writing.put,
    }


def _changing_routes(changing: Changing) -> dict[str, Handler]:
    return {
        "POST /api/repos/create": changing.create,
        "DELETE /api/repos/delete": changing.delete,
        "POST /api/models/{repo}/tag/{revision}": changing.tag,
        "DELETE /api/models/{repo}/tag/{ref}": changing.delete_ref,
        "POST /api/models/{repo}/branch/{ref}": changing.branch,
        "DELETE /api/models/{repo}/branch/{ref}": changing.delete_ref,
    }
