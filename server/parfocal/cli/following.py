"""Follows a registry's changes for the command, beyond broken connections. Knows no registry's storage."""

import time
from collections.abc import Callable, Generator

from parfocal.cli.display import digest_text, say, time_text
from parfocal.cli.history import canary_text, end_text
from parfocal.registry import Gate, InvalidGate, Registry, Watch
from parfocal.registry.gates import Passage
from parfocal.registry.values import MOVE_KINDS, Event, EventKind
from parfocal.rpc import RemoteError

# Of a server that stops; gRPC itself answers with the second while its sockets close.
_GONE = frozenset({"UNAVAILABLE", "CANCELLED"})
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 16.0


def follow(
    registry: Registry, name: str, after: int | None, pause: Callable[[float], None] = time.sleep
) -> Generator[Event, None, None]:
    """Yields changes of the adapter `name`, or of all, as `Registry.watch` gives them, for ever.

    Where a server stops answering, goes on after the last event as soon as one answers. Raises what `watch`
    raises, RemoteError only if the first watch cannot begin.
    """
    watch = registry.watch(name, after)
    while True:
        told = watch.begins_after
        try:
            for event in watch:
                told = event.sequence
                yield event
        except RemoteError as error:
            if error.status not in _GONE:
                raise
            say(f"parfocal: the server has left ({error}); going on as soon as one answers", err=True)
        finally:
            watch.close()
        watch = _again(registry, name, told, pause)


def event_line(event: Event) -> str:
    """An event for people: when, its number, what, and who."""
    who = f", by {event.actor}" if event.actor else ""
    return f"{time_text(event.happened_at)}  {event.sequence}  {_what(event)}{who}"


def _again(registry: Registry, name: str, told: int, pause: Callable[[float], None]) -> Watch:
    seconds = _FIRST_PAUSE_S
    while True:
        pause(seconds)
        seconds = min(2 * seconds, _LONGEST_PAUSE_S)
        try:
            return registry.watch(name, told)
        except RemoteError as error:
            if error.status not in _GONE:
                raise


def _what(event: Event) -> str:
    version, alias = f"{event.name}@{event.version}", f"{event.name}@{event.alias}"
    if event.kind in MOVE_KINDS:
        return f"{alias} {_move(event)}"
    match event.kind:
        case EventKind.VERSION_PUBLISHED:
            return f"{version} published as {digest_text(event.digest)}"
        case EventKind.VERSION_DELETED:
            return f"{version} deleted"
        case EventKind.VERSION_SIGNED:
            return f"{version} signed"
        case EventKind.ADAPTER_DELETED:
            return f"{event.name} deleted"
        case EventKind.GATE_SET:
            return f"{alias} moves only through a gate: {_rules(event)}"
        case EventKind.GATE_CLEARED:
            return f"{alias} has no gate any more"
        case _:
            return str(event.kind)


def _move(event: Event) -> str:
    """What became of an alias."""
    was = f" (was {event.previous_version})" if event.previous_version else ""
    match event.kind:
        case EventKind.ALIAS_ROLLED_BACK:
            return f"rolled back to {event.version}{was}{_passage(event)}{_end(event)}"
        case EventKind.ALIAS_DELETED:
            return f"deleted{was}{_end(event)}"
        case EventKind.CANARY_SET:
            return f"→ {event.version}, canary {canary_text(event.canary)}{_passage(event)}"
        case EventKind.CANARY_ABORTED:
            return f"→ {event.version} alone{_end(event)}"
        case _:
            return f"→ {event.version}{was}{_passage(event)}{_end(event)}"


def _end(event: Event) -> str:
    """How the alias's canary ended."""
    return f", {end_text(event.canary)}" if event.canary else ""


def _passage(event: Event) -> str:
    """What the alias's gate found of a move."""
    if not event.gate:
        return ""
    try:
        return f", {Passage.parse(event.gate)}"
    except InvalidGate as error:
        return f", {error}"


def _rules(event: Event) -> str:
    try:
        return "; ".join(map(str, Gate.parse(event.gate).rules))
    except InvalidGate as error:
        return str(error)
