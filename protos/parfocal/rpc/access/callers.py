"""Who calls, and what they may do. Knows neither files nor rpcs: both faces of a server ask here."""

from dataclasses import dataclass, field
from typing import Protocol

from parfocal.rpc.access.errors import KeyMissing, KeyUnknown, ScopeMissing
from parfocal.rpc.access.keys import split
from parfocal.rpc.access.scopes import Need, Scope
from parfocal.v1.access import Verb

_ADVICE = (
    "commands show the one in PARFOCAL_API_KEY or --api-key-file, others send 'authorization: Bearer pf_…'; "
    "the server's operator makes one with parfocal keys add"
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the key's id and name, both empty where nobody needs one, and what it may do.

    `mark` tells the key from another with the same id.
    """

    key_id: str
    name: str
    scopes: tuple[Scope, ...]
    mark: str = field(default="", repr=False)

    def may(self, need: Need) -> bool:
        """Whether any scope is enough; none is needed for what is open."""
        return need.verb is Verb.OPEN or any(scope.allows(need) for scope in self.scopes)

    def sees(self, adapter: str) -> bool:
        """Whether an adapter of this name belongs into lists for this caller."""
        return self.may(Need(Verb.SEE, adapter))

    def check(self, need: Need) -> None:
        """Raises ScopeMissing unless any scope is enough."""
        if not self.may(need):
            raise _missing(self, need)


# Where a server has no keys, whoever reaches it may do everything.
ANYBODY = Caller("", "", (Scope(Verb.ADMIN),))
# Who shows no key where keys are wanted: enough for what is open.
NOBODY = Caller("", "", ())


class Keys(Protocol):
    """The keys in force."""

    def caller(self, text: str) -> Caller:
        """Who shows this key; raises KeyUnknown or KeyExpired."""

    def check(self, caller: Caller) -> None:
        """Raises KeyRevoked or KeyExpired if the caller's key is not what it was."""


def identify(keys: Keys | None, authorization: str | None) -> Caller:
    """Who calls, by the value of the `authorization` header or metadata, None if there is none.

    Without keys, anybody. Raises KeyMissing, KeyUnknown or KeyExpired.
    """
    if keys is None:
        return ANYBODY
    if authorization is None:
        raise KeyMissing(f"this server wants an API key; {_ADVICE}")
    scheme, _, text = authorization.strip().partition(" ")
    if scheme.lower() != "bearer":
        raise KeyMissing(f"the authorization shown is no bearer token; {_ADVICE}")
    return keys.caller(text.strip())


def authorise(keys: Keys | None, authorization: str | None, need: Need) -> Caller:
    """Who calls, if they may do what they need; also raises ScopeMissing. An open need takes no key."""
    if need.verb is Verb.OPEN:
        return NOBODY
    caller = identify(keys, authorization)
    caller.check(need)
    return caller


def unknown(text: str) -> KeyUnknown:
    """The error for a key that is none of the server's; says its id, which is no secret, but nothing else."""
    parts = split(text)
    if parts is None:
        return KeyUnknown(f"what was shown is no API key of a Parfocal server; {_ADVICE}")
    return KeyUnknown(
        f"this server knows no API key pf_{parts[0]}_…, or it was removed; {_ADVICE}", key=parts[0]
    )


def _missing(caller: Caller, need: Need) -> ScopeMissing:
    scopes = ", ".join(map(str, caller.scopes)) or "nothing"
    wanted = str(need)
    shown = wanted if wanted.isprintable() and len(wanted) <= 160 else ascii(wanted)[:160]
    return ScopeMissing(
        f"the key {caller.name} (pf_{caller.key_id}_…) may do {scopes}, and this needs {shown}; use a key "
        "that has it, or ask the server's operator for one",
        key=caller.key_id,
        scope=shown,
    )
