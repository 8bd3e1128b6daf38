"""What aliases promise in every registry: the same tests for a folder and for a server."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from parfocal.registry import MoveKind, Registry
from parfocal.registry.errors import (
    AdapterNotFound,
    AliasMoved,
    AliasNotFound,
    InvalidAlias,
    InvalidArgument,
    NothingToRollBack,
    VersionNotFound,
)

Write = Callable[..., Path]


def test_an_alias_moves_and_every_move_is_kept(
    any_registry: Registry, versions: Callable[[int], None]
) -> None:
    versions(2)
    began = datetime.now(UTC)
    any_registry.set_alias("team/x", "prod", 1, expected_version=0, actor="ann")
    moved = any_registry.set_alias("team/x", "prod", 2, expected_version=1, actor="ben")
    assert (moved.version, moved.actor, moved.digest) == (2, "ben", any_registry.resolve("team/x@2").digest)
    assert any_registry.aliases("team/x") == [moved]
    last, first = any_registry.alias_history("team/x", "prod")
    assert (first.previous_version, first.version, first.kind, first.actor) == (0, 1, MoveKind.SET, "ann")
    assert (last.previous_version, last.version, last.kind, last.actor) == (1, 2, MoveKind.SET, "ben")
    assert began <= first.moved_at <= last.moved_at <= datetime.now(UTC)


@pytest.mark.parametrize(("expected", "actual"), [(0, "1"), (2, "1")])
def test_a_stale_expectation_does_not_move_an_alias(
    any_registry: Registry, versions: Callable[[int], None], expected: int, actual: str
) -> None:
    versions(2)
    any_registry.set_alias("team/x", "prod", 1)
    with pytest.raises(AliasMoved) as refused:
        any_registry.set_alias("team/x", "prod", 2, expected_version=expected)
    assert refused.value.metadata["expected"] == str(expected)
    assert refused.value.metadata["actual"] == actual
    assert any_registry.resolve("team/x@prod").version == 1
    assert len(any_registry.alias_history("team/x", "prod")) == 1


def test_an_alias_that_must_exist_and_does_not_is_not_made(
    any_registry: Registry, versions: Callable[[int], None]
) -> None:
    versions(1)
    with pytest.raises(AliasMoved, match="does not exist"):
        any_registry.set_alias("team/x", "prod", 1, expected_version=1)
    assert any_registry.aliases("team/x") == []


def test_an_alias_set_where_it_points_already_records_nothing(
    any_registry: Registry, versions: Callable[[int], None]
) -> None:
    versions(1)
    first = any_registry.set_alias("team/x", "prod", 1, actor="ann")
    assert any_registry.set_alias("team/x", "prod", 1, actor="ben") == first
    assert len(any_registry.alias_history("team/x", "prod")) == 1


def test_rolling_back_twice_goes_two_moves_back(
    any_registry: Registry, versions: Callable[[int], None]
) -> None:
    versions(3)
    for version in (1, 2, 3):
        any_registry.set_alias("team/x", "prod", version)
    assert any_registry.rollback_alias("team/x", "prod", 3, "ann").version == 2
    assert any_registry.rollback_alias("team/x", "prod", 2).version == 1
    with pytest.raises(NothingToRollBack):
        any_registry.rollback_alias("team/x", "prod", 1)
    kinds = [
        (move.kind, move.previous_version, move.version)
        for move in any_registry.alias_history("team/x", "prod")
    ]
    assert kinds[:2] == [(MoveKind.ROLLBACK, 2, 1), (MoveKind.ROLLBACK, 3, 2)]


def test_an_alias_cannot_point_at_nothing(any_registry: Registry, versions: Callable[[int], None]) -> None:
    versions(1)
    with pytest.raises(VersionNotFound):
        any_registry.set_alias("team/x", "prod", 2)
    with pytest.raises(AdapterNotFound):
        any_registry.set_alias("nobody", "prod", 1)
    with pytest.raises(AliasNotFound):
        any_registry.rollback_alias("team/x", "prod", 0)
    with pytest.raises(AliasNotFound):
        any_registry.alias_history("team/x", "prod")


@pytest.mark.parametrize("alias", ["latest", "3", "sha256:x", "Prod", "../x"])
def test_a_word_that_is_no_alias_is_not_set(
    any_registry: Registry, versions: Callable[[int], None], alias: str
) -> None:
    versions(1)
    with pytest.raises(InvalidAlias):
        any_registry.set_alias("team/x", alias, 1)


@pytest.mark.parametrize(
    ("version", "expected", "actor"), [(0, None, ""), (1 << 40, None, ""), (1, -1, ""), (1, None, "a\nb")]
)
def test_arguments_out_of_range_are_refused(
    any_registry: Registry, versions: Callable[[int], None], version: int, expected: int | None, actor: str
) -> None:
    versions(1)
    with pytest.raises(InvalidArgument) as refused:
        any_registry.set_alias("team/x", "prod", version, expected, actor)
    assert refused.value.field in ("version", "expected_version", "actor")
