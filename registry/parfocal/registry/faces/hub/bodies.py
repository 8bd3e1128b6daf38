"""Reads bodies of JSON within the wire's limits of size and time."""

import asyncio
from collections.abc import Mapping
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect, Request

from parfocal.registry.errors import InvalidUpload, UploadTooSlow
from parfocal.registry.faces.hub.errors import BadCall, BodyTooLarge
from parfocal.registry.values import JSON, UnreadableJson, read_foreign_json
from parfocal.v1.limits import FIRST_MESSAGE_S, REQUEST_BYTES

# Read within some milliseconds; what is longer is read on a thread, beside the others on the loop.
_SHORT_BYTES = 32 << 10
_MAX_FIELDS = 1100  # as many paths as clients ask for at a time, and some switches


async def read_object(request: Request) -> Mapping[str, JSON]:
    """The object in a body; raises BadCall, BodyTooLarge or UploadTooSlow."""
    raw = await read_bytes(request)
    return _object(raw) if len(raw) <= _SHORT_BYTES else await asyncio.to_thread(_object, raw)


async def read_bytes(request: Request) -> bytes:
    """A body; raises BodyTooLarge or UploadTooSlow."""
    wait_s = FIRST_MESSAGE_S.most
    try:
        async with asyncio.timeout(wait_s):
            return await _received(request)
    except TimeoutError:
        raise UploadTooSlow(f"the body did not arrive within {wait_s} s; send it faster") from None
    except ClientDisconnect as error:
        raise InvalidUpload("the caller left before the body was complete") from error


def form_values(raw: bytes, content_type: str) -> dict[str, list[str]]:
    """The texts of a form by name, or the texts and lists of texts of a JSON object; raises BadCall."""
    if content_type.partition(";")[0].strip().lower() == "application/json":
        fields = _object(raw)
        listed = {name: value if isinstance(value, list) else [value] for name, value in fields.items()}
        return {name: [each for each in value if isinstance(each, str)] for name, value in listed.items()}
    try:
        return parse_qs(raw.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError as error:
        raise BadCall(f"the body is no form: {error}") from error


def text(fields: Mapping[str, JSON], name: str, otherwise: str | None = None) -> str:
    """A text among fields, or `otherwise` where there is none; raises BadCall."""
    value = fields.get(name)
    if value is None and otherwise is not None:
        return otherwise
    if not isinstance(value, str):
        raise BadCall(f"{name} is not a text; give one", field=name)
    return value


async def _received(request: Request) -> bytes:
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > REQUEST_BYTES.most:
            raise BodyTooLarge(
                f"the body has more than {REQUEST_BYTES.most} bytes, as many as are read at once"
            )
        pieces.append(piece)
    return b"".join(pieces)


def _object(raw: bytes) -> Mapping[str, JSON]:
    try:
        value = read_foreign_json(raw)
    except UnreadableJson as error:
        raise BadCall(f"the body is not JSON: {error}") from error
    if not isinstance(value, Mapping):
        raise BadCall("the body is JSON, but not an object")
    return value
