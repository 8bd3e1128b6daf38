"""Errors in OpenAI's shape: an HTTP status and one object. Knows neither routes nor requests."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from parfocal.rpc import DomainError

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
    "INVALID_REFERENCE": 404,
    "METHOD_NOT_ALLOWED": 405,
    "BODY_TOO_SLOW": 408,
    "BODY_TOO_LARGE": 413,
}
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}
# Where OpenAI has a code of its own, clients compare with it.
_NO_MODEL = "model_not_found"
_CODES = {
    "ADAPTER_NOT_FOUND": _NO_MODEL,
    "VERSION_NOT_FOUND": _NO_MODEL,
    "ALIAS_NOT_FOUND": _NO_MODEL,
    "INVALID_REFERENCE": _NO_MODEL,
    "PROMPT_TOO_LONG": "context_length_exceeded",
    "REQUEST_TOO_LARGE": "context_length_exceeded",
    "QUEUE_FULL": "rate_limit_exceeded",
    "KEY_UNKNOWN": "invalid_api_key",
    "KEY_EXPIRED": "invalid_api_key",
    "KEY_REVOKED": "invalid_api_key",
}
_PARAMS = {
    "adapter": "model",
    "reference": "model",
    "stop.strings": "stop",
    "stop.token_ids": "stop_token_ids",
    "tokens.ids": "prompt",
    "options.choices": "n",
    "options.prompt_logprobs": "logprobs",
    "chat.template_variables": "chat_template_kwargs",
    "output_format": "response_format",
    "inputs": "input",
    "chat": "messages",
}
# A message may repeat what a caller sent; gRPC's are as long at most.
_MESSAGE_CHARACTERS = 1000
_PARAM_CHARACTERS = 200
_HOW_TO_COME_IN = {"www-authenticate": "Bearer"}
# A word of messages, too, where it means no field.
_WORDS = frozenset({"chat"})
_ROOMS = ("sampling.", "stop.", "options.", "chat.")
_PLACE = re.compile(r"\[\d+\]$")
_BLEND_PART = re.compile(r"(blend\[\d+\])\.adapter")


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a caller gets instead of an answer."""

    status: int
    body: Mapping[str, object]
    headers: Mapping[str, str]


def refusal_of(error: DomainError) -> Refusal:
    """The error as OpenAI's clients read it; `reason` and `metadata` are ours, as in gRPC's ErrorInfo."""
    status = _REASONS.get(error.reason) or _STATUSES.get(error.status, 500)
    code = _CODES.get(error.reason, error.reason.lower())
    param = param_of(error) or ("model" if code == _NO_MODEL else None)
    body = {
        "message": _short(_in_their_words(str(error), error, param), _MESSAGE_CHARACTERS),
        "type": _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error"),
        "param": param and _short(param, _PARAM_CHARACTERS),
        "code": code,
        "reason": error.reason,
        "metadata": {
            name: _short(str(value), _MESSAGE_CHARACTERS)
            for name, value in (getattr(error, "metadata", None) or {}).items()
        },
    }
    headers = {**_headers(getattr(error, "retry_after_s", None)), **getattr(error, "headers", {})}
    return Refusal(status, {"error": body}, headers if status != 401 else {**headers, **_HOW_TO_COME_IN})


def param_of(error: DomainError) -> str | None:
    """The field at fault by OpenAI's name; the wire's messages call some fields otherwise."""
    field = getattr(error, "field", None)
    if not field:
        return None
    if field.startswith("inputs["):
        return str(field).replace("inputs", "input", 1)
    known = _PARAMS.get(_PLACE.sub("", field))
    if known is not None:
        return known
    if part := _BLEND_PART.fullmatch(field):
        return f"{part[1]}.model"
    return next((field.removeprefix(room) for room in _ROOMS if field.startswith(room)), str(field))


def _in_their_words(message: str, error: DomainError, param: str | None) -> str:
    """The message with the field called as the caller called it."""
    field = getattr(error, "field", None)
    return message if not field or not param or field in _WORDS else message.replace(field, param, 1)


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _headers(retry_after_s: float | None) -> Mapping[str, str]:
    if retry_after_s is None:
        return {}
    # `retry-after` has whole seconds; OpenAI's clients read the other one first.
    return {
        "retry-after": str(max(1, round(retry_after_s))),
        "retry-after-ms": str(round(retry_after_s * 1e3)),
    }
