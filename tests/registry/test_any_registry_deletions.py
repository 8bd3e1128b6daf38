"""What deleting promises in every registry: aliases and whole adapters go, their history stays."""

from collections.abc import Callable
from pathlib import Path

import pytest

from parfocal.registry import MoveKind, Publication, Registry
from parfocal.registry.errors import (
    AdapterInUse,
    AdapterNotFound,
    AliasMoved,
    AliasNotFound,
    InvalidArgument,
    InvalidPage,
    NothingToRollBack,
)

Write = Callable[..., Path]
Versions = Callable[[int], None]


def test_a_deleted_alias_is_gone_and_its_history_is_not(any_registry: Registry, versions: Versions) -> None:
    versions(2)
    any_registry.set_alias("team/x", "prod", 1, actor="ann")
    any_registry.set_alias("team/x", "beta", 2)
    any_registry.delete_alias("team/x", "prod", actor="ben")
    assert [alias.alias for alias in any_registry.aliases("team/x")] == ["beta"]
    with pytest.raises(AliasNotFound):
        any_registry.resolve("team/x@prod")
    deleted, made = any_registry.alias_history("team/x", "prod")
    assert (made.version, made.actor) == (1, "ann")
    assert (deleted.kind, deleted.previous_version, deleted.version) == (MoveKind.DELETE, 1, 0)
    assert (deleted.digest, deleted.actor) == ("", "ben")


def test_a_version_whose_alias_was_deleted_can_be_deleted(any_registry: Registry, versions: Versions) -> None:
    versions(1)
    any_registry.set_alias("team/x", "prod", 1)
    any_registry.delete_alias("team/x", "prod")
    any_registry.delete_version("team/x", 1)
    assert any_registry.versions("team/x").items == ()


def test_an_alias_is_deleted_only_where_it_is_expected(any_registry: Registry, versions: Versions) -> None:
    versions(2)
    any_registry.set_alias("team/x", "prod", 2)
    with pytest.raises(AliasMoved) as refused:
        any_registry.delete_alias("team/x", "prod", expected_version=1)
    assert refused.value.metadata["actual"] == "2"
    any_registry.delete_alias("team/x", "prod", expected_version=2)
    with pytest.raises(AliasNotFound):
        any_registry.delete_alias("team/x", "prod")
    with pytest.raises(AdapterNotFound):
        any_registry.delete_alias("nobody", "prod")


def test_a_deletion_can_be_rolled_back(any_registry: Registry, versions: Versions) -> None:
    versions(2)
    for version in (1, 2):
        any_registry.set_alias("team/x", "prod", version)
    any_registry.delete_alias("team/x", "prod")
    assert any_registry.rollback_alias("team/x", "prod", 0).version == 2
    assert any_registry.rollback_alias("team/x", "prod", 2).version == 1


def test_an_alias_that_is_made_anew_does_not_roll_back_into_its_earlier_life(
    any_registry: Registry, versions: Versions
) -> None:
    versions(2)
    any_registry.set_alias("team/x", "prod", 1)
    any_registry.delete_alias("team/x", "prod")
    any_registry.set_alias("team/x", "prod", 2, expected_version=0)
    with pytest.raises(NothingToRollBack):
        any_registry.rollback_alias("team/x", "prod", 2)


def test_of_two_rollbacks_of_one_move_one_happens(any_registry: Registry, versions: Versions) -> None:
    versions(3)
    for version in (1, 2, 3):
        any_registry.set_alias("team/x", "prod", version)
    assert any_registry.rollback_alias("team/x", "prod", 3, "ann").version == 2
    with pytest.raises(AliasMoved):
        any_registry.rollback_alias("team/x", "prod", 3, "ben")
    assert any_registry.resolve("team/x@prod").version == 2


def test_a_deleted_adapter_is_found_nowhere(any_registry: Registry, versions: Versions) -> None:
    versions(2)
    any_registry.delete_adapter("team/x")
    assert any_registry.adapters().items == ()
    for look in (any_registry.versions, any_registry.aliases, any_registry.resolve):
        with pytest.raises(AdapterNotFound, match="deleted"):
            look("team/x")
    with pytest.raises(AdapterNotFound):
        any_registry.delete_adapter("team/x")


def test_an_adapter_with_aliases_is_deleted_only_if_that_is_said(
    any_registry: Registry, versions: Versions
) -> None:
    versions(2)
    any_registry.set_alias("team/x", "prod", 1)
    any_registry.set_alias("team/x", "beta", 2)
    with pytest.raises(AdapterInUse, match="beta, prod"):
        any_registry.delete_adapter("team/x")
    assert len(any_registry.versions("team/x").items) == 2
    any_registry.delete_adapter("team/x", force=True, actor="ann")
    moves = any_registry.alias_moves("team/x").items
    assert [(move.alias, move.kind, move.actor) for move in moves[:2]] == [
        ("prod", MoveKind.DELETE, "ann"),
        ("beta", MoveKind.DELETE, "ann"),
    ]
    assert len(any_registry.alias_history("team/x", "prod")) == 2


def test_a_name_that_is_published_again_goes_on_with_its_numbers(
    any_registry: Registry, versions: Versions, adapter: Write, publication: Publication
) -> None:
    versions(2)
    any_registry.delete_adapter("team/x")
    again = any_registry.publish("team/x", adapter(fill=1), publication)
    assert again.version == 3
    assert [version.version for version in any_registry.versions("team/x").items] == [3]
    [summary] = any_registry.adapters().items
    assert (summary.latest_version, summary.version_count, dict(summary.aliases)) == (3, 1, {})


def test_a_neighbour_of_a_deleted_adapter_keeps_shared_content(
    any_registry: Registry, adapter: Write, publication: Publication
) -> None:
    folder = adapter()
    for name in ("one", "two"):
        any_registry.publish(name, folder, publication)
    any_registry.delete_adapter("one")
    assert any_registry.materialise(any_registry.resolve("two").digest).is_dir()


def test_moves_are_listed_newest_first_page_by_page(any_registry: Registry, versions: Versions) -> None:
    versions(2)
    for version in (1, 2, 1):
        any_registry.set_alias("team/x", "prod", version)
    any_registry.set_alias("team/x", "beta", 2)
    first = any_registry.alias_moves("team/x", page_size=3)
    second = any_registry.alias_moves("team/x", page_size=3, page_token=first.next_page_token)
    told = [(move.alias, move.version) for move in (*first.items, *second.items)]
    assert told == [("beta", 2), ("prod", 1), ("prod", 2), ("prod", 1)]
    assert second.next_page_token == ""
    assert [move.version for move in any_registry.alias_moves("team/x", "prod").items] == [1, 2, 1]
    with pytest.raises(InvalidPage):
        any_registry.alias_moves("team/x", "prod", page_token=first.next_page_token)


def test_moves_of_what_there_never_was_are_refused(any_registry: Registry, versions: Versions) -> None:
    versions(1)
    assert any_registry.alias_moves("team/x").items == ()
    with pytest.raises(AliasNotFound):
        any_registry.alias_moves("team/x", "prod")
    with pytest.raises(AdapterNotFound):
        any_registry.alias_moves("nobody")


@pytest.mark.parametrize("actor", ["a\nb", "x" * 300])
def test_whoever_deletes_must_be_printable(any_registry: Registry, versions: Versions, actor: str) -> None:
    versions(1)
    any_registry.set_alias("team/x", "prod", 1)
    with pytest.raises(InvalidArgument):
        any_registry.delete_alias("team/x", "prod", actor)
    with pytest.raises(InvalidArgument):
        any_registry.delete_version("team/x", 1, actor)
    with pytest.raises(InvalidArgument):
        any_registry.delete_adapter("team/x", True, actor)
    assert any_registry.resolve("team/x@prod").version == 1
