"""Pushes a version to the Hub as one commit, and looks whether the Hub holds what was sent.

Beside its files go a card, its manifest, and its signatures under the names that the OpenSSF's model signing
looks for.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from parfocal.registry.cards import CARD_FILE, card
from parfocal.registry.copies import check_received
from parfocal.registry.errors import HubRefused
from parfocal.registry.hub.failures import hub_failures
from parfocal.registry.hub.listed_files import ListedFile, listed_files
from parfocal.registry.hub.reference import HubReference
from parfocal.registry.packing import MANIFEST_FILE, is_packed_file, signature_files
from parfocal.registry.values import CONFIG_FILE, FileEntry, Hasher, Version, chunks_of

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi


@dataclass(frozen=True, slots=True)
class Pushed:
    """Where a version is on the Hub now, and whether the repository was made for it.

    `rewritten` are files that the other side wrote anew, as a registry does with a configuration.
    """

    reference: HubReference
    url: str
    is_new_repository: bool
    rewritten: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pushing:
    """Whether a new repository is `public`, and the bundles that go along."""

    public: bool = False
    signatures: tuple[bytes, ...] = ()


def push_version(
    version: Version,
    folder: Path,
    repo: str,
    pushing: Pushing = Pushing(),  # frozen
    api: "HfApi | None" = None,
) -> Pushed:
    """Pushes the version whose files are in `folder` to the main branch of `repo`.

    A repository that is not there is made, private unless it is to be public; one that is there keeps its
    visibility, and its history. Somebody else's commit meanwhile is not overwritten. Raises HubRefused,
    BlobCorrupt, and OSError of this machine.
    """
    from huggingface_hub import HfApi

    api = api or HfApi()
    for entry in version.manifest.files:
        _check(folder / entry.path, entry)
    files: Mapping[str, bytes | Path] = {
        **{entry.path: folder / entry.path for entry in version.manifest.files},
        CARD_FILE: card(version.manifest),
        MANIFEST_FILE: version.manifest_bytes,
        **signature_files(pushing.signatures),
    }
    with hub_failures(f"{version} cannot be pushed to {repo} on the Hub"):
        is_new = not api.repo_exists(repo)
        if is_new:
            api.create_repo(repo, private=not pushing.public)
        done = api.create_commit(
            repo,
            _operations(files, [] if is_new else api.list_repo_files(repo)),
            commit_message=f"{version} of a Parfocal registry",
            commit_description=f"Digest {version.digest}",
            parent_commit=None if is_new else api.model_info(repo).sha,
        )
        reference = HubReference(repo, done.oid)
        held = listed_files(api.model_info(repo, revision=done.oid, files_metadata=True))
    differing = [entry.path for entry in version.manifest.files if not _is_held(folder, entry.path, held)]
    if any(name != CONFIG_FILE for name in differing):
        raise HubRefused(
            f"the Hub took {reference}, but does not hold {differing[0]} as it was sent; push it again",
            field=differing[0],
        )
    return Pushed(reference, str(done.commit_url), is_new, tuple(differing))


def _operations(
    files: Mapping[str, bytes | Path], there: Iterable[str]
) -> "list[CommitOperationAdd | CommitOperationDelete]":
    """Adds the files, and takes away signatures that are there of the version before."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    old = [name for name in there if is_packed_file(name) and name not in files]
    return [
        *(CommitOperationAdd(name, str(it) if isinstance(it, Path) else it) for name, it in files.items()),
        *(CommitOperationDelete(name) for name in old),
    ]


def _check(path: Path, entry: FileEntry) -> None:
    hasher = Hasher()
    with path.open("rb") as file:
        for chunk in chunks_of(file):
            hasher.update(chunk)
    check_received(entry, hasher)


def _is_held(folder: Path, name: str, held: Mapping[str, ListedFile | None]) -> bool:
    listed = held.get(name)
    return listed is not None and listed.found_in(folder / name) == listed.digest
