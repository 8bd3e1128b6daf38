"""Events as a journal's lines. Each ends with a checksum of its bytes, so that a rotten one is told."""

from collections.abc import Iterable

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


def is_whole(told: Iterable[Event | None]) -> bool:
    """Whether these are all events from the first one on, in order; None is one that cannot be read."""
    return all(event is not None and event.sequence == number for number, event in enumerate(told, 1))


def _check(data: bytes) -> bytes:
    return digest_of(data).removeprefix("sha256:")[:_CHECK_LENGTH].encode()
