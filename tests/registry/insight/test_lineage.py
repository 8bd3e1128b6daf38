"""Whence versions come and what came of them, whatever provenances say."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from parfocal.registry import Provenance, Publication, Registry, Version
from parfocal.registry.insight import ancestors, children, finder

Publish = Callable[..., Version]


@pytest.fixture
def publish(any_registry: Registry, adapter: Callable[..., Path], publication: Publication) -> Publish:
    """Returns a function that publishes a version of a name, trained on from what it is told."""
    fills = iter(range(1, 200))

    def made(name: str, parent: str | None = None, **hyper_parameters: str) -> Version:
        origin = Provenance("sha256:data", hyper_parameters, parent=parent)
        return any_registry.publish(name, adapter(fill=next(fills)), replace(publication, provenance=origin))

    return made


def test_ancestors_are_followed_to_the_root_and_children_are_found_however_they_were_written(
    any_registry: Registry, publish: Publish
) -> None:
    root = publish("x")
    middle = publish("team/y", "x@1", parent_digest=root.digest)
    last = publish("team/y", middle.digest)
    others = [publish("team/z", written) for written in ("default/x@1", f"x@{root.digest}", root.digest)]
    publish("team/z", "x@2")
    found = ancestors(last, finder(any_registry))
    assert [(each.written, each.version, each.note) for each in found] == [
        (middle.digest, middle, ""),
        ("x@1", root, ""),
    ]
    assert ancestors(root, finder(any_registry)) == ()
    assert {str(each) for each in children(any_registry, root).versions} == {str(middle), *map(str, others)}
    assert not children(any_registry, root).has_more
    assert children(any_registry, last).versions == ()


def test_more_children_than_are_wanted_are_told(any_registry: Registry, publish: Publish) -> None:
    root = publish("x")
    for name in ("a", "a", "b"):
        publish(name, "x@1")
    few = children(any_registry, root, most=2)
    assert (len(few.versions), few.has_more) == (2, True)
    all_of_them = children(any_registry, root, most=3)
    assert (len(all_of_them.versions), all_of_them.has_more) == (3, False)


@pytest.mark.parametrize(
    ("written", "note"),
    [
        ("team/gone@3", "not in this registry, or deleted"),
        ("x@7", "not in this registry"),
        (f"sha256:{'0' * 64}", "not in this registry"),
        ("sha256:12", "no version's name"),
        ("../etc/passwd", "no version's name"),
        ("some run of last week", "no version's name"),
    ],
)
def test_a_parent_that_cannot_be_had_ends_the_line_and_says_why(
    any_registry: Registry, publish: Publish, written: str, note: str
) -> None:
    (found,) = ancestors(publish("x", written), finder(any_registry))
    assert (found.written, found.version) == (written, None)
    assert note in found.note


def test_a_deleted_parent_is_not_followed_by_name(any_registry: Registry, publish: Publish) -> None:
    publish("x")
    child = publish("y", "x@1")
    any_registry.delete_version("x", 1)
    (found,) = ancestors(child, finder(any_registry))
    assert (found.version, found.note) == (None, "not in this registry, or deleted")


def test_a_parent_that_has_other_content_here_is_not_the_parent(
    any_registry: Registry, publish: Publish
) -> None:
    publish("x")
    (found,) = ancestors(publish("y", "x@1", parent_digest=f"sha256:{'1' * 64}"), finder(any_registry))
    assert found.version is None
    assert found.note.startswith("here it has other content; y")


def test_what_was_written_as_an_alias_may_have_moved(any_registry: Registry, publish: Publish) -> None:
    first = publish("x")
    any_registry.set_alias("x", "prod", 1)
    for written in ("x@prod", "x"):
        (found,) = ancestors(publish("y", written), finder(any_registry))
        assert found.version == first
        assert "it may have meant another version then" in found.note


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_circle_is_named_and_ends(any_registry: Registry, publish: Publish, length: int) -> None:
    made = [publish(f"x{at}", f"x{(at + 1) % length}@1") for at in range(length)]
    found = ancestors(made[0], finder(any_registry))
    assert [each.version for each in found] == [*made[1:], None]
    assert found[-1].note == "a circle: x0@1 is among its own ancestors"


def test_a_line_without_an_end_in_sight_is_cut_with_a_word(any_registry: Registry, publish: Publish) -> None:
    publish("x")
    for at in range(1, 6):
        last = publish("x", f"x@{at}")
    found = ancestors(last, finder(any_registry), most=3)
    assert [str(each.version) for each in found[:3]] == ["x@5", "x@4", "x@3"]
    assert "the first 3 generations are shown" in found[3].note
    assert len(ancestors(last, finder(any_registry), most=5)) == 5
