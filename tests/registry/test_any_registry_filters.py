"""What filters of lists promise in every registry."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from parfocal.registry import Evaluation, Provenance, Publication, Registry, Version, every_item
from parfocal.registry.errors import AdapterNotFound, InvalidArgument, InvalidPage
from parfocal.registry.values import MetricCondition, MoveFilter, Span, VersionFilter

Write = Callable[..., Path]
LONG_AGO, LATER = datetime(2020, 1, 1, tzinfo=UTC), timedelta(days=1)


def scored(f1: float, of_slice: float | None = None) -> Evaluation:
    metrics = {"f1": f1, "adapter_loss": 1 - f1} | ({} if of_slice is None else {"f1/de": of_slice})
    return Evaluation("sha256:rows", 5, metrics)


def of(*texts: str) -> VersionFilter:
    return VersionFilter(metrics=tuple(map(MetricCondition.parse, texts)))


@pytest.fixture
def shelf(any_registry: Registry, adapter: Write, publication: Publication) -> list[Version]:
    """Three versions of team/x, of two bases, publishers, parents and scores, and one of team/y."""
    assert publication.base is not None
    other = replace(publication.base, id="other-base")
    trained = Provenance("sha256:data", {}, parent="team/x@1", tools={})
    wanted = (
        (
            "team/x",
            replace(publication, actor="ann", tags=("invoices", "language:de"), evaluation=scored(0.8)),
        ),
        (
            "team/x",
            replace(
                publication, provenance=trained, actor="ben", tags=("invoices",), evaluation=scored(0.95, 0.5)
            ),
        ),
        ("team/x", replace(publication, base=other, actor="ann")),
        ("team/y", replace(publication, base=other, tags=("mail",), evaluation=scored(0.0))),
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
        (VersionFilter(search="team"), [3, 2, 1], ["team/x", "team/y"]),
        (VersionFilter(search="M/Y"), [], ["team/y"]),
        (VersionFilter(search="OTHER x"), [3], ["team/x"]),
        (VersionFilter(search="GUAGE:d"), [1], ["team/x"]),
        (VersionFilter(search="voice mail"), [], []),
        (VersionFilter(search="te_m"), [], []),
        (VersionFilter(search="t%m"), [], []),
        (VersionFilter(search="!"), [], []),
        (VersionFilter(tags=("invoices",)), [2, 1], ["team/x"]),
        (VersionFilter(tags=("invoices", "language:de")), [1], ["team/x"]),
        (VersionFilter(tags=("invoice",)), [], []),
        (VersionFilter(tags=("mail", "invoices")), [], []),
        (of("f1>=0.8"), [2, 1], ["team/x"]),
        (of("f1>0.8"), [2], ["team/x"]),
        (of("f1<=0"), [], ["team/y"]),
        (of("f1<0.8"), [], ["team/y"]),
        (of("f1=95%"), [2], ["team/x"]),
        (of("f1!=0.95"), [1], ["team/x", "team/y"]),
        (of("f1>=0", "f1/de<0.6"), [2], ["team/x"]),
        (of("f1>0.9", "adapter_loss>0.1"), [], []),
        (of("recall>=0"), [], []),
        (replace(of("f1>=0.8"), tags=("language:de",), search="x", actor="ann"), [1], ["team/x"]),
        (replace(of("f1>=0.8"), alias="dev", parent="team/x@1"), [2], ["team/x"]),
        (replace(of("f1>=0"), published=Span(until=LONG_AGO)), [], []),
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


def test_what_is_deleted_is_found_no_more(any_registry: Registry, shelf: list[Version]) -> None:
    any_registry.delete_version("team/y", 1)
    for where in (of("f1<0.8"), VersionFilter(tags=("mail",)), VersionFilter(search="team/y")):
        assert any_registry.adapters(where=where).items == ()


def test_pages_of_what_is_found_by_metric_tag_and_word_go_together(
    any_registry: Registry, shelf: list[Version]
) -> None:
    def names(where: VersionFilter) -> list[str]:
        return [each.name for each in every_item(lambda token: any_registry.adapters(1, token, where))]

    for where in (of("f1>=0"), VersionFilter(search="team"), VersionFilter(base="other-base")):
        assert names(where) == ["team/x", "team/y"]
    first = any_registry.adapters(1, where=of("f1>=0"))
    with pytest.raises(InvalidPage):
        any_registry.adapters(1, first.next_page_token, of("f1>=0.1"))


def test_the_same_files_with_other_tags_are_another_version(
    any_registry: Registry, adapter: Write, publication: Publication
) -> None:
    folder = adapter(fill=7)
    first = any_registry.publish("team/x", folder, replace(publication, tags=("b", "a", "b")))
    assert first.manifest.tags == ("a", "b")
    assert any_registry.publish("team/x", folder, replace(publication, tags=("a", "b"))) == first
    assert any_registry.publish("team/x", folder, publication).version == 2


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
    wrong: tuple[dict[str, Any], ...] = (
        {"base": "x" * 301},
        {"alias": "No Alias"},
        {"actor": "x" * 257},
        {"search": "a b c d e f g h i"},
        {"search": "x" * 301},
        {"tags": ("No Tag",)},
        {"tags": tuple(f"t{n}" for n in range(33))},
        {"metrics": of("a>1").metrics * 9},
    )
    for fields in wrong:
        with pytest.raises(InvalidArgument):
            VersionFilter(**fields)
