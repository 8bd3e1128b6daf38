"""Whence a version comes, and what was trained on from it, as provenances tell. They may tell anything.

A parent may be gone, may be in another registry, may be written in a way that means something else by now,
and may come back to where it began. All of that is said, and nothing of it ends a look.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from parfocal.registry.errors import DataLoss, InvalidArgument, NotFound, RegistryTooNew
from parfocal.registry.registry import Registry
from parfocal.registry.values import PREFIX, AdapterName, Reference, Version, VersionFilter, every_item

_PARENT_DIGEST = "parent_digest"

# The version that a reference or a digest means now; raises NotFound, InvalidArgument, DataLoss or
# RegistryTooNew where there is none to be had.
Find = Callable[[str], Version]


@dataclass(frozen=True, slots=True)
class Ancestor:
    """A parent as it was `written` down, the version that this means now if there is one, and what is odd."""

    written: str
    version: Version | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Children:
    """Some live versions that were trained on from a version, and whether there are more."""

    versions: tuple[Version, ...]
    has_more: bool


def finder(registry: Registry) -> Find:
    """Finds what parents are written as: references, or digests alone."""
    return lambda written: (registry.find if written.startswith(PREFIX) else registry.resolve)(written)


def ancestors(version: Version, find: Find, most: int = 64) -> tuple[Ancestor, ...]:
    """The parent, its parent, and so on, the nearest first: to the root, or to what cannot be followed.

    Where `most` do not suffice, the last one's note says so.
    """
    found: list[Ancestor] = []
    seen = {version.digest: str(version)}
    current: Version | None = version
    while current is not None:
        written = _parent_of(current)
        if not written:
            break
        if len(found) == most:
            found.append(
                Ancestor(written, None, f"the first {most} generations are shown, and there are more")
            )
            break
        parent = _followed(current, written, find)
        current = parent.version
        if current is not None and current.digest in seen:
            note = f"a circle: {seen[current.digest]} is among its own ancestors"
            found.append(Ancestor(written, None, note))
            break
        if current is not None:
            seen[current.digest] = str(current)
        found.append(parent)
    return tuple(found)


def children(registry: Registry, version: Version, most: int = 20) -> Children:
    """The versions whose provenance names this one, by adapter and number, the newest first."""
    found = list(islice(_children(registry, version), most + 1))
    return Children(tuple(found[:most]), len(found) > most)


def _parent_of(version: Version) -> str:
    provenance = version.manifest.provenance
    return (provenance.parent or "") if provenance is not None else ""


def _followed(child: Version, written: str, find: Find) -> Ancestor:
    try:
        parent = find(written)
    except NotFound:
        return Ancestor(written, None, "not in this registry, or deleted")
    except InvalidArgument:
        return Ancestor(written, None, "this is no version's name; nothing more is known of it")
    except (DataLoss, RegistryTooNew) as error:
        return Ancestor(written, None, f"cannot be read: {error}")
    provenance = child.manifest.provenance
    digest = None if provenance is None else provenance.hyper_parameters.get(_PARENT_DIGEST)
    if isinstance(digest, str) and digest != parent.digest:
        return Ancestor(written, None, f"here it has other content; {child} was trained on from {digest}")
    if not isinstance(digest, str) and _may_have_moved(written):
        return Ancestor(written, parent, "what it means now; it may have meant another version then")
    return Ancestor(written, parent)


def _may_have_moved(written: str) -> bool:
    if written.startswith(PREFIX):
        return False
    reference = Reference.parse(written)
    return reference.version is None and reference.digest is None


def _children(registry: Registry, version: Version) -> Iterator[Version]:
    seen: set[str] = {str(version)}
    for written in _writings(version):
        for child in _such(registry, VersionFilter(parent=written)):
            if str(child) not in seen:
                seen.add(str(child))
                yield child


def _such(registry: Registry, where: VersionFilter) -> Iterator[Version]:
    for adapter in every_item(lambda token: registry.adapters(0, token, where)):
        yield from _of(registry, adapter.name, where)


def _of(registry: Registry, name: str, where: VersionFilter) -> Iterator[Version]:
    return every_item(lambda token: registry.versions(name, 0, token, where))


def _writings(version: Version) -> Iterator[str]:
    """How provenances may write a version."""
    name = AdapterName.parse(version.name)
    for each in dict.fromkeys((version.name, f"{name.namespace}/{name.name}")):
        yield f"{each}@{version.version}"
        yield f"{each}@{version.digest}"
    yield version.digest
