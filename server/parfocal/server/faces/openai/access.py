"""Who may use which route, and who calls. The table of this face; keys and scopes are the same on all."""

from starlette.types import Scope

from parfocal.rpc import Guard, KeyWatch, current_call, current_caller
from parfocal.rpc.access import Need
from parfocal.v1.access import Rule, Verb

_SEEN = "only adapters are listed that the key may do something with, and the base if it may generate with it"

ROUTES: tuple[Rule, ...] = (
    Rule("POST /v1/chat/completions", Verb.GENERATE, ("model", "blend.model")),
    Rule("POST /v1/completions", Verb.GENERATE, ("model", "blend.model")),
    Rule("POST /v1/embeddings", Verb.GENERATE, ("model", "blend.model")),
    Rule("GET /v1/models", Verb.ANY, why=_SEEN),
    Rule("GET /v1/models/{model:path}", Verb.SEE, ("model",), why="the base is described to every key"),
    Rule("POST /tokenize", Verb.GENERATE, ("model",)),
    Rule("POST /detokenize", Verb.ANY, why="the vocabulary is the base's"),
    Rule("GET /tokenizer_info", Verb.ANY, why="it describes the base"),
    Rule("GET /healthz", Verb.OPEN, why="balancers and orchestrators have no key"),
    Rule("GET /readyz", Verb.OPEN, why="as /healthz"),
)
_RULES = {rule.of: rule for rule in ROUTES}


class Entry:
    """Finds out who sends a request, before anything else is done for them."""

    def __init__(self, guard: Guard) -> None:
        self._guard = Guard(guard.keys, guard.tls, _RULES)
        self._watch = None if guard.keys is None else KeyWatch(guard.keys)

    def check_total(self, routes: list[str]) -> None:
        """Raises RuleMissing if nobody has decided who may use one of these routes, `METHOD /path`."""
        self._guard.check_total(routes)

    def enter(self, scope: Scope) -> None:
        """Notes who calls; raises KeyMissing, KeyUnknown or KeyExpired."""
        shown = [value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"]
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        caller = self._guard.caller(f"{method} {scope['path']}", shown)
        current_call().caller = caller
        if self._watch is not None and caller.key_id:
            self._watch.watch(caller)


def may_generate(adapter: str) -> bool:
    """Whether the caller may generate with the adapter, or with the base for no name."""
    return current_caller().may(Need(Verb.GENERATE, adapter))


def check_generate(adapter: str) -> None:
    """Raises ScopeMissing unless the caller may generate with the adapter, or with the base for no name."""
    current_caller().check(Need(Verb.GENERATE, adapter))


def check_seen(adapter: str) -> None:
    """Raises ScopeMissing unless the caller may do anything with the adapter."""
    current_caller().check(Need(Verb.SEE, adapter))
