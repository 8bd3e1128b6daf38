"""Why a caller is not let in, or not let do something. No message ever repeats a secret.

AccessError
├── Unauthenticated      UNAUTHENTICATED       nobody knows who calls
│   ├── KeyMissing       …                     the caller showed no key
│   ├── KeyUnknown       …                     it is none of this server's
│   ├── KeyExpired       …                     its time is over
│   └── KeyRevoked       …                     it was taken away while the request ran
├── ScopeMissing         PERMISSION_DENIED     the key may not do that
├── RuleMissing          PERMISSION_DENIED     nobody has decided who may call this
├── ScopeInvalid         INVALID_ARGUMENT      the text is no scope
├── KeyFileInvalid       FAILED_PRECONDITION   the file of keys cannot be read or trusted
├── KeyNotFound          NOT_FOUND             no key has this id
└── KeysBusy             UNAVAILABLE           another process changes the file
"""

from parfocal.rpc.errors import WireError


class AccessError(WireError):
    """Base of all that has to do with keys."""

    status = "PERMISSION_DENIED"
    reason = "ACCESS_ERROR"


class Unauthenticated(AccessError):
    """It is not known who calls."""

    status = "UNAUTHENTICATED"
    reason = "UNAUTHENTICATED"


class KeyMissing(Unauthenticated):
    """The caller showed no key, or more than one."""

    reason = "KEY_MISSING"


class KeyUnknown(Unauthenticated):
    """The key is none of this server's."""

    reason = "KEY_UNKNOWN"


class KeyExpired(Unauthenticated):
    """The key was good until a moment that has passed."""

    reason = "KEY_EXPIRED"


class KeyRevoked(Unauthenticated):
    """The key was removed while its request ran, or changed."""

    reason = "KEY_REVOKED"


class ScopeMissing(AccessError):
    """The key is known, and has no scope for this."""

    status = "PERMISSION_DENIED"
    reason = "SCOPE_MISSING"


class RuleMissing(AccessError):
    """Nobody has decided who may call this, so nobody may."""

    status = "PERMISSION_DENIED"
    reason = "RULE_MISSING"


class ScopeInvalid(AccessError):
    """The text is no scope."""

    status = "INVALID_ARGUMENT"
    reason = "SCOPE_INVALID"


class KeyFileInvalid(AccessError):
    """The file of keys cannot be read, or others may write it."""

    status = "FAILED_PRECONDITION"
    reason = "KEY_FILE_INVALID"


class KeyNotFound(AccessError):
    """No key in the file has this id."""

    status = "NOT_FOUND"
    reason = "KEY_NOT_FOUND"


class KeysBusy(AccessError):
    """Another process has held the file's lock for too long."""

    status = "UNAVAILABLE"
    reason = "KEYS_BUSY"
    retry_after_s = 1.0
