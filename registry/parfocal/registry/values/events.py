"""What happened to a registry, change by change: its whole index follows from these, in order."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from parfocal.registry.values.canonical_json import JSON, dumps
from parfocal.registry.values.digest import digest_of
from parfocal.registry.values.json_fields import FieldError, JsonObject
from parfocal.registry.values.records import AliasMove, MoveKind


class EventKind(StrEnum):
    """What happened."""

    VERSION_PUBLISHED = "version_published"
    VERSION_DELETED = "version_deleted"
    ALIAS_SET = "alias_set"
    ALIAS_ROLLED_BACK = "alias_rolled_back"
    ALIAS_DELETED = "alias_deleted"
    ADAPTER_DELETED = "adapter_deleted"
    GATE_SET = "gate_set"
    GATE_CLEARED = "gate_cleared"
    VERSION_SIGNED = "version_signed"
    CANARY_SET = "canary_set"
    CANARY_ABORTED = "canary_aborted"


MOVE_KINDS = {
    EventKind.ALIAS_SET: MoveKind.SET,
    EventKind.ALIAS_ROLLED_BACK: MoveKind.ROLLBACK,
    EventKind.ALIAS_DELETED: MoveKind.DELETE,
    EventKind.CANARY_SET: MoveKind.CANARY,
    EventKind.CANARY_ABORTED: MoveKind.ABORT,
}
# Those that point an alias elsewhere; where a canary begins or is aborted, it points where it pointed.
POINTING = frozenset({EventKind.ALIAS_SET, EventKind.ALIAS_ROLLED_BACK, EventKind.ALIAS_DELETED})


@dataclass(frozen=True, slots=True)
class Event:
    """One change. Sequence numbers rise by one, from 1.

    `version` and `digest` are 0 and empty where the change concerns none; `alias` and `previous_version`,
    where the alias pointed before, belong to moves of aliases. Where a version was signed, `digest` is that
    of the signature. `hash` seals what the event says and, by its hash, the event before, and so all before
    that; it is empty where nobody has sealed it. `gate` is JSON: the rules of a gate that is set, or what a
    gate found of a move; empty where there is none. `canary` is JSON too: the canary that begins, or how one
    ended; empty where there is none.
    """

    sequence: int
    kind: EventKind
    name: str
    happened_at: datetime
    version: int = 0
    digest: str = ""
    alias: str = ""
    previous_version: int = 0
    actor: str = ""
    hash: str = field(default="", compare=False)
    gate: str = ""
    canary: str = ""

    def hash_after(self, previous: str) -> str:
        """The hash of this event where that of the one before is `previous`, empty for the first event."""
        return digest_of(dumps({**self._said(), "previous_hash": previous}))

    def move(self) -> AliasMove:
        """The move of an alias that this event is."""
        return AliasMove(
            self.name,
            self.alias,
            self.previous_version,
            self.version,
            self.digest,
            MOVE_KINDS[self.kind],
            self.actor,
            self.happened_at,
            self.gate,
            self.canary,
        )

    def to_json(self) -> dict[str, JSON]:
        """The event as a JSON object."""
        return {**self._said(), "hash": self.hash} if self.hash else self._said()

    def _said(self) -> dict[str, JSON]:
        """What is sealed; events of before there were gates and canaries say nothing of them."""
        told: dict[str, JSON] = {"gate": self.gate, "canary": self.canary}
        return {
            "sequence": self.sequence,
            "kind": self.kind.value,
            "name": self.name,
            "happened_at": self.happened_at.astimezone(UTC).isoformat(timespec="microseconds"),
            "version": self.version,
            "digest": self.digest,
            "alias": self.alias,
            "previous_version": self.previous_version,
            "actor": self.actor,
            **{name: text for name, text in told.items() if text},
        }

    @classmethod
    def from_json(cls, fields: JsonObject) -> "Event":
        """The event that `fields` hold; raises FieldError."""
        try:
            kind = EventKind(fields.text("kind"))
            happened_at = datetime.fromisoformat(fields.text("happened_at"))
        except ValueError as error:
            raise FieldError("kind, happened_at", str(error)) from error
        return cls(
            fields.count("sequence"),
            kind,
            fields.text("name"),
            happened_at,
            fields.count("version"),
            fields.text("digest"),
            fields.text("alias"),
            fields.count("previous_version"),
            fields.text("actor"),
            fields.text("hash") if fields.given("hash") else "",
            fields.text("gate") if fields.given("gate") else "",
            fields.text("canary") if fields.given("canary") else "",
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds after some events: live versions by (name, number), where aliases point, their gates.

    `signatures` are digests, in their order, by the live version that they are of; `canaries` are the events
    that began them.
    """

    versions: dict[tuple[str, int], str] = field(default_factory=dict)
    aliases: dict[tuple[str, str], int] = field(default_factory=dict)
    gates: dict[tuple[str, str], str] = field(default_factory=dict)
    signatures: dict[tuple[str, int], list[str]] = field(default_factory=dict)
    canaries: dict[tuple[str, str], Event] = field(default_factory=dict)

    @classmethod
    def after(cls, events: Iterable[Event]) -> "Standing":
        """What holds after `events`, which go oldest first."""
        standing = cls()
        for event in events:
            standing.take(event)
        return standing

    def take(self, event: Event) -> None:
        """Adds what the next event changes."""
        version, alias = (event.name, event.version), (event.name, event.alias)
        if event.kind in MOVE_KINDS:
            self._move(alias, event)
            return
        match event.kind:
            case EventKind.VERSION_PUBLISHED:
                self.versions[version] = event.digest
            case EventKind.VERSION_DELETED:
                self.versions.pop(version, None)
                self.signatures.pop(version, None)
            case EventKind.GATE_SET:
                self.gates[alias] = event.gate
            case EventKind.GATE_CLEARED:
                self.gates.pop(alias, None)
            case EventKind.VERSION_SIGNED:
                if version in self.versions:
                    self.signatures.setdefault(version, []).append(event.digest)
            case EventKind.ADAPTER_DELETED:
                pass  # its versions, aliases and gates were ended by events of their own

    def _move(self, alias: tuple[str, str], event: Event) -> None:
        """Every move ends a canary, and one begins another."""
        self.canaries.pop(alias, None)
        if event.kind is EventKind.ALIAS_DELETED:
            self.aliases.pop(alias, None)
        elif event.kind in POINTING:
            self.aliases[alias] = event.version
        elif event.kind is EventKind.CANARY_SET:
            self.canaries[alias] = event
