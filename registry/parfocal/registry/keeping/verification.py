"""Reads every byte of every live version, and reports what is wrong and which versions it affects."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from parfocal.registry.blobs import BlobStore
from parfocal.registry.errors import BlobCorrupt, BlobMissing
from parfocal.registry.index import Index
from parfocal.registry.keeping.history import taken_by, verify_events
from parfocal.registry.keeping.stored_manifests import needed_by
from parfocal.registry.values import Event, Hasher, Standing, chunks_of, digest_of

Progress = Callable[[int, int], None]
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class BadBlob:
    """A blob that is `missing` or `corrupt`, and the versions (`name@number`) that need it."""

    digest: str
    problem: str
    versions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verification:
    """How much was read, and what was wrong with blobs and with the index or its journal."""

    versions: int
    blobs: int
    size_bytes: int
    bad: tuple[BadBlob, ...]
    problems: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        """Whether nothing was wrong."""
        return not self.bad and not self.problems


def verify(index: Index, blobs: BlobStore, progress: Progress | None = None) -> Verification:
    """Reads every byte of every live version; raises StorageError."""
    standing = Standing()
    history = verify_events(taken_by(standing, every_event(index)))
    holders: dict[str, list[str]] = {}
    for (name, number), digest in sorted(standing.versions.items()):
        holders.setdefault(digest, []).append(f"{name}@{number}")
    needed, problems = _needed(index, blobs, holders)
    signed, unlike = _signatures(index, standing)
    needed, problems = {**needed, **signed}, [*problems, *unlike]
    sizes = {digest: blobs.size(digest) for digest in needed}
    total = sum(size or 0 for size in sizes.values())
    bad, done = [], 0
    for digest in sorted(needed):
        problem = problem_of(blobs, digest)
        if problem:
            bad.append(BadBlob(digest, problem, needed[digest]))
        done += sizes[digest] or 0
        if progress is not None:
            progress(done, total)
    problems += [f"the index: {text}" for text in index.check()]
    problems += [f"the history: {fault}" for fault in history.faults]
    if not blobs.journal.is_intact():
        problems.append("the journal: lines are damaged or absent; parfocal registry rebuild writes it anew")
    return Verification(len(standing.versions), len(needed), total, tuple(bad), tuple(problems))


def every_event(index: Index, after: int = 0) -> Iterator[Event]:
    """All events up to now with higher sequence numbers than `after`, in order."""
    while batch := index.events(after, _BATCH):
        yield from batch
        after = batch[-1].sequence


def holders_of(index: Index, digests: Collection[str]) -> tuple[str, ...]:
    """The live versions (`name@number`) with these digests; a digest without any stands for itself."""
    if not digests:
        return ()
    versions = sorted(Standing.after(every_event(index)).versions.items())
    named = [f"{name}@{number}" for (name, number), digest in versions if digest in digests]
    return (*named, *sorted(set(digests) - {digest for _, digest in versions}))


def problem_of(blobs: BlobStore, digest: str) -> str:
    """`missing`, `corrupt`, or nothing for a blob whose bytes have its digest; raises StorageError."""
    hasher = Hasher()
    try:
        with blobs.open(digest) as file:
            for chunk in chunks_of(file):
                hasher.update(chunk)
    except BlobMissing:
        return "missing"
    except BlobCorrupt:
        return "corrupt"
    return "" if hasher.digest == digest else "corrupt"


def _signatures(index: Index, standing: Standing) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Which versions the signatures are of, and what is wrong with those in the index."""
    holders: dict[str, list[str]] = {}
    for (name, number), digests in sorted(standing.signatures.items()):
        for digest in digests:
            holders.setdefault(digest, []).append(f"{name}@{number}")
    problems = [
        f"a signature of {', '.join(holders.get(digest, [digest]))} does not have its digest"
        for digest, data in index.signature_bundles()
        if digest_of(data) != digest
    ]
    return {digest: tuple(versions) for digest, versions in holders.items()}, problems


def _needed(
    index: Index, blobs: BlobStore, holders: Mapping[str, list[str]]
) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Which versions need which blobs, and what is wrong with the manifests that should tell."""
    needed: dict[str, set[str]] = {}
    problems, told = [], set()
    for digest, data in index.manifests():
        told.add(digest)
        versions = holders.get(digest, [])
        needed.setdefault(digest, set()).update(versions)
        named = needed_by(data)
        fault = named.fault or ("" if digest_of(data) == digest else "it does not have its digest")
        if fault:
            problems.append(f"the manifest of {', '.join(versions) or digest} cannot be read: {fault}")
        for file in named.digests:
            # What cannot be read may hold digests of other things, such as of the training data.
            if not fault or blobs.size(file) is not None:
                needed.setdefault(file, set()).update(versions)
    if told != set(holders):
        problems.append("the index contradicts its own history; parfocal registry rebuild makes it anew")
    return {digest: tuple(sorted(versions)) for digest, versions in needed.items()}, problems
