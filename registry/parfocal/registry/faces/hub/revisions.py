"""Versions as the commits of a repository, and aliases as its branches and tags. Knows no route.

A version's commit is the first 40 digits of its digest. `main` is always the newest version. Each version is
also a tag, its number; each alias is a branch and a tag.
"""

import re

from parfocal.registry.errors import (
    AdapterNotFound,
    InvalidArgument,
    InvalidName,
    NotFound,
)
from parfocal.registry.faces.hub.errors import BadCall, RepoUnknown, RevisionUnknown
from parfocal.registry.registry import Registry
from parfocal.registry.values import PREFIX, AdapterName, Version, check_alias, hex_of

MAIN = "main"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_PART_OF_COMMIT = re.compile(r"[0-9a-f]{8,39}")
_PLAIN_REFS = ("refs/heads/", "refs/tags/")


def sha_of(version: Version) -> str:
    """The commit that a version is."""
    return hex_of(version.digest)[:40]


def repo_id(name: str) -> str:
    """The id of an adapter's repository; clients want a namespace, also the default one."""
    adapter = AdapterName.parse(name)
    return f"{adapter.namespace}/{adapter.name}"


def known_name(repo: str) -> str:
    """The adapter whose repository has this id; raises RepoUnknown, since no other id can exist."""
    try:
        return str(AdapterName.parse(repo))
    except InvalidName as error:
        raise RepoUnknown(
            f"this registry holds adapters only, and none can have this name: {error}"
        ) from error


def new_name(repo: str) -> str:
    """The name of a repository that is to be; raises BadCall."""
    try:
        return str(AdapterName.parse(repo))
    except InvalidName as error:
        raise BadCall(f"no repository can have this name: {error}", field="name") from error


def version_at(registry: Registry, name: str, revision: str) -> Version:
    """The version that a revision of an adapter's repository is now.

    Raises AdapterNotFound, RevisionUnknown, and what resolving raises where the registry fails.
    """
    reference = reference_to(name, revision)
    try:
        return registry.resolve(reference)
    except AdapterNotFound:
        raise
    except (NotFound, InvalidArgument) as error:
        if _PART_OF_COMMIT.fullmatch(plain(revision)):
            return _beginning_with(registry, name, plain(revision))
        raise RevisionUnknown(f"{repo_id(name)} has no revision {revision[:80]!a}: {error}") from error


def reference_to(name: str, revision: str) -> str:
    """How the registry calls a revision."""
    word = plain(revision)
    if word == MAIN:
        return name
    return f"{name}@{PREFIX}{word}" if _COMMIT.fullmatch(word) else f"{name}@{word}"


def plain(revision: str) -> str:
    """A revision without what git writes before the names of branches and tags."""
    for begin in _PLAIN_REFS:
        if revision.startswith(begin):
            return revision.removeprefix(begin)
    return revision


def checked_ref(word: str) -> str:
    """The name of a new branch or tag, which is an alias; raises BadCall."""
    try:
        return check_alias(plain(word))
    except InvalidArgument as error:
        raise BadCall(f"branches and tags are aliases here: {error}", field="tag") from error


def _beginning_with(registry: Registry, name: str, digits: str) -> Version:
    try:
        return registry.resolve(f"{name}@{PREFIX}{digits}")
    except (NotFound, InvalidArgument) as error:
        raise RevisionUnknown(f"{repo_id(name)} has no revision {digits!a}: {error}") from error
