"""Events of a registry's history as messages, and back. Knows no watch."""

from dataclasses import replace

from parfocal.registry.values import MOVE_KINDS, Event, EventKind
from parfocal.registry.wire.messages import move_message
from parfocal.registry.wire.moments import read_moment
from parfocal.registry.wire.reading import read_move
from parfocal.v1 import adapter_pb2
from parfocal.v1 import registry_service_pb2 as pb

_EVENT_KINDS = {move: event for event, move in MOVE_KINDS.items()}


def event_message(event: Event) -> pb.WatchResponse:
    """An event as a watch sends it."""
    message = pb.WatchResponse(sequence=event.sequence, actor=event.actor, hash=event.hash)
    message.event_time.FromDatetime(event.happened_at)
    name, version, digest = event.name, event.version, event.digest
    match event.kind:
        case EventKind.VERSION_PUBLISHED:
            published = adapter_pb2.Version(name=name, version=version, digest=digest)
            published.create_time.CopyFrom(message.event_time)
            message.version_published.CopyFrom(published)
        case EventKind.VERSION_DELETED:
            message.version_deleted.CopyFrom(pb.VersionDeleted(name=name, version=version, digest=digest))
        case EventKind.VERSION_SIGNED:
            message.version_signed.CopyFrom(pb.VersionSigned(name=name, version=version, digest=digest))
        case EventKind.ADAPTER_DELETED:
            message.adapter_deleted.CopyFrom(pb.AdapterDeleted(name=name))
        case EventKind.GATE_SET:
            message.gate_set.CopyFrom(pb.GateSet(name=name, alias=event.alias, gate_json=event.gate))
        case EventKind.GATE_CLEARED:
            message.gate_cleared.CopyFrom(pb.GateCleared(name=name, alias=event.alias))
        case _ if event.kind in MOVE_KINDS:
            message.alias_moved.CopyFrom(move_message(event.move()))
    return message


def read_event(message: pb.WatchResponse) -> Event | None:
    """The event of a message; None where it has none, or one that only later versions know."""
    event = _unsealed(message)
    return replace(event, hash=message.hash) if event is not None and message.hash else event


def _unsealed(message: pb.WatchResponse) -> Event | None:
    sequence, when, actor = message.sequence, read_moment(message.event_time), message.actor
    match message.WhichOneof("event"):
        case "version_published":
            version = message.version_published
            kind = EventKind.VERSION_PUBLISHED
            return Event(sequence, kind, version.name, when, version.version, version.digest, actor=actor)
        case "version_deleted":
            gone = message.version_deleted
            kind = EventKind.VERSION_DELETED
            return Event(sequence, kind, gone.name, when, gone.version, gone.digest, actor=actor)
        case "version_signed":
            signed = message.version_signed
            kind = EventKind.VERSION_SIGNED
            return Event(sequence, kind, signed.name, when, signed.version, signed.digest, actor=actor)
        case "adapter_deleted":
            return Event(sequence, EventKind.ADAPTER_DELETED, message.adapter_deleted.name, when, actor=actor)
        case "alias_moved":
            move = read_move(message.alias_moved)
            kind, target = _EVENT_KINDS[move.kind], (move.version, move.digest)
            place = *target, move.alias, move.previous_version
            return Event(sequence, kind, move.name, when, *place, actor, gate=move.gate, canary=move.canary)
        case "gate_set":
            gate = message.gate_set
            kind, rules = EventKind.GATE_SET, gate.gate_json
            return Event(sequence, kind, gate.name, when, alias=gate.alias, actor=actor, gate=rules)
        case "gate_cleared":
            cleared = message.gate_cleared
            kind = EventKind.GATE_CLEARED
            return Event(sequence, kind, cleared.name, when, alias=cleared.alias, actor=actor)
        case _:
            return None
