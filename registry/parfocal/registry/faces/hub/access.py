"""Who may use which route of the Hub's protocol. The table of this face; keys and scopes are those of all."""

from parfocal.rpc import Guard, KeyWatch, current_call, current_caller
from parfocal.rpc.access import Need
from parfocal.v1.access import Rule, Verb

_SEEN = "only adapters are listed that the key may do something with"
_MOVES = "and `promote` where the revision is an alias, which the commit moves"
_REPO = ("repo",)

HUB_ROUTES: tuple[Rule, ...] = (
    Rule("GET /{repo}/resolve/{revision}/{path}", Verb.READ, _REPO),
    Rule("GET /api/models", Verb.ANY, why=_SEEN),
    Rule("GET /api/models/{repo}", Verb.SEE, _REPO),
    Rule("GET /api/models/{repo}/revision/{revision}", Verb.SEE, _REPO),
    Rule("GET /api/models/{repo}/tree/{revision}", Verb.SEE, _REPO),
    Rule("GET /api/models/{repo}/tree/{revision}/{path}", Verb.SEE, _REPO),
    Rule("POST /api/models/{repo}/paths-info/{revision}", Verb.SEE, _REPO),
    Rule("GET /api/models/{repo}/refs", Verb.SEE, _REPO),
    Rule("GET /api/models/{repo}/commits/{revision}", Verb.SEE, _REPO),
    Rule("GET /api/whoami-v2", Verb.ANY, why="it tells the key's own name"),
    Rule("POST /api/validate-yaml", Verb.ANY, why="nothing is kept of it"),
    Rule("POST /api/repos/create", Verb.PUBLISH, ("name",)),
    Rule("DELETE /api/repos/delete", Verb.ADMIN, ("name",)),
    Rule("POST /api/models/{repo}/preupload/{revision}", Verb.PUBLISH, _REPO, why=_MOVES),
    Rule("POST /api/models/{repo}/commit/{revision}", Verb.PUBLISH, _REPO, why=_MOVES),
    Rule("POST /{repo}.git/info/lfs/objects/batch", Verb.PUBLISH, _REPO),
    Rule("POST /{repo}.git/info/lfs/verify", Verb.PUBLISH, _REPO),
    Rule("PUT /lfs/{ticket}", Verb.OPEN, why="the ticket, which `batch` gave for one file, is the key"),
    Rule("POST /api/models/{repo}/tag/{revision}", Verb.PROMOTE, _REPO),
    Rule("DELETE /api/models/{repo}/tag/{ref}", Verb.PROMOTE, _REPO),
    Rule("POST /api/models/{repo}/branch/{ref}", Verb.PROMOTE, _REPO),
    Rule("DELETE /api/models/{repo}/branch/{ref}", Verb.PROMOTE, _REPO),
)
_RULES = {rule.of: rule for rule in HUB_ROUTES}


class Entry:
    """Finds out who sends a request, before anything else is done for them."""

    def __init__(self, guard: Guard) -> None:
        self._guard = Guard(guard.keys, guard.tls, _RULES)
        self._watch = None if guard.keys is None else KeyWatch(guard.keys)

    def check_total(self, routes: list[str]) -> None:
        """Raises RuleMissing if nobody has decided who may use one of these routes, `METHOD /path`."""
        self._guard.check_total(routes)

    def enter(self, route: str, shown: list[str]) -> None:
        """Notes who calls until the task ends; raises KeyMissing, KeyUnknown or KeyExpired."""
        caller = self._guard.caller(route, shown)
        current_call().caller = caller
        if self._watch is not None and caller.key_id:
            self._watch.watch(caller)

    def check(self, route: str, repo: str | None) -> None:
        """Raises ScopeMissing unless the caller may use the route, for the repository where it names one."""
        rule = self._guard.rules[route]
        if rule.names:
            if repo is not None:
                current_caller().check(Need(rule.verb, repo))
        else:
            current_caller().check(Need(rule.verb))
