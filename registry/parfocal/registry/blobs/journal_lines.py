"""Events as a journal's lines. Each ends with a checksum of its bytes, so that a rotten one is told."""

from parfocal.registry.values import Event, FieldError, InvalidJson, JsonObject, digest_of, dumps, loads

_CHECK_LENGTH = 16


def line_of(event: Event) -> bytes:
    """The line of an event, with its end."""
    data = dumps(event.to_json())
    return data + b" " + _check(data) + b"\n"


def event_in(line: bytes) -> Event | None:
    """The event of a line without its end, or None where it is torn or rotten."""
    data, _, check = line.rpartition(b" ")
    if check != _check(data):
        return None
    try:
        return Event.from_json(JsonObject(loads(data)))
    except (InvalidJson, FieldError):
        return None


def _check(data: bytes) -> bytes:
    return digest_of(data).removeprefix("sha256:")[:_CHECK_LENGTH].encode()
