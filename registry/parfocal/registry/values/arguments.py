"""Checks of plain arguments before they are looked up or recorded for ever. Knows no index."""

from parfocal.registry.errors import InvalidArgument
from parfocal.v1.limits import ACTOR_CHARACTERS, TEXT_CHARACTERS

_MAX_VERSION = (1 << 31) - 1
_MAX_SEQUENCE = (1 << 63) - 1


def check_actor(text: str) -> str:
    """`text`, if it can be recorded as who moved an alias; raises InvalidArgument."""
    if len(text) > ACTOR_CHARACTERS.most or not text.isprintable():
        raise InvalidArgument(
            f"actor {text[:40]!a} is over {ACTOR_CHARACTERS.most} characters long or holds control "
            "characters",
            field="actor",
        )
    return text


def check_reason(text: str) -> str:
    """`text`, if it can be recorded as why a gate was overridden, empty for not; raises InvalidArgument."""
    if len(text) > TEXT_CHARACTERS.most or not text.isprintable() or (text and not text.strip()):
        raise InvalidArgument(
            f"reason {text[:40]!a} is blank, over {TEXT_CHARACTERS.most} characters long or holds control "
            "characters",
            field="override_reason",
        )
    return text


def check_version(number: int) -> int:
    """`number`, if it can be a version; raises InvalidArgument."""
    if not 1 <= number <= _MAX_VERSION:
        raise InvalidArgument(f"version {number} is out of range; versions count from 1", field="version")
    return number


def check_expected(number: int | None) -> int | None:
    """`number`, if an alias can be expected to point at it, 0 for none; raises InvalidArgument."""
    if number is not None and not 0 <= number <= _MAX_VERSION:
        raise InvalidArgument(
            f"expected_version {number} is out of range; give 0 for an alias that must not exist yet",
            field="expected_version",
        )
    return number


def check_canary_number(number: int) -> int:
    """`number`, if it can be a canary's, 0 for none; raises InvalidArgument."""
    if not 0 <= number <= _MAX_SEQUENCE:
        raise InvalidArgument(
            f"expected_canary {number} is out of range; give the number that the alias tells of its canary",
            field="expected_canary",
        )
    return number


def check_sequence(number: int | None) -> int | None:
    """`number`, if it can be an event's, or 0 or None; raises InvalidArgument."""
    if number is not None and not 0 <= number <= _MAX_SEQUENCE:
        raise InvalidArgument(
            f"after_sequence {number} is out of range; give 0 for every event, or leave it out for new ones",
            field="after_sequence",
        )
    return number


def check_needed(number: int | None) -> int:
    """What an alias is expected to point at where that must be said; raises InvalidArgument."""
    checked = check_expected(number)
    if checked is None:
        raise InvalidArgument(
            "a rollback needs expected_version, the version that the alias points at now, 0 for a deleted "
            "one: else two callers who undo one move would undo two",
            field="expected_version",
        )
    return checked
