"""What listing and deleting promise in every registry: the same tests for a folder and for a server."""

from collections.abc import Callable
from pathlib import Path

import pytest

from parfocal.registry import Publication, Registry
from parfocal.registry.errors import AdapterNotFound, InvalidPage, VersionInUse, VersionNotFound

Write = Callable[..., Path]


def test_a_version_that_an_alias_points_at_is_not_deleted(
    any_registry: Registry, versions: Callable[[int], None]
) -> None:
    versions(2)
    any_registry.set_alias("team/x", "prod", 1)
    with pytest.raises(VersionInUse, match="prod"):
        any_registry.delete_version("team/x", 1)
    assert any_registry.resolve("team/x@1").version == 1


@pytest.mark.parametrize("digits", [8, 12, 63, 64])
def test_the_first_digits_of_a_digest_stand_for_the_version(
    any_registry: Registry, versions: Callable[[int], None], digits: int
) -> None:
    versions(3)
    for version in any_registry.versions("team/x").items:
        pasted = version.digest[: len("sha256:") + digits]

        assert any_registry.resolve(f"team/x@{pasted}") == version


def test_digits_of_another_adapter_or_of_a_deleted_version_stand_for_nothing(
    any_registry: Registry, adapter: Write, publication: Publication, versions: Callable[[int], None]
) -> None:
    versions(2)
    other = any_registry.publish("team/y", adapter(fill=77), publication)
    gone = any_registry.resolve("team/x@1")
    any_registry.delete_version("team/x", 1)

    for digest in (other.digest, gone.digest):
        with pytest.raises(VersionNotFound):
            any_registry.resolve(f"team/x@{digest[:19]}")


def test_a_deleted_number_is_never_used_again(
    any_registry: Registry, adapter: Write, publication: Publication, versions: Callable[[int], None]
) -> None:
    versions(2)
    any_registry.delete_version("team/x", 2)
    assert any_registry.resolve("team/x").version == 1
    with pytest.raises(VersionNotFound, match="was deleted"):
        any_registry.resolve("team/x@2")
    with pytest.raises(VersionNotFound):
        any_registry.delete_version("team/x", 2)
    assert any_registry.publish("team/x", adapter(fill=2), publication).version == 3


def test_an_adapter_whose_versions_were_all_deleted_is_still_listed(
    any_registry: Registry, versions: Callable[[int], None]
) -> None:
    versions(1)
    any_registry.delete_version("team/x", 1)
    [summary] = any_registry.adapters().items
    assert (summary.latest_version, summary.version_count) == (0, 0)
    assert any_registry.versions("team/x").items == ()
    with pytest.raises(VersionNotFound, match="no version left"):
        any_registry.resolve("team/x")


def test_versions_are_listed_newest_first_page_by_page(
    any_registry: Registry, versions: Callable[[int], None]
) -> None:
    versions(5)
    first = any_registry.versions("team/x", page_size=2)
    second = any_registry.versions("team/x", 2, first.next_page_token)
    third = any_registry.versions("team/x", 2, second.next_page_token)
    numbers = [version.version for page in (first, second, third) for version in page.items]
    assert numbers == [5, 4, 3, 2, 1]
    assert third.next_page_token == ""


def test_adapters_are_listed_by_name_page_by_page(
    any_registry: Registry, adapter: Write, publication: Publication
) -> None:
    folder = adapter()
    for name in ("b", "team/a", "a"):
        any_registry.publish(name, folder, publication)
    any_registry.set_alias("a", "prod", 1)
    first = any_registry.adapters(page_size=2)
    second = any_registry.adapters(2, first.next_page_token)
    assert [summary.name for summary in (*first.items, *second.items)] == ["a", "b", "team/a"]
    assert second.next_page_token == ""
    assert first.items[0].aliases == {"prod": 1}
    assert (first.items[0].latest_version, first.items[0].version_count) == (1, 1)


def test_bad_pages_are_refused(any_registry: Registry, versions: Callable[[int], None]) -> None:
    versions(2)
    token = any_registry.versions("team/x", 1).next_page_token
    with pytest.raises(InvalidPage):
        any_registry.versions("team/x", -1)
    with pytest.raises(InvalidPage):
        any_registry.adapters(page_token=token)
    with pytest.raises(InvalidPage):
        any_registry.adapters(page_token="nonsense")


def test_an_unknown_adapter_has_neither_versions_nor_aliases(any_registry: Registry) -> None:
    with pytest.raises(AdapterNotFound):
        any_registry.versions("nobody")
    with pytest.raises(AdapterNotFound):
        any_registry.aliases("nobody")
