"""Around every rpc: who calls it, and whether they may. Holds callers to a table; knows no service."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import grpc

from parfocal.rpc.access import (
    ANYBODY,
    NOBODY,
    AccessError,
    Caller,
    KeyMissing,
    Keys,
    Need,
    RuleMissing,
    identify,
)
from parfocal.rpc.key_watch import KeyWatch
from parfocal.rpc.outcomes import current_call, current_caller
from parfocal.rpc.shown_key import HEADER
from parfocal.rpc.surround import Context, Continuation, Interceptor, RpcMethod, behaviour_of
from parfocal.rpc.tls import TlsFiles
from parfocal.v1.access import RULES, Rule, Verb

Rules = Mapping[str, Rule]

_RULES: Rules = MappingProxyType({rule.of: rule for rule in RULES})


@dataclass(frozen=True, slots=True)
class Guard:
    """Who is let in: `keys` in force, None where nobody needs one, and a rule for each rpc by its full name.

    With `tls`, they connect over TLS, and with a certificate of their own if its `client_ca` says so.
    """

    keys: Keys | None = None
    tls: TlsFiles | None = None
    rules: Rules = field(default_factory=lambda: _RULES)

    def caller(self, of: str, shown: Sequence[str]) -> Caller:
        """Who calls an rpc or route, by the authorizations that came with it; nobody, for what is open.

        Raises KeyMissing, KeyUnknown or KeyExpired.
        """
        if self.keys is None:
            return ANYBODY
        rule = self.rules.get(of)
        if rule is not None and rule.verb is Verb.OPEN:
            return NOBODY
        if len(shown) > 1:
            raise KeyMissing(f"{len(shown)} authorizations were shown; show one")
        return identify(self.keys, shown[0] if shown else None)

    def check_total(self, methods: Iterable[str]) -> None:
        """Raises RuleMissing if one of these rpcs, `package.Service/Method`, has no rule."""
        for method in methods:
            if method not in self.rules:
                raise RuleMissing(
                    f"{method} is not served: nobody has decided who may call it; add it to "
                    "parfocal.v1.access",
                    method=method,
                )


def interceptors(guard: Guard, between: Interceptor) -> list[Interceptor]:
    """What holds callers to the guard, the outermost first: who calls, `between`, and what they may do.

    Where nobody needs a key, `between` alone.
    """
    if guard.keys is None:
        return [between]
    return [IdentityInterceptor(guard, guard.keys), between, PermissionInterceptor(guard)]


class IdentityInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # not generic when it runs
    """Finds out who calls before anything else is done for them, and ends what a key no longer allows."""

    def __init__(self, guard: Guard, keys: Keys) -> None:
        self._guard = guard
        self._watch = KeyWatch(keys)

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> RpcMethod:
        """The rpc, or what refuses it."""
        try:
            caller = self._caller(handler_call_details)
        except AccessError as error:
            return _refusing(error)
        current_call().caller = caller
        if caller.key_id:
            self._watch.watch(caller)
        return await continuation(handler_call_details)

    def _caller(self, details: grpc.HandlerCallDetails) -> Caller:
        shown = [str(value) for name, value in details.invocation_metadata or () if name == HEADER]
        return self._guard.caller(details.method.removeprefix("/"), shown)


class PermissionInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # not generic when it runs
    """Holds each message that names adapters to what its caller may do. The innermost: it parses them."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> RpcMethod:
        """The rpc, whose messages are held to its rule as they are read, or what refuses it."""
        rpc = await continuation(handler_call_details)
        if rpc is None:
            return rpc
        method = handler_call_details.method.removeprefix("/")
        try:
            self._guard.check_total([method])
            rule = self._guard.rules[method]
            if not rule.names:
                current_caller().check(Need(rule.verb))
        except AccessError as error:
            return _refusing(error)
        return _held(rpc, rule) if rule.names else rpc


def hold_to(rpc: str, message: Any) -> None:
    """Holds a message to the rule of an rpc that takes it, whatever it came in; raises ScopeMissing."""
    caller = current_caller()
    for need in needs(_RULES[rpc], message):
        caller.check(need)


def needs(rule: Rule, message: Any) -> list[Need]:
    """What the caller of an rpc needs to do what `message` says."""
    named = [name for path in rule.names for name in _texts(message, path.split(".")) if name]
    if not named and rule.verb is Verb.GENERATE:
        named = [""]
    return [Need(rule.verb, name) for name in named]


def _texts(message: Any, path: list[str]) -> Iterator[str]:
    """Yields the texts at a path of fields; a repeated message on the way stands for each of its items."""
    found = getattr(message, path[0])
    if len(path) == 1:
        yield from [found] if isinstance(found, str) else found
    elif hasattr(found, "DESCRIPTOR"):
        yield from _texts(found, path[1:])
    else:
        for item in found:
            yield from _texts(item, path[1:])


def _held(rpc: RpcMethod, rule: Rule) -> RpcMethod:
    """The rpc with a parser that also holds what it parses to the rule; nothing is added around the rpc."""
    parse = rpc.request_deserializer
    assert parse is not None, "what has named fields has a parser"

    def checked(received: bytes) -> Any:
        message = parse(received)
        caller = current_caller()
        for need in needs(rule, message):
            caller.check(need)
        return message

    return _with_parser(rpc, checked)


def _with_parser(rpc: RpcMethod, parse: Callable[[bytes], Any]) -> RpcMethod:
    make: dict[tuple[bool, bool], Callable[..., RpcMethod]] = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    kind = rpc.request_streaming, rpc.response_streaming
    return make[kind](behaviour_of(rpc), parse, rpc.response_serializer)


def _refusing(error: AccessError) -> RpcMethod:
    async def refuse(requests: object, context: Context) -> None:
        raise error

    # The caller may take it for any kind of rpc; any kind can be refused before its first message.
    return grpc.stream_stream_rpc_method_handler(refuse)
