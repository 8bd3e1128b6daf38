"""Repositories, their refs and commits as the Hub describes them. Blocks; knows no route."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from parfocal.registry.cards import LIBRARY, card_data
from parfocal.registry.faces.hub.entries import Entry
from parfocal.registry.faces.hub.revisions import MAIN, repo_id, sha_of
from parfocal.registry.registry import Registry
from parfocal.registry.values import MAX_PAGE_SIZE, AdapterSummary, Alias, Version, every_item

Json = dict[str, object]


def described(version: Version, aliases: Sequence[Alias], entries: Sequence[Entry], details: bool) -> Json:
    """A repository at one version with these files; `details` adds their sizes and digests."""
    manifest = version.manifest
    base = manifest.contract.base.id
    return {
        **named(version.name),
        "sha": sha_of(version),
        "lastModified": moment(version.created_at),
        "tags": tags_of(version),
        "pipeline_tag": "text-generation",
        "cardData": card_data(manifest),
        "config": {LIBRARY: {"base_model_name_or_path": base, "task_type": "CAUSAL_LM"}},
        "siblings": [entry.sibling(details) for entry in entries],
        "usedStorage": manifest.size,
        "parfocal": {
            "version": version.version,
            "digest": version.digest,
            "aliases": [alias.alias for alias in aliases if alias.digest == version.digest],
        },
    }


def tags_of(version: Version) -> list[str]:
    """What a version is found by."""
    manifest = version.manifest
    base = manifest.contract.base.id
    return [
        LIBRARY,
        "safetensors",
        "lora",
        f"base_model:{base}",
        f"base_model:adapter:{base}",
        *manifest.tags,
    ]


def named(name: str) -> Json:
    """What is said of every repository."""
    repo = repo_id(name)
    return {
        "_id": repo,
        "id": repo,
        "modelId": repo,
        "author": repo.partition("/")[0],
        "private": False,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "library_name": LIBRARY,
    }


def listed(summary: AdapterSummary) -> Json:
    """A repository in the list of all."""
    told = {"createdAt": moment(summary.created_at), "lastModified": moment(summary.updated_at)}
    return {**named(summary.name), **told, "tags": [LIBRARY, "lora"]}


def refs(registry: Registry, name: str) -> Json:
    """Every branch and tag: `main`, each alias as both, and each version's number as a tag.

    Raises AdapterNotFound.
    """
    versions = list(all_versions(registry, name))
    aliases = [alias for alias in registry.aliases(name) if alias.alias != MAIN]
    commits = {version.digest: sha_of(version) for version in versions}
    pointed = [(alias.alias, commits[alias.digest]) for alias in aliases if alias.digest in commits]
    newest = [(MAIN, sha_of(versions[0]))] if versions else []
    numbers = [(str(version.version), sha_of(version)) for version in versions]
    return {
        "branches": list(_refs("heads", [*newest, *pointed])),
        "converts": [],
        "tags": list(_refs("tags", [*pointed, *numbers])),
        "pullRequests": [],
    }


def commits(registry: Registry, name: str, newest: Version) -> list[Json]:
    """The versions of an adapter from `newest` back, as commits."""
    return [
        {
            "id": sha_of(version),
            "title": f"Version {version.version}",
            "message": version.digest,
            "date": moment(version.created_at),
            "authors": [],
        }
        for version in all_versions(registry, name)
        if version.version <= newest.version
    ]


def all_versions(registry: Registry, name: str) -> Iterator[Version]:
    """Every live version, the newest first; raises AdapterNotFound."""
    return every_item(lambda token: registry.versions(name, MAX_PAGE_SIZE, token))


def moment(when: datetime) -> str:
    """A moment as the Hub writes it."""
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"


def _refs(kind: str, pointed: Iterable[tuple[str, str]]) -> Iterator[Json]:
    for name, commit in pointed:
        yield {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": commit}
