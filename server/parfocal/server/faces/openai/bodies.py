"""Reads a request's body: within the wire's limits of size and time, as JSON, as what the route takes."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from parfocal.registry.values import UnreadableJson, read_foreign_json
from parfocal.server.errors import BadRequest, ServerError
from parfocal.server.faces.openai.faults import told_faults
from parfocal.v1.limits import REQUEST_BYTES

Body = TypeVar("Body", bound=BaseModel)
T = TypeVar("T")

# Of what pydantic finds, the first few tell a caller enough.
_MOST_FAULTS = 3
_KINDS = frozenset({"str", "int", "float", "bool", "dict", "list"})
_JSON = ("application/json", "")
# Read within some milliseconds, also where every item is refused (some 2 us a byte); what is longer is read
# on a thread, beside the others on the loop.
SHORT_BYTES = 8 << 10


class BodyTooLarge(ServerError):
    """The body has more bytes than a message may have."""

    status = "OUT_OF_RANGE"
    reason = "BODY_TOO_LARGE"


class BodyTooSlow(ServerError):
    """The body did not arrive in time."""

    status = "DEADLINE_EXCEEDED"
    reason = "BODY_TOO_SLOW"


class CallerLeft(ServerError):
    """The caller closed the connection; nobody reads what is sent."""

    status = "CANCELLED"
    reason = "CANCELLED"


async def read_body(request: Request, kind: type[Body], read: Callable[[Body], T], wait_s: float) -> T:
    """What `read` makes of the body as `kind`; it may be called on a thread, with the caller's context.

    Raises what `read` raises, BadRequest naming the field, BodyTooLarge, BodyTooSlow or CallerLeft.
    """
    _check_type(request)
    try:
        async with asyncio.timeout(wait_s):
            raw = await _received(request)
    except TimeoutError:
        raise BodyTooSlow(f"the body did not arrive within {wait_s:g} s; send it faster") from None
    except ClientDisconnect:
        raise CallerLeft("the caller left before the body was complete") from None
    if len(raw) <= SHORT_BYTES:
        return read(parsed(_json(raw), kind))
    return await asyncio.to_thread(lambda: read(parsed(_json(raw), kind)))


def parsed(value: Mapping[str, Any], kind: type[Body]) -> Body:
    """The fields of a JSON object as `kind`; raises BadRequest naming what is wrong."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise _refusal(error) from error


async def _received(request: Request) -> bytes:
    most = REQUEST_BYTES.most
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > most:
        raise _too_large(int(announced))
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > most:
            raise _too_large(size)
        pieces.append(piece)
    return b"".join(pieces)


def _too_large(size: int) -> BodyTooLarge:
    most = REQUEST_BYTES.most
    return BodyTooLarge(f"the body has at least {size} bytes; at most {most} are accepted", limit=str(most))


def _check_type(request: Request) -> None:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in _JSON:
        raise BadRequest(
            f"the body is {given[:60]!r}; send JSON, with the header content-type: application/json",
            field="content-type",
        )
    if encoding := request.headers.get("content-encoding"):
        raise BadRequest(
            f"the body is encoded as {encoding[:60]!r}; send it as it is", field="content-encoding"
        )


def _json(raw: bytes) -> Mapping[str, Any]:
    try:
        value = read_foreign_json(raw)
        if b"\\u" in raw:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnreadableJson as error:
        raise BadRequest(f"the body is not JSON: {error}") from error
    except UnicodeEncodeError as error:
        raise BadRequest("half of a surrogate pair is no text; send whole characters") from error
    if not isinstance(value, Mapping):
        raise BadRequest("the body is JSON, but not an object; send one in braces")
    return value


def _refusal(error: ValidationError) -> BadRequest:
    faults = error.errors(include_url=False)
    unknown = [_path(each["loc"]) for each in faults if each["type"] == "extra_forbidden"]
    if unknown:
        more = "s" if len(unknown) > 1 else ""
        return BadRequest(
            f"Unrecognized request argument{more} supplied: {', '.join(unknown[:_MOST_FAULTS])}",
            field=unknown[0],
        )
    said = list(told_faults(faults, _path))
    return BadRequest("; ".join(each.text for each in said[:_MOST_FAULTS]), field=said[0].field or None)


def _path(parts: tuple[int | str, ...]) -> str:
    """`messages[3].role`, as callers write it; the names of a union's kinds are left out."""
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part not in _KINDS and part.islower() and part.replace("_", "").isalnum():
            path += f".{part}" if path else part
    return path[:200]
