"""What filters of lists promise in every registry."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from parfocal.registry import Provenance, Publication, Registry, Version, every_item
from parfocal.registry.errors import AdapterNotFound, InvalidArgument, InvalidPage
from parfocal.registry.values import MoveFilter, Span, VersionFilter

Write = Callable[..., Path]
LONG_AGO, LATER = datetime(2020, 1, 1, tzinfo=UTC), timedelta(days=1)


@pytest.fixture
def shelf(any_registry: Registry, adapter: Write, publication: Publication) -> list[Version]:
    """Three versions of team/x, of two bases, publishers and parents, and one of team/y."""
    assert publication.base is not None
    other = replace(publication.base, id="other-base")
    trained = Provenance("sha256:data", {}, parent="team/x@1", tools={})
    wanted = (
        ("team/x", replace(publication, actor="ann")),
        ("team/x", replace(publication, provenance=trained, actor="ben")),
        ("team/x", replace(publication, base=other, actor="ann")),
        ("team/y", replace(publication, base=other)),
    )
    versions = [
        any_registry.publish(name, adapter(fill=fill), each) for fill, (name, each) in enumerate(wanted, 1)
    ]
    any_registry.set_alias("team/x", "prod", 2, actor="ann")
    any_registry.set_alias("team/x", "dev", 2, actor="ben")
    any_registry.set_alias("team/x", "prod", 3, actor="ben")
    return versions


@pytest.mark.parametrize(
    ("where", "numbers", "names"),
    [
        (VersionFilter(), [3, 2, 1], ["team/x", "team/y"]),
        (VersionFilter(base="other-base"), [3], ["team/x", "team/y"]),
        (VersionFilter(base="small-base"), [2, 1], ["team/x"]),
        (VersionFilter(base="other-base", actor="ben"), [], []),
        (VersionFilter(parent="team/x@1"), [2], ["team/x"]),
        (VersionFilter(alias="prod"), [3], ["team/x"]),
        (VersionFilter(alias="dev", base="small-base"), [2], ["team/x"]),
        (VersionFilter(actor="ann"), [3, 1], ["team/x"]),
        (VersionFilter(published=Span(since=LONG_AGO)), [3, 2, 1], ["team/x", "team/y"]),
        (VersionFilter(published=Span(until=LONG_AGO)), [], []),
        (VersionFilter(base="' OR 1=1 --"), [], []),
    ],
)
def test_only_what_meets_every_condition_is_listed(
    any_registry: Registry, shelf: list[Version], where: VersionFilter, numbers: list[int], names: list[str]
) -> None:
    assert [version.version for version in any_registry.versions("team/x", where=where).items] == numbers
    assert [adapter.name for adapter in any_registry.adapters(where=where).items] == names


def test_filters_and_pages_go_together(any_registry: Registry, shelf: list[Version]) -> None:
    where = VersionFilter(actor="ann")
    pages = every_item(lambda token: any_registry.versions("team/x", 1, token, where))
    assert [version.version for version in pages] == [3, 1]
    first = any_registry.versions("team/x", 1, where=where)
    with pytest.raises(InvalidPage):
        any_registry.versions("team/x", 1, first.next_page_token)
    names = every_item(lambda token: any_registry.adapters(1, token, VersionFilter(base="other-base")))
    assert [adapter.name for adapter in names] == ["team/x", "team/y"]


def test_a_moment_is_in_the_span_that_begins_with_it(any_registry: Registry, shelf: list[Version]) -> None:
    second = shelf[1].created_at
    for span, numbers in ((Span(since=second), [3, 2]), (Span(until=second), [1])):
        found = any_registry.versions("team/x", where=VersionFilter(published=span)).items
        assert [version.version for version in found] == numbers


def test_moves_are_listed_by_who_made_them_and_when(any_registry: Registry, shelf: list[Version]) -> None:
    def moved(where: MoveFilter, alias: str = "") -> list[tuple[str, int]]:
        return [
            (move.alias, move.version)
            for move in every_item(lambda token: any_registry.alias_moves("team/x", alias, 1, token, where))
        ]

    assert moved(MoveFilter(actor="ben")) == [("prod", 3), ("dev", 2)]
    assert moved(MoveFilter(actor="ann"), "prod") == [("prod", 2)]
    assert moved(MoveFilter(moved=Span(until=LONG_AGO))) == []
    assert len(moved(MoveFilter(moved=Span(LONG_AGO, datetime.now(UTC) + LATER)))) == 3
    with pytest.raises(AdapterNotFound):
        any_registry.alias_moves("team/z", where=MoveFilter(actor="ann"))


def test_who_published_is_in_the_history(any_registry: Registry, shelf: list[Version]) -> None:
    watch = any_registry.watch("team/x", after=0)
    assert next(iter(watch)).actor == "ann"
    watch.close()


def test_what_no_version_can_have_is_refused() -> None:
    for fields in ({"base": "x" * 301}, {"alias": "No Alias"}, {"actor": "x" * 257}):
        with pytest.raises(InvalidArgument):
            VersionFilter(**fields)  # type: ignore[arg-type]  # texts all
