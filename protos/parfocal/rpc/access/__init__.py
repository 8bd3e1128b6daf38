"""Who may do what: API keys with scopes, for every face of a server. Knows neither gRPC nor HTTP."""

from parfocal.rpc.access.callers import (
    ANYBODY,
    NOBODY,
    Caller,
    Keys,
    authorise,
    identify,
)
from parfocal.rpc.access.errors import (
    AccessError,
    KeyExpired,
    KeyFileInvalid,
    KeyMissing,
    KeyNotFound,
    KeyRevoked,
    KeysBusy,
    KeyUnknown,
    RuleMissing,
    ScopeInvalid,
    ScopeMissing,
    Unauthenticated,
)
from parfocal.rpc.access.key_file import KeyFile, add_key, read_keys, remove_key
from parfocal.rpc.access.keys import Key, checked_name, read_moment, written
from parfocal.rpc.access.keys_in_force import KeysInForce
from parfocal.rpc.access.scopes import Need, Scope, parse_scopes

__all__ = [
    "ANYBODY",
    "NOBODY",
    "AccessError",
    "Caller",
    "Key",
    "KeyExpired",
    "KeyFile",
    "KeyFileInvalid",
    "KeyMissing",
    "KeyNotFound",
    "KeyRevoked",
    "KeyUnknown",
    "Keys",
    "KeysBusy",
    "KeysInForce",
    "Need",
    "RuleMissing",
    "Scope",
    "ScopeInvalid",
    "ScopeMissing",
    "Unauthenticated",
    "add_key",
    "authorise",
    "checked_name",
    "identify",
    "parse_scopes",
    "read_keys",
    "read_moment",
    "remove_key",
    "written",
]
