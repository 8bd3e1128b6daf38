"""A commit that becomes a version, waits for more, or is refused. Blocks; knows no HTTP."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from parfocal.registry.errors import (
    AdapterNotFound,
    BaseUnreachable,
    GateRefused,
    InvalidUpload,
    RegistryError,
)
from parfocal.registry.faces.hub.errors import (
    BadCall,
    EntryUnknown,
    NotKept,
    ParentMoved,
    RepoUnknown,
    RevisionUnknown,
    UploadsMixed,
)
from parfocal.registry.faces.hub.revisions import MAIN, plain, repo_id, sha_of, version_at
from parfocal.registry.faces.hub.uploading.commit_lines import SAMPLE_BYTES, Commit, Part, Pointer
from parfocal.registry.faces.hub.uploading.drafts import Draft
from parfocal.registry.faces.hub.uploading.kept import check_is_adapter
from parfocal.registry.faces.hub.uploading.said import publication_of
from parfocal.registry.faces.hub.uploading.store import UploadStore, parts_of
from parfocal.registry.packing import is_packed_file
from parfocal.registry.publishing import Publication
from parfocal.registry.registry import Registry
from parfocal.registry.values import Version

_LAID_OUT = "laid-out"
_ADVICE = (
    "over the Hub's protocol the base is the one that adapter_config.json names: write the id that it has on "
    "the Hub there, as base_model_name_or_path, or publish with parfocal push --base"
)


@dataclass(frozen=True, slots=True)
class Uploader:
    """Who uploads: `key` tells them from others, `shown` is what people are told, `actor` what history is."""

    key: str
    shown: str
    actor: str


@dataclass(frozen=True, slots=True)
class Branch:
    """What a commit goes to: an alias of an adapter, or its `main`, for which `alias` is empty."""

    name: str
    alias: str

    @classmethod
    def of(cls, name: str, revision: str) -> "Branch":
        """The branch that a revision names."""
        word = plain(revision)
        return cls(name, "" if word == MAIN else word)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a commit: its id, and a version, or what is waited for.

    `cautions` are sentences about files beside the version's that were of no use.
    """

    commit: str
    version: Version | None = None
    awaited: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Taking:
    """A commit, what it goes to, and what there was before."""

    work: Path
    branch: Branch
    uploader: Uploader
    commit: Commit
    head: Version | None
    before: Draft


class Publisher:
    """Takes commits into repositories of `registry`; one at a time for each."""

    def __init__(self, registry: Registry, store: UploadStore) -> None:
        self._registry = registry
        self._store = store

    def check_known(self, name: str) -> None:
        """Raises RepoUnknown unless the repository was created or has been published into."""
        if self._store.is_created(name):
            return
        try:
            self._registry.aliases(name)
        except AdapterNotFound as error:
            raise RepoUnknown(
                f"nobody has created a repository {repo_id(name)!r} here: create_repo does, or "
                "parfocal push, which publishes at once"
            ) from error

    def take(self, work: Path, branch: Branch, uploader: Uploader, commit: Commit) -> Outcome:
        """What becomes of a commit that lies in `work`.

        One that is refused changes nothing; but a version stays whose alias somebody else moved meanwhile.
        Raises what `publish` raises, and InvalidUpload, NotKept, ParentMoved, UploadsMixed, RepoUnknown,
        RevisionUnknown or AliasMoved.
        """
        head = self.head(branch)
        before = self._store.draft(branch.name, uploader.key) or Draft(uploader.shown)
        try:
            return self._taken(_Taking(work, branch, uploader, commit, head, before))
        except RegistryError as error:
            # It is not sent again as it is, so what was announced with it does not come either.
            if not before.files and error.retry_after_s is None and not isinstance(error, UploadsMixed):
                self._store.drop(branch.name, uploader.key)
            raise

    def _taken(self, taking: "_Taking") -> Outcome:
        name, key, commit, before = taking.branch.name, taking.uploader.key, taking.commit, taking.before
        _check_parent(commit.parent, taking.head, before)
        parts = commit.parts | self._pointed(name, commit)
        if not parts:
            return self._without_files(taking)
        continues = bool(before.files) and commit.parent == before.commit
        try:
            after = before.adding(
                parts_of(parts), "" if continues else commit.parent, self._store.now(), continues
            )
        except UploadsMixed:
            self._store.save(name, key, before.disputed(), {})
            raise
        if after.awaited:
            check_is_adapter({*after.files, *after.announced, *commit.ignored}, repo_id(name))
            self._store.save(name, key, after, parts)
            self._drop_objects(name, commit)
            return Outcome(after.commit, awaited=tuple(after.awaited))
        _check_parent(after.parent, taking.head, before)
        folder = self._store.lay_out(taking.work / _LAID_OUT, name, key, after.files, parts)
        publication, cautions = publication_of(folder)
        version = self._publish(name, folder, publication)
        try:
            self._move(taking, version)
        except GateRefused:  # it is published, and waits for nothing any more
            self._store.drop(name, key)
            self._drop_objects(name, commit)
            raise
        self._store.drop(name, key)
        self._drop_objects(name, commit)
        return Outcome(sha_of(version), version, cautions=cautions)

    def _move(self, taking: "_Taking", version: Version) -> None:
        """Moves the alias that was committed to."""
        alias, head = taking.branch.alias, taking.head
        if alias and head is not None and version.digest != head.digest:
            actor = taking.uploader.actor
            self._registry.set_alias(version.name, alias, version.version, head.version, actor)

    def head(self, branch: Branch) -> Version | None:
        """The version that a branch is at; None where `main` has none yet.

        Raises RepoUnknown, RevisionUnknown, or BadCall for what is no branch.
        """
        self.check_known(branch.name)
        try:
            head = version_at(self._registry, branch.name, branch.alias or MAIN)
        except (AdapterNotFound, RevisionUnknown):
            if branch.alias:
                raise
            return None
        if branch.alias and branch.alias not in {it.alias for it in self._registry.aliases(branch.name)}:
            raise BadCall(
                f"{branch.alias[:80]!a} is no branch of {repo_id(branch.name)}; commit to {MAIN}, or to an "
                "alias",
                field="revision",
            )
        return head

    def _pointed(self, name: str, commit: Commit) -> dict[str, Part]:
        """The files that came before their commit; raises InvalidUpload where one did not."""
        return {path: self._part(name, path, pointer) for path, pointer in commit.pointers.items()}

    def _part(self, name: str, path: str, pointer: Pointer) -> Part:
        source = self._store.object(name, pointer.sha256)
        try:
            size = source.stat().st_size
        except FileNotFoundError as error:
            raise InvalidUpload(
                f"{path} was never uploaded: no object {pointer.sha256} has come; upload it, then commit",
                field="oid",
            ) from error
        if pointer.size is not None and pointer.size != size:
            raise InvalidUpload(f"{path} has {size} bytes, not {pointer.size}", field="size")
        with source.open("rb") as file:
            sample = hashlib.sha256(file.read(SAMPLE_BYTES)).hexdigest()
        return Part(source, size, pointer.sha256, sample)

    def _without_files(self, taking: "_Taking") -> Outcome:
        """A commit of which nothing is kept: deletions, or files that do not matter."""
        name, commit, before, head = taking.branch.name, taking.commit, taking.before, taking.head
        after = before
        for path in commit.deleted:
            if path in after.files:
                after = after.without(path, self._store.now())
            elif head is not None and _is_of(path, head):
                raise NotKept(
                    f"{path} is of a version, which never changes; upload the files of another version, or "
                    f"delete this one with parfocal rm {head}",
                    field="path",
                )
            elif not commit.ignored and path != "README.md":
                raise EntryUnknown(f"A file with this name doesn't exist: {path[:100]!a}")
        if not commit.deleted:
            check_is_adapter({*before.announced, *before.files, *commit.ignored}, repo_id(name))
        if after is not before:
            self._store.save(name, taking.uploader.key, after, {})
        if head is not None and not after.files:
            return Outcome(sha_of(head), head)
        return Outcome(after.commit, awaited=tuple(after.awaited))

    def _publish(self, name: str, folder: Path, publication: Publication) -> Version:
        try:
            return self._registry.publish(name, folder, publication)
        except BaseUnreachable as error:
            raise BaseUnreachable(f"{error}; {_ADVICE}", field=error.field) from error

    def _drop_objects(self, name: str, commit: Commit) -> None:
        for pointer in commit.pointers.values():
            self._store.drop_object(name, pointer.sha256)


def _is_of(path: str, version: Version) -> bool:
    return is_packed_file(path) or path in {file.path for file in version.manifest.files}


def _check_parent(parent: str, head: Version | None, draft: Draft) -> None:
    """Raises ParentMoved unless a commit's parent is the newest; it may be what its own upload was told."""
    if not parent or (draft.files and parent == draft.commit):
        return
    if head is None or not sha_of(head).startswith(parent):
        now = "nothing is" if head is None else f"{sha_of(head)}, {head}, is"
        raise ParentMoved(
            f"A commit has happened since: {now} the newest, not {parent[:40]}; look at it and try again"
        )
