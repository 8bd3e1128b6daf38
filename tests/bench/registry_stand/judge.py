"""What became of all that was acknowledged in a storm."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from bench.registry_stand.processes import told as run
from bench.registry_stand.roles import Stand
from bench.registry_stand.storm import Came
from fakes.registry.shared_writer import ALIAS, NAME
from parfocal.registry import AliasMove, StoredRegistry, every_item

Told = list[dict[str, Any]]
# What nobody may be told, whoever dies: that something is lost, absent or wrong, or fails for no reason.
_NEVER = ("DATA_LOSS", "NOT_FOUND", "INTERNAL", "UNKNOWN", "INVALID_ARGUMENT", "UNIMPLEMENTED")


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was found against each promise, and figures."""

    faults: dict[str, list[str]]
    figures: dict[str, object]
    limits: dict[str, object]


def judged(stand: Stand, came: Came) -> Judgement:
    """Looks at everything, with the commands that an operator has."""
    told: Told = [json.loads(line) for line in (stand.folder / "told").read_text().splitlines()]
    registry = stand.registry("judge")
    moves = registry.alias_history(NAME, ALIAS)[::-1]
    faults = {
        "no acknowledged publication is lost": lost_publications(registry, told),
        "no alias moves twice from one expectation": wrong_moves(moves),
        "no acknowledged move is lost": lost_moves(moves, told),
        "the log is as it was written (parfocal log --verify)": _said(stand, "log", "--verify"),
        "every version verifies (parfocal registry verify)": _said(stand, "registry", "verify"),
        "nobody is told that something is lost or wrong": wrongly_refused(told),
        "nobody ends but by a kill": came.ended_alone,
    }
    storm = [each for each in told if came.begun_at <= each["at"] <= came.ended_at]
    calm = [each for each in told if came.calm_at <= each["at"] < came.begun_at]
    figures = {
        "deaths": sum(came.deaths.values()),
        "of_servers": came.deaths["serve"],
        "restarts_of_postgresql": len(came.restarts_s),
        "versions": len(_versions(registry)),
        "moves": len(moves),
        "acknowledged_publications": _count(told, "published"),
        "acknowledged_moves": _count(told, "moved"),
        "reads": _count(told, "read"),
        "refused": dict(Counter(each["refused"] for each in told if "refused" in each)),
        **_rates(storm, came.ended_at - came.begun_at),
        "longest_without_a_publication_s": _longest_pause(storm, "published", came),
        "longest_without_a_read_s": _longest_pause(storm, "read", came),
    }
    limits = {
        **{f"in_calm_{name}": rate for name, rate in _rates(calm, came.begun_at - came.calm_at).items()},
        "two_servers_start_in_s": round(came.server_start_s, 1),
        "postgresql_restarts_in_s": [round(each, 1) for each in came.restarts_s],
    }
    return Judgement(faults, figures, limits)


def lost_publications(registry: StoredRegistry, told: Told) -> list[str]:
    """Versions that were acknowledged and are not there as they were, and gaps among the numbers."""
    versions = _versions(registry)
    found = [
        f"version {each['published']} was acknowledged as {each['digest']}"
        for each in told
        if "published" in each and versions.get(each["published"]) != each["digest"]
    ]
    if sorted(versions) != list(range(1, len(versions) + 1)):
        found.append("the numbers of versions have gaps")
    return found


def wrong_moves(moves: Sequence[AliasMove]) -> list[str]:
    """Moves, the oldest first, that do not begin where the one before ended, or begin where another did.

    No version is promoted twice here, so an alias never comes back.
    """
    found = [
        f"to {after.version} from {after.previous_version}, and it pointed at {before.version}"
        for before, after in pairwise(moves)
        if before.version != after.previous_version
    ]
    begun = Counter(move.previous_version for move in moves)
    return [*found, *(f"{count} moves from {version}" for version, count in begun.items() if count > 1)]


def lost_moves(moves: Sequence[AliasMove], told: Told) -> list[str]:
    """Moves that were acknowledged and did not happen."""
    steps = {(move.previous_version, move.version) for move in moves}
    acknowledged = {(each["expected"], each["moved"]) for each in told if "moved" in each}
    return [f"from {before} to {version}" for before, version in sorted(acknowledged - steps)]


def wrongly_refused(told: Told) -> list[str]:
    """What nobody may be told."""
    return [each["refused"] for each in told if each.get("status") in _NEVER]


def _said(stand: Stand, *command: str) -> list[str]:
    status, said = run(stand.folder / "judge-home", *command, "--registry", stand.location)
    return [] if status == 0 else [f"{' '.join(command)} ends with {status}: {said[-300:]}"]


def _versions(registry: StoredRegistry) -> dict[int, str]:
    return {v.version: v.digest for v in every_item(lambda token: registry.versions(NAME, 0, token))}


def _count(told: Told, what: str) -> int:
    return sum(what in each for each in told)


def _rates(told: Told, seconds: float) -> dict[str, float]:
    return {
        "publications_a_second": round(_count(told, "published") / seconds, 2),
        "reads_a_second": round(_count(told, "read") / seconds, 1),
    }


def _longest_pause(storm: Told, what: str, came: Came) -> float:
    moments: Iterable[float] = sorted(each["at"] for each in storm if what in each)
    return round(
        max(later - sooner for sooner, later in pairwise((came.begun_at, *moments, came.ended_at))), 1
    )
