"""Errors as the Hub's clients read them: an HTTP status, headers, and `error` in a body. Knows no route."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from parfocal.registry.values import printable
from parfocal.rpc import DomainError, current_caller

# google.rpc.Code names each one's HTTP status; 499 is what proxies say of a caller who left.
_STATUSES = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
_REASONS = {
    "ALIAS_MOVED": 409,
    "VERSION_IN_USE": 409,
    "ADAPTER_IN_USE": 409,
    "PARENT_MOVED": 412,
    "BODY_TOO_LARGE": 413,
    "RANGE_BEYOND": 416,
    "UPLOAD_TOO_SLOW": 408,
    "REGISTRY_FULL": 507,
    "QUOTA_EXCEEDED": 507,
}
_CODES = {
    "ADAPTER_NOT_FOUND": "RepoNotFound",
    "VERSION_NOT_FOUND": "RevisionNotFound",
    "ALIAS_NOT_FOUND": "RevisionNotFound",
    "KEY_MISSING": "RepoNotFound",  # whoever shows no key is told nothing of what there is
}
# Clients that read this sentence say that the key is wrong; of another 401 they say that nothing is there.
_WRONG_KEY = "Invalid credentials in Authorization header"
_WRONG_KEYS = frozenset({"KEY_UNKNOWN", "KEY_EXPIRED", "KEY_REVOKED"})
_HEADER_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a caller gets instead of an answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def refusal_of(error: DomainError, reads: bool) -> Refusal:
    """The error as the Hub's clients read it; `reads` where only something was to be read.

    `reason` and `metadata` are ours, as in gRPC's ErrorInfo.
    """
    status = _REASONS.get(error.reason) or _STATUSES.get(error.status, 500)
    message = str(error).replace("…", "...")  # clients tell header and body once where they are equal
    told = _WRONG_KEY if error.reason in _WRONG_KEYS else message
    headers = {"content-type": "application/json", "x-error-message": _one_line(told)}
    if code := _code(error, reads):
        headers["x-error-code"] = code
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        headers["retry-after"] = str(max(1, round(retry_after_s)))
    metadata = dict(getattr(error, "metadata", None) or {})
    body = {"error": message, "reason": error.reason, "metadata": metadata}
    if url := getattr(error, "url", ""):
        body["url"] = url
    return Refusal(status, {**headers, **getattr(error, "headers", {})}, json.dumps(body).encode())


def _code(error: DomainError, reads: bool) -> str:
    if error.reason == "SCOPE_MISSING" and reads:
        # What a key does not see is not there for it; what it sees and may not read, is behind a gate.
        adapter = str(getattr(error, "metadata", {}).get("scope", "")).partition(":")[2]
        return "GatedRepo" if current_caller().sees(adapter) else "RepoNotFound"
    return getattr(error, "code", "") or _CODES.get(error.reason, "")


def _one_line(message: str) -> str:
    """What may stand in a header."""
    return printable(message[:_HEADER_CHARACTERS]).encode("ascii", "replace").decode()
